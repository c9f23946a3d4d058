//! The store's own errors; what a transaction refuses is a [`SwarmError`](model::SwarmError).

/// The store has stopped: its raft member did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store has stopped")]
pub struct StoreClosed;
