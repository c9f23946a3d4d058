//! Keeps the promises of services: so many tasks, in their places, of the current spec, ended ones replaced.
//!
//! ```text
//!  events ──mark──> services ──view──> Situation ──decide──> changes ──one transaction for many services──> store
//!                                        ▲  replicated | global | job     decided again inside it, so that
//!  time (restart delays, monitors) ──────┘  settle, updater               nothing is written on an old view
//! ```
//! Decisions are pure, and nothing but the store is needed to go on where a former leader was. The one thing remembered,
//! when tasks of an update began to run, only makes the judgement of later failures exact.
//!
//! Reads services, tasks, nodes, the swarm's defaults. Writes tasks (New, what is wanted, Orphaned), how updates fare, a
//! spec that is rolled back. Never picks a node but for a global service, never writes a state that an agent reports.

mod change;
mod deallocator;
mod decide;
mod global;
mod history;
mod job;
mod making;
mod place;
mod progress;
mod reaper;
mod replicated;
mod restart;
mod settle;
mod situation;
#[cfg(test)]
mod tests;
mod updater;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::{ServiceId, SwarmError, TaskState, Version};
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::{Clock, Snapshot, Store, Transaction};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::allowance::Allowance;
use crate::marks::Marks;
use change::{Change, apply, is_lasting};
use decide::decide;
use situation::{RunningSince, Situation};

pub(crate) use deallocator::Deallocator;
pub(crate) use reaper::TaskReaper;

/// The longest sleep before the clock is read again: it may have been set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// The orchestrator of one term.
#[derive(Debug)]
pub(crate) struct Orchestrator {
    store: Store,
    clock: Clock,
    rng: StdRng,
    /// When time alone makes something due.
    wakes: BTreeMap<ServiceId, Timestamp>,
    /// What is remembered of services whose update is under way.
    running_since: BTreeMap<ServiceId, RunningSince>,
}

impl Orchestrator {
    /// An orchestrator over a store; `rng` draws the ids of tasks.
    pub(crate) fn new(store: Store, clock: Clock, rng: StdRng) -> Self {
        Self { store, clock, rng, wakes: BTreeMap::new(), running_since: BTreeMap::new() }
    }

    /// Keeps all services until cancelled; fails when this member leads no more.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let mut marks = Marks::of_services(&self.store, cancel);
        loop {
            let marked = tokio::select! {
                marked = marks.next() => marked?,
                () = sleep_until(&self.clock, self.wakes.values().min().copied()) => Some(self.due()),
            };
            let Some(marked) = marked else { return Ok(()) };
            self.reconcile(marked).await?;
        }
    }

    /// Services for which something is due.
    fn due(&self) -> BTreeSet<ServiceId> {
        let now = self.clock.now();
        self.wakes.iter().filter(|(_, moment)| **moment <= now).map(|(service, _)| service.clone()).collect()
    }

    /// Looks at services and does what they need, several in one transaction.
    async fn reconcile(&mut self, services: BTreeSet<ServiceId>) -> Result<(), SwarmError> {
        let view = self.store.view();
        let now = self.clock.now();
        let mut waiting: Vec<Work> = Vec::new();
        for service in services {
            self.wakes.remove(&service);
            let running_since = self.remember(&view, &service);
            let Some(situation) = Situation::of(&view, &service, now, Arc::clone(&running_since)) else { continue };
            let decision = decide(&situation);
            debug!(%service, groups = decision.groups.len(), "looked at a service");
            if let Some(moment) = decision.wake {
                self.wakes.insert(service.clone(), moment);
            }
            if !decision.groups.is_empty() {
                waiting.push(Work { service, running_since, left: None });
            }
        }
        drop(view);
        while !waiting.is_empty() {
            let (clock, rng) = (self.clock.clone(), StdRng::from_rng(&mut self.rng));
            waiting = self.store.update(move |tx| write(tx, waiting, clock.now(), rng)).await?;
        }
        Ok(())
    }

    /// Notes which tasks of an update run by now; forgets what is of no update under way.
    fn remember(&mut self, view: &Snapshot, service: &ServiceId) -> RunningSince {
        let former = self.running_since.remove(service).unwrap_or_default();
        let Some(service) = view.service(service).filter(|service| updater::is_under_way(service)) else {
            return RunningSince::default();
        };
        let updated =
            view.tasks_of_service(&service.id).filter(|task| task.state.spec_revision == service.state.spec_revision);
        let began = updated.filter_map(|task| {
            let is_running = task.state.status.state == TaskState::Running;
            let seen = former.get(&task.id).copied();
            let moment = seen.or_else(|| is_running.then_some(task.state.status.applied_at))?;
            Some((task.id.clone(), moment))
        });
        let remembered = RunningSince::new(began.collect());
        self.running_since.insert(service.id.clone(), Arc::clone(&remembered));
        remembered
    }
}

/// A service that needs something.
#[derive(Debug)]
struct Work {
    service: ServiceId,
    running_since: RunningSince,
    /// What one transaction could not take and need not be decided anew while the service is the same.
    left: Option<(Version, Vec<Vec<Change>>)>,
}

/// Decides on the state of the transaction and writes as much as one takes; gives the services that need another.
fn write(
    tx: &mut Transaction,
    mut services: Vec<Work>,
    now: Timestamp,
    mut rng: StdRng,
) -> Result<Vec<Work>, SwarmError> {
    let mut allowance = Allowance::default();
    while let Some(Work { service, running_since, left }) = services.pop() {
        let view = tx.view();
        let version = view.service(&service).map(|service| service.meta.version);
        let left = left.filter(|(seen, _)| Some(*seen) == version).map(|(_, groups)| groups);
        let situation = match &left {
            Some(_) => Situation::without_tasks(&view, &service, now),
            None => Situation::of(&view, &service, now, Arc::clone(&running_since)),
        };
        drop(view);
        let Some(situation) = situation else { continue };
        let groups = left.unwrap_or_else(|| decide(&situation).groups);
        let left = apply(tx, &situation, groups, &mut allowance, &mut rng)?;
        if !left.is_empty() {
            let is_lasting = left.iter().all(|group| is_lasting(group));
            let left = version.filter(|_| is_lasting).map(|version| (version, left));
            services.push(Work { service, running_since, left });
            break;
        }
    }
    Ok(services)
}

/// Waits for a moment of the wall clock, or a while; for ever where there is none.
async fn sleep_until(clock: &Clock, moment: Option<Timestamp>) {
    let Some(moment) = moment else { return std::future::pending().await };
    let left = Duration::try_from(moment.duration_since(clock.now())).unwrap_or(Duration::ZERO);
    tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
}
