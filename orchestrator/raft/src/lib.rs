//! Consensus of the managers: openraft over one sealed file, with elections of our own.
//!
//! ```text
//! propose ──> openraft ──> log (redb, sealed, fsync) ──> Transport ──> the other members
//!                 └──────> applier ──> StateMachine (the store)
//! pulse, election, formation, members, handover: what openraft leaves to others, around it
//! anew: a log at rest that begins anew with one voter
//! ```
//! The store knows this crate as a trait; time is tokio's, randomness is handed in, and messages travel by a
//! [`Transport`] that is handed in too.

#![forbid(unsafe_code)]

mod anew;
mod applier;
mod codec;
mod contact;
mod delay;
mod election;
mod error;
mod formation;
mod gate;
mod handle;
mod handover;
mod key;
mod key_seal;
mod log;
mod machine;
mod members;
mod network;
mod peer;
mod propose;
mod pulse;
mod quorum;
mod seal;
mod serve;
mod settings;
mod status;
mod sync;
#[cfg(test)]
mod tests;
mod transport;
mod types;
mod wire;

pub use anew::RestingLog;
pub use error::{HandleError, MembershipError, OpenError, ProposeError, RaftFailure, TransferError};
pub use handle::Raft;
pub use key::DataKey;
pub use key_seal::KeySeal;
pub use log::LogSize;
pub use machine::{ApplyError, RestoreError, SnapshotWriter, StateMachine};
pub use peer::Peer;
pub use propose::Committed;
pub use settings::RaftSettings;
pub use status::RaftStatus;
pub use transport::{MAX_MESSAGE_BYTES, RaftCallKind, Transport, TransportError};

/// The largest proposal that the log takes; it fits a message with room for its frame.
pub const MAX_PROPOSAL_BYTES: usize = (7 << 18) + (64 << 10);

/// The file of the log.
const LOG_FILE: &str = "raft.redb";
