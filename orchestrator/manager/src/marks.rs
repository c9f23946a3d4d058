//! What a component has to look at: marked by events, taken in one piece.
//!
//! Events only mark; what is true is read from a view afterwards. Everything is marked once at the beginning, and again
//! when the watch has fallen behind, so that nothing is ever missed.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use model::{NodeId, ServiceId, SwarmError, Task, TaskId, TaskRecord, TaskState};
use store::{Event, Snapshot, Store, Watch, WatchError, WorkEvent};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Marks what an event makes worth a look.
type MarkBy<K> = fn(&Event, &Snapshot, &mut BTreeSet<K>);

/// Marks of one kind of object, until a token is cancelled.
#[derive(Debug)]
pub(crate) struct Marks<K> {
    store: Store,
    cancel: CancellationToken,
    events: Watch,
    by: MarkBy<K>,
    all: fn(&Snapshot) -> BTreeSet<K>,
    is_behind: bool,
}

impl Marks<ServiceId> {
    /// Services of which anything changed: themselves, their tasks, or nodes that matter to them.
    pub(crate) fn of_services(store: &Store, cancel: CancellationToken) -> Self {
        Self::new(store, cancel, mark_services, |view| {
            let of_tasks = view.tasks().map(|task| &task.state.service_id);
            view.services().map(|service| &service.id).chain(of_tasks).cloned().collect()
        })
    }
}

impl Marks<TaskId> {
    /// Tasks that were made or changed.
    pub(crate) fn of_tasks(store: &Store, cancel: CancellationToken) -> Self {
        Self::new(store, cancel, mark_tasks, |view| view.tasks().map(|task| task.id.clone()).collect())
    }
}

impl<K: Ord> Marks<K> {
    fn new(store: &Store, cancel: CancellationToken, by: MarkBy<K>, all: fn(&Snapshot) -> BTreeSet<K>) -> Self {
        Self { events: store.view_and_watch().1, store: store.clone(), cancel, by, all, is_behind: true }
    }

    /// Waits until something is marked and takes all that is; `None` once cancelled. Cancel-safe.
    ///
    /// # Errors
    /// The store is gone.
    pub(crate) async fn next(&mut self) -> Result<Option<BTreeSet<K>>, SwarmError> {
        let cancel = self.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(None),
            marked = self.marked() => marked.map(Some),
        }
    }

    async fn marked(&mut self) -> Result<BTreeSet<K>, SwarmError> {
        let mut marked = BTreeSet::new();
        while marked.is_empty() {
            if std::mem::take(&mut self.is_behind) {
                let (view, events) = self.store.view_and_watch();
                self.events = events;
                return Ok((self.all)(&view));
            }
            let first = self.events.recv().await;
            self.mark(first, &mut marked)?;
            while !self.is_behind
                && let Some(next) = self.events.recv().now_or_never()
            {
                self.mark(next, &mut marked)?;
            }
        }
        Ok(marked)
    }

    fn mark(&mut self, event: Result<Event, WatchError>, marked: &mut BTreeSet<K>) -> Result<(), SwarmError> {
        match event {
            Ok(event) => (self.by)(&event, &self.store.view(), marked),
            Err(WatchError::Lagged(missed)) => {
                warn!(missed, "fell behind the store; starting from a new snapshot");
                self.is_behind = true;
            }
            Err(WatchError::Closed) => return Err(SwarmError::unavailable("the store has stopped")),
        }
        Ok(())
    }
}

fn mark_services(event: &Event, view: &Snapshot, marked: &mut BTreeSet<ServiceId>) {
    match event {
        Event::Work(WorkEvent::ServiceChanged(service)) => {
            marked.insert(service.clone());
        }
        Event::Work(WorkEvent::TaskChanged { task, service, .. }) => {
            if !marked.contains(service) && view.task(task).is_none_or(|task| !is_on_its_way(task)) {
                marked.insert(service.clone());
            }
        }
        Event::Work(WorkEvent::TaskRemoved(task)) => {
            marked.insert(task.state.service_id.clone());
        }
        Event::NodeChanged(node) => mark_services_of_node(node, view, marked),
        Event::NodeRemoved(node) => mark_services_of_node(&node.id, view, marked),
        Event::ClusterChanged => marked.extend(view.services().map(|service| service.id.clone())),
        Event::Work(WorkEvent::ServiceRemoved(_)) | Event::Committed { .. } => {}
    }
}

/// Whether a task is between two states that matter to its service: passed on, or at work on its node but not running. Most
/// changes of tasks are of this kind.
fn is_on_its_way(task: &Task) -> bool {
    let TaskRecord { status, desired, .. } = &task.state;
    let is_between = match status.state {
        TaskState::Pending => status.err.is_empty(),
        TaskState::Accepted | TaskState::Preparing | TaskState::Ready | TaskState::Starting => true,
        TaskState::New
        | TaskState::Assigned
        | TaskState::Running
        | TaskState::Complete
        | TaskState::Shutdown
        | TaskState::Failed
        | TaskState::Rejected
        | TaskState::Remove
        | TaskState::Orphaned => false,
    };
    is_between && *desired < TaskState::Shutdown
}

/// Services that have tasks on a node, and those that may want one there.
fn mark_services_of_node(node: &NodeId, view: &Snapshot, marked: &mut BTreeSet<ServiceId>) {
    marked.extend(view.tasks_of_node(node).map(|task| task.state.service_id.clone()));
    marked.extend(view.services().filter(|service| service.spec.is_global()).map(|service| service.id.clone()));
}

fn mark_tasks(event: &Event, _view: &Snapshot, marked: &mut BTreeSet<TaskId>) {
    if let Event::Work(WorkEvent::TaskChanged { task, .. }) = event {
        marked.insert(task.clone());
    }
}
