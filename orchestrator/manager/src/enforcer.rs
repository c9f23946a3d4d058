//! Takes tasks from nodes that are no longer what they must be: the constraint enforcer.
//!
//! A node may change under its tasks: another label, another role, less memory. What no longer fits is Rejected as
//! observed, not as wanted, so that the orchestrator replaces it elsewhere as it does what fails. A node that is paused
//! keeps its tasks; one that is drained gives them up by itself. The constraints are those that the service has now:
//! tasks whose node met changed constraints were never replaced.
//!
//! Reads nodes, services, tasks. Writes tasks that have a node: Rejected. Never picks a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use model::{Availability, Constraints, NodeId, Resources, SwarmError, Task, TaskId, TaskState};
use store::{Clock, Event, Snapshot, Store, Transaction, Watch, WatchError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::allowance::{Allowance, STATE_BYTES, encoded_bytes};

/// Docker's words for what happened.
const REJECTED: &str = "task rejected by constraint enforcer";
/// Docker's words for why.
const REASON: &str = "assigned node no longer meets constraints";

/// The constraint enforcer of one term.
#[derive(Debug)]
pub(crate) struct ConstraintEnforcer {
    store: Store,
    clock: Clock,
}

impl ConstraintEnforcer {
    /// An enforcer that has looked at nothing yet.
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Looks at every node, and at each one that changes, until cancelled; fails when this member leads no more.
    pub(crate) async fn run(self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let (mut changed, mut events) = self.begin();
        loop {
            for node in std::mem::take(&mut changed) {
                self.enforce(&node).await?;
                // A term begins with all nodes; others get their turn in between.
                tokio::task::yield_now().await;
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                event = events.recv() => match event {
                    Ok(Event::NodeChanged(node)) => drop(changed.insert(node)),
                    Ok(Event::NodeRemoved(_) | Event::ClusterChanged | Event::Work(_) | Event::Committed { .. }) => {}
                    Err(WatchError::Lagged(missed)) => {
                        warn!(missed, "fell behind the store; starting from a new snapshot");
                        (changed, events) = self.begin();
                    }
                    Err(WatchError::Closed) => return Err(SwarmError::unavailable("the store has stopped")),
                },
            }
        }
    }

    fn begin(&self) -> (BTreeSet<NodeId>, Watch) {
        let (view, events) = self.store.view_and_watch();
        (view.nodes().map(|node| node.id.clone()).collect(), events)
    }

    async fn enforce(&self, node: &NodeId) -> Result<(), SwarmError> {
        let mut found = violators(&self.store.view(), node);
        while !found.is_empty() {
            let (of_node, now) = (node.clone(), self.clock.now());
            let (rejected, left) = self.store.update(move |tx| reject(tx, &of_node, found, now)).await?;
            for task in rejected {
                info!(%node, %task, "task rejected: its node is no longer what it must be");
            }
            found = left;
        }
        Ok(())
    }
}

/// Rejects tasks that their node must still not keep, as many as one transaction takes; gives those, and the others.
fn reject(
    tx: &mut Transaction,
    node: &NodeId,
    tasks: Vec<TaskId>,
    now: Timestamp,
) -> Result<(Vec<TaskId>, Vec<TaskId>), SwarmError> {
    // The node may have changed again, and so may its tasks.
    let still: BTreeSet<TaskId> = violators(&tx.view(), node).into_iter().collect();
    let mut allowance = Allowance::default();
    let mut rejected = Vec::new();
    let mut waiting = tasks.into_iter().filter(|task| still.contains(task));
    while let Some(id) = waiting.next() {
        let bytes = tx.view().task(&id).map_or(0, |task| encoded_bytes(&task.state.status));
        if !allowance.take(1, STATE_BYTES + bytes) {
            return Ok((rejected, std::iter::once(id).chain(waiting).collect()));
        }
        tx.update_task(&id, |task| {
            let status = &mut task.state.status;
            status.state = TaskState::Rejected;
            REJECTED.clone_into(&mut status.message);
            REASON.clone_into(&mut status.err);
            status.timestamp = now;
            status.applied_at = now;
        })?;
        rejected.push(id);
    }
    Ok((rejected, Vec::new()))
}

/// The tasks of a node that it must not keep: those whose constraints it does not meet, and, oldest first, those whose
/// reservations are more than what the older ones leave.
fn violators(view: &Snapshot, id: &NodeId) -> Vec<TaskId> {
    let Some(node) = view.node(id).filter(|node| node.spec.availability == Availability::Active) else {
        return Vec::new();
    };
    let mut tasks: Vec<&Arc<Task>> = view.tasks_of_node(id).filter(|task| is_held(task)).collect();
    tasks.sort_by_key(|task| (task.meta.created_at, &task.id));
    let mut constraints = BTreeMap::new();
    let mut left = node.state.description.as_ref().map_or_else(Resources::default, |it| it.resources.clone());
    let mut fits = |task: &Arc<Task>| {
        let constraints = constraints
            .entry((task.state.service_id.clone(), task.state.spec_revision))
            .or_insert_with(|| constraints_of(view, task));
        constraints.are_met_by(node) && takes(task, &mut left)
    };
    tasks.into_iter().filter(|task| !fits(task)).map(|task| task.id.clone()).collect()
}

/// Whether a task has its node and is to keep it.
fn is_held(task: &Task) -> bool {
    let record = &task.state;
    let is_there = (TaskState::Assigned..=TaskState::Running).contains(&record.status.state);
    is_there && record.desired <= TaskState::Complete
}

/// The constraints that a service has now; the task's own where there is no such service.
fn constraints_of(view: &Snapshot, task: &Task) -> Constraints {
    let spec = view.service(&task.state.service_id).map_or(&task.spec, |service| &service.spec.task_template);
    // As for the scheduler: what cannot be read was never let in, and binds to nothing.
    Constraints::parse(spec.constraints()).unwrap_or_default()
}

/// Takes what a task reserves from what is left, if there is as much.
fn takes(task: &Task, left: &mut Resources) -> bool {
    let Some(reserved) = task.spec.reservations() else { return true };
    let is_left = |asked: i64, left: i64| asked <= 0 || asked <= left;
    if !is_left(reserved.nano_cpus, left.nano_cpus) || !is_left(reserved.memory_bytes, left.memory_bytes) {
        return false;
    }
    left.nano_cpus -= reserved.nano_cpus;
    left.memory_bytes -= reserved.memory_bytes;
    true
}

#[cfg(test)]
mod tests;
