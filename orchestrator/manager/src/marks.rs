//! What a component has to look at: marked by events, taken in one piece.
//!
//! Events only mark; what is true is read from a view afterwards. Everything is marked once at the beginning, and again
//! when the watch has fallen behind, so that nothing is ever missed.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use model::{NodeId, ServiceId, SwarmError, TaskId};
use store::{Event, Snapshot, Store, Watch, WatchError};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Marks of one kind of object, until a token is cancelled.
#[derive(Debug)]
pub(crate) struct Marks<K> {
    store: Store,
    cancel: CancellationToken,
    events: Watch,
    all: fn(&Snapshot) -> BTreeSet<K>,
    is_behind: bool,
}

impl Marks<ServiceId> {
    /// All services, also those that are gone but have tasks, and then those that events mark.
    pub(crate) fn of_services(store: &Store, cancel: CancellationToken) -> Self {
        Self::new(store, cancel, |view| {
            let of_tasks = view.tasks().map(|task| &task.state.service_id);
            view.services().map(|service| &service.id).chain(of_tasks).cloned().collect()
        })
    }
}

impl Marks<TaskId> {
    /// All tasks, and then those that events mark.
    pub(crate) fn of_tasks(store: &Store, cancel: CancellationToken) -> Self {
        Self::new(store, cancel, |view| view.tasks().map(|task| task.id.clone()).collect())
    }
}

impl<K: Ord> Marks<K> {
    fn new(store: &Store, cancel: CancellationToken, all: fn(&Snapshot) -> BTreeSet<K>) -> Self {
        Self { events: store.view_and_watch().1, store: store.clone(), cancel, all, is_behind: true }
    }

    /// Waits until something is marked and takes all that is; `None` once cancelled. `mark` says what an event makes worth
    /// a look; a view that it takes is of the event or later. Cancel-safe.
    ///
    /// # Errors
    /// The store is gone.
    pub(crate) async fn next(
        &mut self,
        mark: impl Fn(&Event, &Store, &mut BTreeSet<K>),
    ) -> Result<Option<BTreeSet<K>>, SwarmError> {
        let cancel = self.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(None),
            marked = self.marked(mark) => marked.map(Some),
        }
    }

    async fn marked(&mut self, mark: impl Fn(&Event, &Store, &mut BTreeSet<K>)) -> Result<BTreeSet<K>, SwarmError> {
        let mut marked = BTreeSet::new();
        while marked.is_empty() {
            if std::mem::take(&mut self.is_behind) {
                let (view, events) = self.store.view_and_watch();
                self.events = events;
                return Ok((self.all)(&view));
            }
            let mut next = Some(self.events.recv().await);
            while let Some(event) = next.take() {
                match event {
                    Ok(event) => mark(&event, &self.store, &mut marked),
                    Err(WatchError::Lagged(missed)) => {
                        warn!(missed, "fell behind the store; starting from a new snapshot");
                        self.is_behind = true;
                        break;
                    }
                    Err(WatchError::Closed) => return Err(SwarmError::unavailable("the store has stopped")),
                }
                next = self.events.recv().now_or_never();
            }
        }
        Ok(marked)
    }
}

/// Marks services that have tasks on a node, and those that may want one there.
pub(crate) fn mark_services_of_node(node: &NodeId, view: &Snapshot, marked: &mut BTreeSet<ServiceId>) {
    marked.extend(view.tasks_of_node(node).map(|task| task.state.service_id.clone()));
    marked.extend(view.services().filter(|service| service.spec.is_global()).map(|service| service.id.clone()));
}
