//! Gives each new task what it needs before a node is chosen. Tasks need nothing yet but to be passed on.
//!
//! Reads tasks. Writes tasks (New to Pending). Never makes a task, never chooses a node.

use std::collections::BTreeSet;

use model::{SwarmError, TaskId, TaskState, TaskStatus};
use store::{Clock, Snapshot, Store, Transaction};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::marks::Marks;

/// The most tasks that one transaction passes on; with the largest specs it stays within what a transaction may take.
const TASKS_AT_ONCE: usize = 100;

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
        let mut marks = Marks::of_tasks(&self.store);
        loop {
            let marked = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                marked = marks.next() => marked?,
            };
            let view = self.store.view();
            let new: Vec<TaskId> = marked.into_iter().filter(|task| is_new(&view, task)).collect();
            for some in new.chunks(TASKS_AT_ONCE) {
                self.pass_on(some.iter().cloned().collect()).await?;
            }
        }
    }

    async fn pass_on(&self, tasks: BTreeSet<TaskId>) -> Result<(), SwarmError> {
        let now = self.clock.now();
        debug!(tasks = tasks.len(), "passing new tasks on to the scheduler");
        self.store
            .update(move |tx: &mut Transaction| {
                for task in tasks {
                    if is_new(&tx.view(), &task) {
                        let status = TaskStatus::new(TaskState::Pending, "pending task scheduling", now);
                        tx.update_task(&task, |task| task.state.status = status)?;
                    }
                }
                Ok(())
            })
            .await
    }
}

/// Whether a task waits for the allocator and is wanted still.
fn is_new(view: &Snapshot, task: &TaskId) -> bool {
    view.task(task)
        .is_some_and(|task| task.state.status.state == TaskState::New && task.state.desired < TaskState::Shutdown)
}
