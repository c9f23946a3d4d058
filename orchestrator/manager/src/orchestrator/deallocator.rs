//! Lets a removed service go once its last task has.
//!
//! Until then the service is kept, though nobody sees it: its tasks have to stop, and what they use belongs to it.
//!
//! Reads services and tasks. Removes services. Never touches a task.

use std::collections::BTreeSet;

use model::{ServiceId, SwarmError};
use store::{Event, Snapshot, Store, Transaction, WorkEvent};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::allowance::MAX_CHANGES;
use crate::marks::Marks;

/// The deallocator of one term.
#[derive(Debug)]
pub(crate) struct Deallocator {
    store: Store,
}

impl Deallocator {
    /// A deallocator over a store.
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Lets services go until cancelled; fails when this member leads no more.
    pub(crate) async fn run(self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let mut marks = Marks::of_services(&self.store, cancel);
        while let Some(marked) = marks.next(mark_waning).await? {
            let view = self.store.view();
            let gone: Vec<ServiceId> = marked.into_iter().filter(|service| is_gone(&view, service)).collect();
            for some in gone.chunks(MAX_CHANGES) {
                self.remove(some.to_vec()).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, services: Vec<ServiceId>) -> Result<(), SwarmError> {
        self.store
            .update(move |tx: &mut Transaction| {
                for service in services {
                    if is_gone(&tx.view(), &service) {
                        tx.remove_service(&service)?;
                        info!(%service, "removed service is gone");
                    }
                }
                Ok(())
            })
            .await
    }
}

/// Services that may be gone now.
fn mark_waning(event: &Event, _store: &Store, marked: &mut BTreeSet<ServiceId>) {
    match event {
        Event::Work(WorkEvent::ServiceChanged(service)) => drop(marked.insert(service.clone())),
        Event::Work(WorkEvent::TaskRemoved(task)) => drop(marked.insert(task.state.service_id.clone())),
        Event::Work(WorkEvent::TaskChanged { .. } | WorkEvent::ServiceRemoved(_))
        | Event::NodeChanged(_)
        | Event::NodeRemoved(_)
        | Event::ClusterChanged
        | Event::Committed { .. } => {}
    }
}

/// Whether a service is removed and nothing of it is left.
fn is_gone(view: &Snapshot, service: &ServiceId) -> bool {
    let is_removed = view.service(service).is_some_and(|service| service.state.is_removed);
    is_removed && view.tasks_of_service(service).next().is_none()
}
