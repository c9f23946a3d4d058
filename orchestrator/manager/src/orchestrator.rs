//! Keeps the promises of services: so many tasks, in their places, of the current spec, ended ones replaced.
//!
//! ```text
//!  events ──mark──> services ──view──> Situation ──decide──> changes ──one transaction for many services──> store
//!                                        ▲  replicated | global | job     decided again inside it, so that
//!  time (restart delays, monitors) ──────┘  settle, updater               nothing is written on an old view
//! ```
//! Decisions are pure, and nothing but the store is needed to go on where a former leader was.
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
use std::time::Duration;

use jiff::Timestamp;
use model::{ServiceId, SwarmError, TaskState, Version};
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::{Clock, Event, Store, TaskPhase, Transaction, WorkEvent};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::allowance::Allowance;
use crate::marks::{Marks, mark_services_of_node};
use change::{Change, apply, is_lasting};
use decide::{decide, is_moving};
use situation::Situation;

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
    /// Services with places that change hands: there a task that comes to run makes a difference.
    moving: BTreeSet<ServiceId>,
}

impl Orchestrator {
    /// An orchestrator over a store; `rng` draws the ids of tasks.
    pub(crate) fn new(store: Store, clock: Clock, rng: StdRng) -> Self {
        Self { store, clock, rng, wakes: BTreeMap::new(), moving: BTreeSet::new() }
    }

    /// Keeps all services until cancelled; fails when this member leads no more.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let mut marks = Marks::of_services(&self.store, cancel);
        loop {
            let marked = tokio::select! {
                marked = marks.next(|event, store, marked| mark(event, store, &self.moving, marked)) => marked?,
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
            self.moving.remove(&service);
            let Some(situation) = Situation::of(&view, &service, now) else { continue };
            let decision = decide(&situation);
            debug!(%service, groups = decision.groups.len(), "looked at a service");
            if is_moving(&situation) {
                self.moving.insert(service.clone());
            }
            if let Some(moment) = decision.wake {
                self.wakes.insert(service.clone(), moment);
            }
            if !decision.groups.is_empty() {
                waiting.push(Work { service, left: None });
            }
        }
        drop(view);
        while !waiting.is_empty() {
            let (clock, rng) = (self.clock.clone(), StdRng::from_rng(&mut self.rng));
            waiting = self.store.update(move |tx| write(tx, waiting, clock.now(), rng)).await?;
        }
        Ok(())
    }
}

/// Marks services of which anything changed that matters to them: themselves, their tasks, or nodes.
fn mark(event: &Event, store: &Store, moving: &BTreeSet<ServiceId>, marked: &mut BTreeSet<ServiceId>) {
    match event {
        Event::Work(WorkEvent::ServiceChanged(service)) => drop(marked.insert(service.clone())),
        Event::Work(WorkEvent::TaskChanged { service, now, .. }) => {
            if matters(*now, || moving.contains(service)) {
                marked.insert(service.clone());
            }
        }
        Event::Work(WorkEvent::TaskRemoved(task)) => drop(marked.insert(task.state.service_id.clone())),
        Event::NodeChanged(node) => mark_services_of_node(node, &store.view(), marked),
        Event::NodeRemoved(node) => mark_services_of_node(&node.id, &store.view(), marked),
        Event::ClusterChanged => marked.extend(store.view().services().map(|service| service.id.clone())),
        Event::Work(WorkEvent::ServiceRemoved(_)) | Event::Committed { .. } => {}
    }
}

/// Whether it matters to a service that a task has come so far. Most changes of tasks do not: a service has one look a task
/// or none, not one a state.
fn matters(now: TaskPhase, is_moving: impl FnOnce() -> bool) -> bool {
    match now.observed {
        _ if now.desired >= TaskState::Shutdown => true,
        TaskState::Accepted | TaskState::Preparing | TaskState::Ready | TaskState::Starting => false,
        TaskState::Pending | TaskState::Assigned | TaskState::Running => is_moving(),
        TaskState::New
        | TaskState::Complete
        | TaskState::Shutdown
        | TaskState::Failed
        | TaskState::Rejected
        | TaskState::Remove
        | TaskState::Orphaned => true,
    }
}

/// A service that needs something.
#[derive(Debug)]
struct Work {
    service: ServiceId,
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
    while let Some(Work { service, left }) = services.pop() {
        let view = tx.view();
        let version = view.service(&service).map(|service| service.meta.version);
        let left = left.filter(|(seen, _)| Some(*seen) == version).map(|(_, groups)| groups);
        let situation = match &left {
            Some(_) => Situation::without_tasks(&view, &service, now),
            None => Situation::of(&view, &service, now),
        };
        drop(view);
        let Some(situation) = situation else { continue };
        let groups = left.unwrap_or_else(|| decide(&situation).groups);
        let left = apply(tx, &situation, groups, &mut allowance, &mut rng)?;
        if !left.is_empty() {
            let is_lasting = left.iter().all(|group| is_lasting(group));
            let left = version.filter(|_| is_lasting).map(|version| (version, left));
            services.push(Work { service, left });
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
