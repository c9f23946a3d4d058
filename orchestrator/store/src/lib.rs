//! The replicated state of the swarm: tables in memory, transactions through raft, a gapless watch.
//!
//! ```text
//! update(closure) ──> writer: runs what is queued, one entry ──> Proposer (raft) ──> apply, on every manager
//!                                                                                      │
//! view, view_and_watch <── state, an immutable snapshot <──────────────────────────────┘
//! ```
//! A view never changes and costs nothing; a transaction is all or nothing; a version is the index of the entry that
//! last changed an object. To add an object: a file under `tables/`, a line in [`tables`], its events in [`watch`].

#![forbid(unsafe_code)]

mod clock;
mod codec;
mod entry;
mod error;
mod job;
mod memory;
mod proposer;
mod state;
mod store;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod transaction;
mod watch;
mod writer;

pub use clock::Clock;
pub use error::StoreClosed;
pub use memory::MemoryProposer;
pub use proposer::Proposer;
pub use state::Snapshot;
pub use store::Store;
pub use transaction::{MAX_TRANSACTION_BYTES, Transaction};
pub use watch::{Event, TaskPhase, Watch, WatchError, WorkEvent};
