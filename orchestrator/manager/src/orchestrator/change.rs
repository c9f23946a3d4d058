//! What a decision comes to, and how it is written: groups of changes that hold together, few of them at a time.

use jiff::Timestamp;
use model::{SwarmError, TaskId, TaskState, TaskStatus, UpdateStatus};
use rand::rngs::StdRng;
use store::Transaction;
use tracing::info;

use super::making::new_task;
use super::place::Place;
use super::situation::Situation;
use crate::allowance::{Allowance, STATE_BYTES, encoded_bytes};

/// What a new task takes beside its spec (bytes), generously.
const RECORD_BYTES: usize = 2048;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Make a task for a place.
    Make {
        /// Where it belongs.
        place: Place,
        /// What is wanted of it first.
        desired: TaskState,
    },
    /// Want something else of a task.
    Want {
        /// The task.
        task: TaskId,
        /// What is wanted of it now; later in the order than before.
        state: TaskState,
    },
    /// Its node is lost for good.
    Orphan(TaskId),
    /// How the update fares.
    Report(UpdateStatus),
    /// Go back to the spec before.
    RollBack(UpdateStatus),
}

/// What is to be done now, and when to look again if nothing happens before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Changes; each group is made whole or not at all.
    pub(crate) groups: Vec<Vec<Change>>,
    /// When time alone makes something due.
    pub(crate) wake: Option<Timestamp>,
}

impl Decision {
    /// Adds changes that hold together; no changes are nothing.
    pub(crate) fn push(&mut self, group: Vec<Change>) {
        if !group.is_empty() {
            self.groups.push(group);
        }
    }

    /// Wants a state of a task, by itself.
    pub(crate) fn want(&mut self, task: &TaskId, state: TaskState) {
        self.push(vec![want(task, state)]);
    }

    /// Has a look at this moment too.
    pub(crate) fn wake_at(&mut self, moment: Timestamp) {
        self.wake = Some(self.wake.map_or(moment, |known| known.min(moment)));
    }
}

/// The wish for a state of a task.
pub(crate) fn want(task: &TaskId, state: TaskState) -> Change {
    Change::Want { task: task.clone(), state }
}

/// Whether changes stay right for as long as their service is the same, whatever becomes of its tasks: new tasks, which
/// nobody else makes, and tasks to forget, which nothing makes worth keeping.
pub(crate) fn is_lasting(group: &[Change]) -> bool {
    let lasts = |change: &Change| matches!(change, Change::Make { .. } | Change::Want { state: TaskState::Remove, .. });
    group.iter().all(lasts)
}

/// Makes the changes of a decision as far as the allowance goes; gives those that are left.
pub(crate) fn apply(
    tx: &mut Transaction,
    situation: &Situation,
    groups: Vec<Vec<Change>>,
    allowance: &mut Allowance,
    rng: &mut StdRng,
) -> Result<Vec<Vec<Change>>, SwarmError> {
    let template_bytes = encoded_bytes(&situation.service.spec);
    let mut groups = groups.into_iter();
    while let Some(group) = groups.next() {
        let bytes: usize = group.iter().map(|change| bytes_of(tx, change, template_bytes)).sum();
        if !allowance.take(group.len(), bytes) {
            return Ok(std::iter::once(group).chain(groups).collect());
        }
        for change in group {
            make(tx, situation, change, rng)?;
        }
    }
    Ok(Vec::new())
}

fn make(tx: &mut Transaction, situation: &Situation, change: Change, rng: &mut StdRng) -> Result<(), SwarmError> {
    let (service, now) = (&situation.service.id, situation.now);
    match change {
        Change::Make { place, desired } => tx.create_task(new_task(situation, &place, desired, now, rng)),
        Change::Want { task, state } => {
            let is_there = tx.view().task(&task).is_some_and(|task| task.state.desired < state);
            if is_there { tx.update_task(&task, |task| task.state.desired = state) } else { Ok(()) }
        }
        Change::Orphan(task) => tx.update_task(&task, |task| {
            let container = task.state.status.container.take();
            let status = TaskStatus::new(TaskState::Orphaned, "the task's node is lost", now);
            task.state.status = TaskStatus { container, ..status };
        }),
        Change::Report(status) => {
            info!(%service, state = status.state.as_str(), message = status.message, "update of a service");
            tx.update_service(service, None, |service| service.state.update_status = Some(status))
        }
        Change::RollBack(status) => {
            info!(%service, message = status.message, "service goes back to the spec before");
            tx.update_service(service, None, |service| {
                if let Some(previous) = service.state.previous_spec.take() {
                    service.spec = *previous;
                    service.state.registry_auth = service.state.previous_registry_auth.take();
                    service.state.spec_revision += 1;
                    service.state.update_status = Some(status);
                }
            })
        }
    }
}

fn bytes_of(tx: &Transaction, change: &Change, template_bytes: usize) -> usize {
    match change {
        Change::Make { .. } => template_bytes + RECORD_BYTES,
        Change::Want { .. } => STATE_BYTES,
        Change::Orphan(task) => {
            STATE_BYTES + tx.view().task(task).map_or(0, |task| encoded_bytes(&task.state.status.container))
        }
        Change::Report(_) | Change::RollBack(_) => 2 * template_bytes,
    }
}
