//! `swarmup load`: puts images of this workstation on a cluster, without a registry.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::open::Viewed;
use super::{Exit, Global};
use crate::cluster::hostname;
use crate::engine::{EngineError, Swarm};
use crate::images::{ArchiveError, ImageArchive, LocalDocker, spool};
use crate::journal::Machine;
use crate::output::{Progress, bytes_for_people};

/// What stands for standard input.
const STDIN: &str = "-";
/// While images come from a file or an engine.
const READ: &str = "Read images";
/// While they go to the cluster.
const SEND: &str = "Send images";
/// How often it is told how far it is.
const TOLD: Duration = Duration::from_millis(100);
/// How the manager's words end when a layer that was left out has gone in the meantime.
const GONE: &str = "is missing, and is not known here";

/// What is told at the end of `swarmup load --help`.
const MORE: &str = "\
One manager gets the images, and of those only the layers that it lacks; the other nodes take them from it, each when a \
task of its own needs one. `docker service create` then works as with a registry.

Examples:
  swarmup load app:1 db:3                    # from the Docker engine on this workstation
  swarmup load --input images.tar            # what `docker save` wrote, or a tar of an OCI layout
  podman save app:1 | swarmup load -i -      # from anything that writes such an archive";

/// Puts images on a cluster.
#[derive(Debug, Args)]
#[command(after_long_help = MORE)]
pub(super) struct Load {
    /// Images of the Docker engine on this workstation
    #[arg(value_name = "IMAGE", required_unless_present = "input", conflicts_with = "input")]
    images: Vec<String>,
    /// An archive of `docker save` or of an OCI layout, plain or packed with gzip; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Send to this manager, rather than to any that answers
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Outcome {
    node: String,
    images: Vec<String>,
    layers_sent: usize,
    layers_skipped: usize,
    bytes_sent: u64,
    bytes_skipped: u64,
    elapsed_ms: u64,
}

impl Load {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, stop: CancellationToken) -> Result<Exit> {
        let viewed = Viewed::open(global, None)?;
        let progress = global.progress();
        let outcome = tokio::select! {
            outcome = self.load(&viewed, &progress) => outcome,
            // What was sent so far is nothing to the manager, and what was read goes with the process.
            () = stop.cancelled() => {
                progress.clear();
                return Ok(Exit::Interrupted);
            }
        };
        progress.clear();
        let outcome = outcome?;
        let printer = global.printer();
        if printer.is_quiet() && !printer.is_json() {
            outcome.images.iter().for_each(|image| printer.line(image));
        } else {
            printer.value(&outcome, Outcome::text);
        }
        Ok(Exit::Done)
    }

    async fn load(&self, viewed: &Viewed, progress: &Progress) -> Result<Outcome> {
        let begun = Instant::now();
        let swarm = viewed.swarm()?;
        let manager = viewed.manager(self.node.as_deref()).await?;
        let node = name_of(viewed, manager);
        progress.begin(READ);
        let archive = self.archive(&node, progress).await?;
        progress.complete_all(READ, None);
        progress.begin(SEND);
        let lacking = swarm.lacking(manager, &archive.layers()).await?;
        let sent = match send(swarm.as_ref(), manager, &node, &archive, &lacking, progress).await {
            // Somebody removed an image between the question and now.
            Err(error) if is_gone(&error) => {
                send(swarm.as_ref(), manager, &node, &archive, &archive.layers(), progress).await?
            }
            sent => sent?,
        };
        progress.machine_ready(&node);
        progress.complete_all(SEND, None);
        let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Outcome { elapsed_ms, ..sent })
    }

    /// The images, in a file.
    async fn archive(&self, node: &str, progress: &Progress) -> Result<ImageArchive> {
        let file = match &self.input {
            Some(path) if path == Path::new(STDIN) => blocking(|| spool(io::stdin().lock())).await?,
            Some(path) => {
                let input = File::open(path).with_context(|| format!("failed to open `{}`", path.display()))?;
                blocking(move || spool(input)).await?
            }
            None => {
                let docker = LocalDocker::find()?;
                let told = |bytes| progress.machine(node, &format!("reading {}", bytes_for_people(bytes)));
                docker.save(&self.images, told).await?
            }
        };
        Ok(blocking(move || ImageArchive::read(file)).await?)
    }
}

