//! `swarmup gc`: finds clusters by their marks at the providers, on a workstation that may know none of them, and
//! destroys those that nobody should need any more.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use driver::{Backoff, Driver, DriverError, Wait, wait_until};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng as _;
use rand::rand_core::UnwrapErr;
use rand::rngs::{StdRng, SysRng};
use serde::Serialize;

use super::arguments::{DriverFlags, duration};
use super::failure::UsageError;
use super::{Exit, Global, clouds, ls};
use crate::home::Home;
use crate::journal::{ClusterLock, file};
use crate::output::{Printer, report};
use crate::sighting::Sighting;

/// How long the provider may take until nothing is left.
const GONE: Wait = Wait { limit: Duration::from_mins(10), interval: Duration::from_secs(1) };

/// Destroys clusters whose time is up, by their marks at the providers.
#[derive(Debug, Args)]
pub(super) struct Gc {
    /// Also those that are older than this, such as 4h or 2d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Option<SignedDuration>,
    /// The provider to look at; may be repeated [default: every cloud]
    #[arg(long, value_name = "PROVIDER")]
    provider: Vec<String>,
    /// Show what is due, and destroy nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Collected<'a> {
    #[serde(flatten)]
    sighting: &'a Sighting,
    destroyed: bool,
}

impl Gc {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global, flags: DriverFlags) -> Result<Exit> {
        let home = Home::locate()?;
        let now = Timestamp::now();
        let looked = clouds::look(global, &home, &self.provider, flags).await?;
        let due: Vec<(Arc<dyn Driver>, Sighting)> = looked
            .into_iter()
            .flat_map(|looked| looked.seen.into_iter().map(move |sighting| (Arc::clone(&looked.driver), sighting)))
            .filter(|(_, sighting)| sighting.is_due(now, self.older_than))
            .collect();
        let sightings: Vec<&Sighting> = due.iter().map(|(_, sighting)| sighting).collect();
        if self.dry_run || due.is_empty() {
            show(global, &sightings, &vec![false; due.len()], now);
            return Ok(Exit::Done);
        }
        self.ask(global, &sightings)?;
        let outcomes = join_all(due.iter().map(|(driver, sighting)| sweep(&**driver, sighting))).await;
        let mut is_gone = Vec::new();
        for (outcome, sighting) in outcomes.into_iter().zip(&sightings) {
            let outcome = outcome
                .with_context(|| format!("failed to destroy `{}` at `{}`", sighting.called(), sighting.place()))
                .and_then(|()| forget(&home, sighting));
            if let Err(error) = &outcome {
                report::error(error, Some("run `swarmup gc` again"));
            }
            is_gone.push(outcome.is_ok());
        }
        show(global, &sightings, &is_gone, now);
        Ok(if is_gone.iter().all(|is_gone| *is_gone) { Exit::Done } else { Exit::PartlyDone })
    }

    fn ask(&self, global: &Global, due: &[&Sighting]) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        let names: Vec<_> = due.iter().map(|sighting| format!("`{}`", sighting.called())).collect();
        if !Printer::can_ask() {
            let message = format!("destroying {} needs a yes, and nobody can be asked", names.join(", "));
            return Err(UsageError::new(message, "add --yes, or look with --dry-run").into());
        }
        if global.printer().confirm(&format!("Destroy {}?", names.join(", "))) {
            Ok(())
        } else {
            bail!("nothing was destroyed")
        }
    }
}

/// Destroys all that carries a mark, until the provider shows nothing of it any more.
async fn sweep(driver: &dyn Driver, sighting: &Sighting) -> Result<(), DriverError> {
    let mut rng = StdRng::from_rng(&mut UnwrapErr(SysRng));
    let backoff = Backoff::default();
    let (mark, ids) = (&sighting.cluster, &sighting.machines);
    if !ids.is_empty() && !driver.capabilities().removes_machines_with_network {
        driver::retry(&backoff, &mut rng, || driver.destroy(ids)).await?;
    }
    driver::retry(&backoff, &mut rng, || driver.remove_network(mark)).await?;
    wait_until(&GONE, format!("see the last of `{mark}` go"), || async {
        // A look that fails in passing tells nothing of what is left.
        let mut rng = StdRng::from_rng(&mut UnwrapErr(SysRng));
        let left = driver::retry(&backoff, &mut rng, || driver.find(Some(mark))).await?;
        Ok(left.is_empty().then_some(()))
    })
    .await
}

/// Removes the folder of a cluster that this workstation knew.
fn forget(home: &Home, sighting: &Sighting) -> Result<()> {
    for name in home.clusters()? {
        let folder = home.cluster_folder(&name);
        let is_same =
            file::read(&folder).is_ok_and(|journal| journal.is_some_and(|known| known.id == sighting.cluster));
        if is_same {
            let _lock = ClusterLock::take(&folder, &name)?;
            home.remove_cluster_folder(&name)?;
        }
    }
    Ok(())
}

fn show(global: &Global, sightings: &[&Sighting], is_gone: &[bool], now: Timestamp) {
    let printer = global.printer();
    if sightings.is_empty() && !printer.is_json() && !printer.is_quiet() {
        printer.line("No cluster is due");
        return;
    }
    let collected: Vec<_> = sightings
        .iter()
        .zip(is_gone)
        .map(|(sighting, destroyed)| Collected { sighting, destroyed: *destroyed })
        .collect();
    printer.list(
        &collected,
        |one| one.sighting.called(),
        |collected| ls::table(collected.iter().map(|one| (one.sighting, one.destroyed)), now),
    );
}
