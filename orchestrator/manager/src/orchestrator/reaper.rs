//! Forgets tasks: those that are to be forgotten once they have stopped, and history beyond the limit.
//!
//! That a task is gone from the store is what makes its node remove the container.
//!
//! Reads tasks, services, the swarm's limit. Removes tasks. Never ends one.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{ServiceId, SwarmError, Task, TaskId};
use store::{Snapshot, Store, Transaction};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::history::to_forget;
use crate::allowance::MAX_CHANGES;
use crate::marks::Marks;

/// Tasks that a place keeps where the swarm sets no limit (SwarmKit's default).
const DEFAULT_LIMIT: i64 = 5;

/// The reaper of one term.
#[derive(Debug)]
pub(crate) struct TaskReaper {
    store: Store,
}

impl TaskReaper {
    /// A reaper over a store.
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Forgets tasks until cancelled; fails when this member leads no more.
    pub(crate) async fn run(self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let mut marks = Marks::of_services(&self.store);
        loop {
            let marked = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                marked = marks.next() => marked?,
            };
            self.reap(marked).await?;
        }
    }

    async fn reap(&self, services: BTreeSet<ServiceId>) -> Result<(), SwarmError> {
        let view = self.store.view();
        let mut waiting: Vec<ServiceId> =
            services.into_iter().filter(|service| !due(&view, service).is_empty()).collect();
        drop(view);
        while !waiting.is_empty() {
            waiting = self.store.update(move |tx| write(tx, waiting)).await?;
        }
        Ok(())
    }
}

/// Tasks of a service that may be forgotten now.
fn due(view: &Snapshot, service: &ServiceId) -> Vec<TaskId> {
    let tasks: Vec<Arc<Task>> = view.tasks_of_service(service).cloned().collect();
    let settings = view.cluster().map(|cluster| &cluster.spec.orchestration);
    let limit = settings.and_then(|settings| settings.task_history_retention_limit).unwrap_or(DEFAULT_LIMIT);
    to_forget(view.service(service).map(AsRef::as_ref), &tasks, limit)
}

/// Writes as much as one transaction takes; gives the services that need another.
fn write(tx: &mut Transaction, mut services: Vec<ServiceId>) -> Result<Vec<ServiceId>, SwarmError> {
    let mut room = MAX_CHANGES;
    while let Some(service) = services.pop() {
        let tasks = due(&tx.view(), &service);
        debug!(%service, tasks = tasks.len(), "forgetting tasks");
        for task in tasks.iter().take(room) {
            tx.remove_task(task)?;
        }
        if tasks.len() > room {
            services.push(service);
            break;
        }
        room -= tasks.len();
    }
    Ok(services)
}
