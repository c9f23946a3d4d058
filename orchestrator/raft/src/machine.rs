//! What raft replicates into: a deterministic state machine, which is the store.

use std::fmt;

/// A snapshot that is taken but not yet written out. Runs on a blocking thread, while the state moves on.
pub type SnapshotWriter = Box<dyn FnOnce() -> Vec<u8> + Send + Sync>;

/// A committed entry that this version cannot apply. The node stops rather than diverge.
#[derive(Debug, thiserror::Error)]
#[error("failed to apply entry {index}")]
pub struct ApplyError {
    /// The entry.
    pub index: u64,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A snapshot that this version cannot read. The state stays what it was.
#[derive(Debug, thiserror::Error)]
#[error("failed to restore a snapshot")]
pub struct RestoreError {
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Applies committed entries, the same ones in the same order on every member.
pub trait StateMachine: fmt::Debug + Send + Sync + 'static {
    /// Applies one entry. `false` says that the entry was void: it changed nothing, on no member.
    fn apply(&self, index: u64, payload: &[u8]) -> Result<bool, ApplyError>;

    /// Takes the state as it is now, cheaply; the encoding happens when the writer is called.
    fn snapshot(&self) -> SnapshotWriter;

    /// Replaces the state by that of a snapshot.
    fn restore(&self, snapshot: &[u8]) -> Result<(), RestoreError>;
}
