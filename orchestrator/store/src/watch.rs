//! What has changed, in order and without gaps.
//!
//! A watch begins exactly where the snapshot it came with ends. It is bounded: a watcher that falls behind, or whose
//! state was replaced by a snapshot from the leader, is told so and takes a new view; memory does not grow.

use std::sync::Arc;

use model::{Node, NodeId, Service, ServiceId, Task, TaskId, TaskState};
use tokio::sync::broadcast;

/// Entries that a watcher may be behind. The events of an entry are one message, however many they are, so that a
/// large change makes nobody fall behind by itself.
pub(crate) const WATCH_CAPACITY: usize = 1024;

/// A change, after it was applied. Events only mark what to look at: the truth is in the next view.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A node was created or changed.
    NodeChanged(NodeId),
    /// A node was removed; this is what it was.
    NodeRemoved(Arc<Node>),
    /// The swarm was created, or its settings or keys changed.
    ClusterChanged,
    /// What is to be done changed.
    Work(WorkEvent),
    /// All changes of one entry have been told.
    Committed {
        /// The entry's index.
        index: u64,
    },
}

/// A change of services and tasks.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkEvent {
    /// A service was created or changed.
    ServiceChanged(ServiceId),
    /// A service was removed; this is what it was.
    ServiceRemoved(Arc<Service>),
    /// A task was created or changed.
    TaskChanged {
        /// The task.
        task: TaskId,
        /// Its service.
        service: ServiceId,
        /// Its node, once it has one.
        node: Option<NodeId>,
        /// How far it was before; none where it is new.
        before: Option<TaskPhase>,
        /// How far it is, so that a watcher knows whether it is worth a look.
        now: TaskPhase,
    },
    /// A task was removed; this is what it was.
    TaskRemoved(Arc<Task>),
}

/// The two states of a task at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskPhase {
    /// What was observed last.
    pub observed: TaskState,
    /// What is wanted.
    pub desired: TaskState,
}

/// Why a watch has no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The watcher was too slow by so many entries, or (zero) a snapshot replaced the state: take a new view and watch.
    #[error("fell behind the store by {0} entries")]
    Lagged(u64),
    /// The store is gone.
    #[error("the store has stopped")]
    Closed,
}

/// What the store tells its watchers.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// The events of an entry, in order.
    Events(Arc<[Event]>),
    /// The state was replaced: events do not lead to it.
    Replaced,
}

/// Events since the snapshot it came with.
#[derive(Debug)]
pub struct Watch {
    told: broadcast::Receiver<Told>,
    /// The events of the entry at hand, and how many of them were given out.
    at_hand: (Arc<[Event]>, usize),
}

impl Watch {
    pub(crate) fn new(told: broadcast::Receiver<Told>) -> Self {
        Self { told, at_hand: (Arc::default(), 0) }
    }

    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// There is a gap: the watcher takes a new view and watch. Or the store is gone.
    pub async fn recv(&mut self) -> Result<Event, WatchError> {
        loop {
            let (events, given) = &mut self.at_hand;
            if let Some(event) = events.get(*given) {
                *given += 1;
                return Ok(event.clone());
            }
            match self.told.recv().await {
                Ok(Told::Events(events)) => self.at_hand = (events, 0),
                Ok(Told::Replaced) => return Err(WatchError::Lagged(0)),
                Err(broadcast::error::RecvError::Lagged(missed)) => return Err(WatchError::Lagged(missed)),
                Err(broadcast::error::RecvError::Closed) => return Err(WatchError::Closed),
            }
        }
    }
}
