//! What has changed, in order and without gaps.
//!
//! A watch begins exactly where the snapshot it came with ends. It is bounded: a watcher that falls behind, or whose
//! state was replaced by a snapshot from the leader, is told so and takes a new view; memory does not grow.

use std::sync::Arc;

use model::{Node, NodeId};
use tokio::sync::broadcast;

/// Events that a watcher may be behind: some thousand changes of nodes, well below a megabyte.
pub(crate) const WATCH_CAPACITY: usize = 4096;

/// A change, after it was applied. Events only mark what to look at: the truth is in the next view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A node was created or changed.
    NodeChanged(NodeId),
    /// A node was removed; this is what it was.
    NodeRemoved(Arc<Node>),
    /// The swarm was created, or its settings or keys changed.
    ClusterChanged,
    /// All changes of one entry have been told.
    Committed {
        /// The entry's index.
        index: u64,
    },
}

/// Why a watch has no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The watcher was too slow by so many events, or (zero) a snapshot replaced the state: take a new view and watch.
    #[error("fell behind the store by {0} events")]
    Lagged(u64),
    /// The store is gone.
    #[error("the store has stopped")]
    Closed,
}

/// What the store tells its watchers.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// An event.
    Event(Event),
    /// The state was replaced: events do not lead to it.
    Replaced,
}

/// Events since the snapshot it came with.
#[derive(Debug)]
pub struct Watch(pub(crate) broadcast::Receiver<Told>);

impl Watch {
    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// There is a gap: the watcher takes a new view and watch. Or the store is gone.
    pub async fn recv(&mut self) -> Result<Event, WatchError> {
        match self.0.recv().await {
            Ok(Told::Event(event)) => Ok(event),
            Ok(Told::Replaced) => Err(WatchError::Lagged(0)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Err(WatchError::Lagged(missed)),
            Err(broadcast::error::RecvError::Closed) => Err(WatchError::Closed),
        }
    }
}
