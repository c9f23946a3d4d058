//! `swarmup hold`: holds the lease of a cluster for as long as the process lives that it goes with, then destroys it.
//!
//! `swarmup create --reap-with` starts it in the background, and it ends with the cluster. One that was killed may be
//! started again by hand.

use std::convert::Infallible;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::failure::StateError;
use super::open::Viewed;
use super::{Exit, Global, destroy};
use crate::home::Home;
use crate::journal::lock::LOCK_FILE;
use crate::journal::{Journal, LockError, file};
use crate::lease::Lease;
use crate::output::report;
use crate::phase::{Unreachable, Until};
use crate::{platform, providers};

/// The file by which there is one holder of a cluster.
const HOLDER_FILE: &str = "holder";
/// Where a holder in the background writes what it does.
const LOG_FILE: &str = "holder.log";
/// How often the process is looked at, and the journal.
const LOOK: Duration = Duration::from_millis(500);
/// Before a destroy that failed is tried again.
const DESTROY_PAUSE: Duration = Duration::from_secs(10);
/// How long it is tried: by then the nodes have ended themselves, and somebody must look at what is left.
const DESTROY_PATIENCE: Duration = Duration::from_mins(30);

/// Holds the lease of a cluster that was created with --reap-with.
#[derive(Debug, Args)]
pub(super) struct Hold {
    /// The cluster
    name: String,
}

/// Starts a holder in the background; it outlives this process, and the terminal.
pub(super) fn start(folder: &Path, name: &str) -> Result<()> {
    let log = folder.join(LOG_FILE);
    let output = platform::open_private(&log, true).with_context(|| format!("failed to open `{}`", log.display()))?;
    let own = std::env::current_exe().context("failed to find swarmup itself")?;
    let mut holder = Command::new(own);
    holder.args(["hold", name, "--no-progress"]).stdin(Stdio::null());
    let also = output.try_clone().context("failed to share the holder's log")?;
    holder.stdout(also).stderr(output);
    holder.spawn().map(drop).context("failed to start the holder of the cluster's lease")
}

impl Hold {
    /// Runs the command; it ends with the cluster.
    pub(super) async fn run(self, global: &Global, stop: CancellationToken) -> Result<Exit> {
        platform::leave_session();
        let home = Home::locate()?;
        let folder = home.cluster_folder(&self.name);
        let _only_holder = self.become_holder(&folder)?;
        let ended = tokio::select! {
            ended = self.watch(&folder) => ended?,
            never = self.renew(global, &home, &folder) => match never {},
            () = stop.cancelled() => {
                global.printer().warning(&format!("nobody holds the lease of cluster `{}` any more", self.name));
                return Ok(Exit::Interrupted);
            }
        };
        match ended {
            Ended::Cluster => Ok(Exit::Done),
            Ended::Process(pid) => {
                global.printer().line(&format!("Process {pid} has ended; destroying cluster `{}`", self.name));
                self.destroy(global, stop).await
            }
        }
    }

    /// There is one holder of a cluster: this process, for as long as the file is open.
    fn become_holder(&self, folder: &Path) -> Result<File> {
        let path = folder.join(HOLDER_FILE);
        let failed = || format!("failed to hold the lease of cluster `{}`", self.name);
        let file = platform::open_private(&path, false).with_context(failed)?;
        match platform::try_lock(&file) {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let message = format!("the lease of cluster `{}` is held by another swarmup", self.name);
                Err(StateError::new(message, "leave it to that one".to_owned()).into())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }

    /// Returns once the cluster is gone, or the process that it goes with.
    async fn watch(&self, folder: &Path) -> Result<Ended> {
        loop {
            match file::read(folder)? {
                Some(journal) => {
                    let lease = self.lease(&journal)?;
                    if !lease.process.lives() {
                        return Ok(Ended::Process(lease.process.pid));
                    }
                }
                None if is_being_begun(folder) => {}
                None => return Ok(Ended::Cluster),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn lease(&self, journal: &Journal) -> Result<Lease> {
        journal.lease.ok_or_else(|| {
            let hint = "only a cluster that was created with --reap-with has one".to_owned();
            StateError::new(format!("cluster `{}` has no lease", self.name), hint).into()
        })
    }

    /// Renews the lease for ever. Where nobody can be told, another try follows soon.
    async fn renew(&self, global: &Global, home: &Home, folder: &Path) -> Infallible {
        let mut was_renewed = None;
        loop {
            let mut pause = LOOK;
            if let Ok(Some(journal)) = file::read(folder)
                && let Some(lease) = journal.lease
            {
                let renewed = tokio::time::timeout(lease.pause().max(LOOK), renew_once(&journal, home, folder)).await;
                let renewed = renewed.context("no manager answers in time").flatten();
                match (&renewed, was_renewed) {
                    (Ok(()), Some(true)) | (Err(_), Some(false) | None) => {}
                    (Ok(()), _) => global.printer().line("The lease is renewed"),
                    (Err(error), Some(true)) => {
                        global.printer().warning(&format!("the lease could not be renewed: {error:#}"));
                    }
                }
                if renewed.is_ok() {
                    pause = lease.pause();
                }
                was_renewed = Some(renewed.is_ok()).filter(|is_renewed| *is_renewed || was_renewed.is_some());
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Destroys the cluster, however often it takes; the nodes end themselves meanwhile.
    async fn destroy(&self, global: &Global, stop: CancellationToken) -> Result<Exit> {
        let until = Instant::now() + DESTROY_PATIENCE;
        loop {
            let destroyed = self.destroy_once(global, stop.clone()).await;
            let pause = match destroyed {
                Ok(Exit::Done) => return Ok(Exit::Done),
                Ok(exit) if exit == Exit::Interrupted || Instant::now() >= until => return Ok(exit),
                Ok(_) => DESTROY_PAUSE,
                Err(error) if Instant::now() >= until => return Err(error),
                // Whoever works on it has not heard of the end yet.
                Err(error) if error.is::<LockError>() => LOOK,
                Err(error) => {
                    report::error(&error, None);
                    DESTROY_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn destroy_once(&self, global: &Global, stop: CancellationToken) -> Result<Exit> {
        let folder = Home::locate()?.cluster_folder(&self.name);
        if file::read(&folder)?.is_none() && !is_being_begun(&folder) {
            return Ok(Exit::Done);
        }
        let opened = Viewed::open(global, Some(&self.name))?.lock(global, None, None, stop)?;
        destroy::finish(global, opened, Unreachable::Fails, Until::Gone).await
    }
}

/// What has ended.
enum Ended {
    /// The cluster.
    Cluster,
    /// The process that it goes with.
    Process(u32),
}

/// Whether somebody is about to write the cluster's journal.
fn is_being_begun(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK_FILE));
    lock.is_ok_and(|lock| platform::lock_holder(&lock).is_some())
}

async fn renew_once(journal: &Journal, home: &Home, folder: &Path) -> Result<()> {
    let engine = providers::find(&journal.spec.provider)?.engine(None, home);
    Ok(engine.swarm(journal, folder)?.renew_lease().await?)
}