/// Sends an archive without the layers that are not lacking.
async fn send(
    swarm: &dyn Swarm,
    manager: SocketAddr,
    node: &str,
    archive: &ImageArchive,
    lacking: &BTreeSet<String>,
    progress: &Progress,
) -> Result<Outcome> {
    let parcel = archive.parcel(lacking)?;
    let (total, skipped) = (parcel.bytes, parcel.skipped_bytes);
    let (layers_sent, layers_skipped) = (parcel.layers, parcel.skipped_layers);
    let (sender, mut counted) = tokio::sync::watch::channel(0_u64);
    let stream = parcel.into_stream().inspect(move |piece| {
        let bytes = piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
        sender.send_modify(|sent| *sent += bytes);
    });
    let loading = swarm.load(manager, Box::pin(stream));
    let telling = async {
        loop {
            let sent = *counted.borrow_and_update();
            let what = match sent {
                sent if sent == total => "unpacking".to_owned(),
                sent => format!("{} of {} sent", bytes_for_people(sent), bytes_for_people(total)),
            };
            progress.machine(node, &what);
            tokio::time::sleep(TOLD).await;
            if counted.changed().await.is_err() {
                return std::future::pending::<Infallible>().await;
            }
        }
    };
    let images = tokio::select! {
        images = loading => images?,
        never = telling => match never {},
    };
    let (node, bytes_sent, bytes_skipped) = (node.to_owned(), total, skipped);
    Ok(Outcome { node, images, layers_sent, layers_skipped, bytes_sent, bytes_skipped, elapsed_ms: 0 })
}

/// Runs what reads and hashes where it blocks nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    tokio::task::spawn_blocking(work).await.expect("reading an archive does not panic")
}

fn is_gone(error: &anyhow::Error) -> bool {
    let gone = |error: &EngineError| matches!(error, EngineError::Refused { message, .. } if message.contains(GONE));
    error.downcast_ref::<EngineError>().is_some_and(gone)
}

/// The host name of a manager.
fn name_of(viewed: &Viewed, manager: SocketAddr) -> String {
    let at = |(_, machine): &(&u32, &Machine)| {
        let addresses = machine.instance.as_ref().map(|instance| [instance.public_address, instance.private_address]);
        addresses.is_some_and(|addresses| addresses.contains(&Some(manager.ip())))
    };
    let machine = viewed.journal.machines.iter().find(at);
    machine.map_or_else(|| manager.ip().to_string(), |(number, _)| hostname(*number))
}

impl Outcome {
    fn text(&self) -> String {
        let mut lines: Vec<_> = self.images.iter().map(|image| format!("Loaded {image}")).collect();
        let layers = |count: usize| if count == 1 { "1 layer".to_owned() } else { format!("{count} layers") };
        lines.push(format!(
            "Sent {} to {} ({}), skipped {} ({})",
            bytes_for_people(self.bytes_sent),
            self.node,
            layers(self.layers_sent),
            bytes_for_people(self.bytes_skipped),
            layers(self.layers_skipped),
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_in_a_line_an_image_and_one_more() {
        let outcome = Outcome {
            node: "node-1".to_owned(),
            images: vec!["app:1".to_owned(), "db:3".to_owned()],
            layers_sent: 1,
            layers_skipped: 3,
            bytes_sent: 2_500_000,
            bytes_skipped: 0,
            elapsed_ms: 1,
        };

        let expected = "Loaded app:1\nLoaded db:3\nSent 2.5 MB to node-1 (1 layer), skipped 0 B (3 layers)";
        assert_eq!(outcome.text(), expected);
    }
}
