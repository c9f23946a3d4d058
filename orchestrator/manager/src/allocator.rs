//! Gives each new task what it needs before a node is chosen. Tasks need nothing yet but to be passed on.
//!
//! Reads tasks. Writes tasks (New to Pending). Never makes a task, never chooses a node.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::{SwarmError, Task, TaskId, TaskState, TaskStatus};
use store::{Clock, Event, Store, TaskPhase, Transaction, WorkEvent};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::allowance::{Allowance, STATE_BYTES};
use crate::marks::Marks;

/// The allocator of one term.
#[derive(Debug)]
pub(crate) struct Allocator {
    store: Store,
    clock: Clock,
}

impl Allocator {
    /// An allocator over a store.
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Passes new tasks on until cancelled; fails when this member leads no more.
    pub(crate) async fn run(self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let mut marks = Marks::of_tasks(&self.store, cancel);
        while let Some(marked) = marks.next(mark_new).await? {
            let view = self.store.view();
            let mut new: Vec<TaskId> =
                marked.into_iter().filter(|id| view.task(id).is_some_and(|task| is_new(task))).collect();
            drop(view);
            while !new.is_empty() {
                debug!(tasks = new.len(), "passing new tasks on to the scheduler");
                let now = self.clock.now();
                new = self.store.update(move |tx| pass_on(tx, new, now)).await?;
            }
        }
        Ok(())
    }
}

/// Passes as many tasks on as one transaction takes; gives the others.
fn pass_on(tx: &mut Transaction, mut tasks: Vec<TaskId>, now: Timestamp) -> Result<Vec<TaskId>, SwarmError> {
    let mut allowance = Allowance::default();
    while let Some(id) = tasks.pop() {
        if !tx.view().task(&id).is_some_and(|task| is_new(task)) {
            continue;
        }
        if !allowance.take(1, STATE_BYTES) {
            tasks.push(id);
            break;
        }
        let status = TaskStatus::new(TaskState::Pending, "pending task scheduling", now);
        tx.update_task(&id, |task| task.state.status = status)?;
    }
    Ok(tasks)
}

fn mark_new(event: &Event, _store: &Store, marked: &mut BTreeSet<TaskId>) {
    if let Event::Work(WorkEvent::TaskChanged { task, now, .. }) = event
        && waits(*now)
    {
        marked.insert(task.clone());
    }
}

/// Whether a task waits for the allocator and is wanted still.
fn is_new(task: &Task) -> bool {
    waits(TaskPhase { observed: task.state.status.state, desired: task.state.desired })
}

fn waits(phase: TaskPhase) -> bool {
    phase.observed == TaskState::New && phase.desired < TaskState::Shutdown
}
