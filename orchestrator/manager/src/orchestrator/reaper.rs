//! Forgets tasks: those that are to be forgotten once they have stopped, and history beyond the limit.
//!
//! That a task is gone from the store is what makes its node remove the container.
//!
//! Reads tasks, services, the swarm's limit. Removes tasks. Never ends one.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{ServiceId, SwarmError, Task, TaskId, TaskState};
use store::{Event, Snapshot, Store, Transaction, WorkEvent};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::history::{Forgettable, to_forget};
use crate::allowance::MAX_CHANGES;
use crate::marks::Marks;

/// Tasks that a place keeps where the swarm sets no limit (SwarmKit's default).
const DEFAULT_LIMIT: i64 = 5;

/// The reaper of one term.
#[derive(Debug)]
pub(crate) struct TaskReaper {
    store: Store,
    /// Services with places that keep more than they should: there every change of a task may free one.
    crowded: BTreeSet<ServiceId>,
}

impl TaskReaper {
    /// A reaper over a store.
    pub(crate) fn new(store: Store) -> Self {
        Self { store, crowded: BTreeSet::new() }
    }

    /// Forgets tasks until cancelled; fails when this member leads no more.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let mut marks = Marks::of_services(&self.store, cancel);
        while let Some(marked) = marks.next(|event, store, marked| mark(event, store, &self.crowded, marked)).await? {
            self.reap(marked).await?;
        }
        Ok(())
    }

    async fn reap(&mut self, services: BTreeSet<ServiceId>) -> Result<(), SwarmError> {
        let view = self.store.view();
        // Of a task that is to be forgotten nothing changes any more; what is history may.
        let is_certain = |id: &TaskId| view.task(id).is_some_and(|task| task.state.desired >= TaskState::Remove);
        let (mut certain, mut with_history) = (Vec::new(), Vec::new());
        for service in services {
            let Forgettable { tasks, is_crowded } = due(&view, &service);
            if is_crowded {
                self.crowded.insert(service.clone());
            } else {
                self.crowded.remove(&service);
            }
            let (forgotten, history): (Vec<TaskId>, Vec<TaskId>) = tasks.into_iter().partition(is_certain);
            certain.extend(forgotten);
            if !history.is_empty() {
                with_history.push(service);
            }
        }
        drop(view);
        for some in certain.chunks(MAX_CHANGES) {
            let some = some.to_vec();
            self.store.update(move |tx| forget(tx, &some)).await?;
        }
        while !with_history.is_empty() {
            with_history = self.store.update(move |tx| trim(tx, with_history)).await?;
        }
        Ok(())
    }
}

/// Marks services whose tasks may have become too many, or of which one may have become worth forgetting.
fn mark(event: &Event, store: &Store, crowded: &BTreeSet<ServiceId>, marked: &mut BTreeSet<ServiceId>) {
    match event {
        Event::Work(WorkEvent::ServiceChanged(service)) => drop(marked.insert(service.clone())),
        Event::Work(WorkEvent::ServiceRemoved(service)) => drop(marked.insert(service.id.clone())),
        Event::Work(WorkEvent::TaskChanged { service, before, now, .. }) => {
            let is_over = now.desired >= TaskState::Shutdown || now.observed.is_terminal();
            if before.is_none() || is_over || crowded.contains(service) {
                marked.insert(service.clone());
            }
        }
        Event::ClusterChanged => marked.extend(store.view().services().map(|service| service.id.clone())),
        Event::Work(WorkEvent::TaskRemoved(_))
        | Event::NodeChanged(_)
        | Event::NodeRemoved(_)
        | Event::Committed { .. } => {}
    }
}

/// Tasks of a service that may be forgotten now.
fn due(view: &Snapshot, service: &ServiceId) -> Forgettable {
    let tasks: Vec<Arc<Task>> = view.tasks_of_service(service).cloned().collect();
    let settings = view.cluster().map(|cluster| &cluster.spec.orchestration);
    let limit = settings.and_then(|settings| settings.task_history_retention_limit).unwrap_or(DEFAULT_LIMIT);
    to_forget(view.service(service).map(AsRef::as_ref), &tasks, limit)
}

/// Forgets tasks that are to be forgotten and have stopped, as far as they are there.
fn forget(tx: &mut Transaction, tasks: &[TaskId]) -> Result<(), SwarmError> {
    debug!(tasks = tasks.len(), "forgetting tasks");
    let view = tx.view();
    let mut present = tasks.iter().filter(|id| view.task(id).is_some());
    present.try_for_each(|id| tx.remove_task(id))
}

/// Trims the history of services, decided on the state of the transaction; gives the services that need another.
fn trim(tx: &mut Transaction, mut services: Vec<ServiceId>) -> Result<Vec<ServiceId>, SwarmError> {
    let mut room = MAX_CHANGES;
    while let Some(service) = services.pop() {
        let tasks = due(&tx.view(), &service).tasks;
        debug!(%service, tasks = tasks.len(), "trimming history");
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
