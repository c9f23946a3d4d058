//! How raft messages travel: one call, one answer, bytes both ways. The RPC crate implements it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Peer;

/// No raft message is larger than this, so that a transport can bound what it reads.
pub const MAX_MESSAGE_BYTES: usize = 2 << 20;

/// What a message is; both sides must agree on it, so its values never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RaftCallKind {
    /// Log entries of the leader, or its heartbeat.
    Append,
    /// One chunk of a snapshot.
    Snapshot,
    /// A candidate asks for a vote.
    Vote,
    /// Would you vote for me? Changes nothing.
    PreVote,
    /// The leader asks this member to stand for election at once.
    TakeOver,
    /// Are you there, and do you lead? Asked while the group is formed, and of a leader that has fallen silent.
    Greet,
    /// You were removed from the group: told to who may not have heard of it.
    Removed,
}

/// Why a message got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The member could not be connected to.
    #[error("member is unreachable: {0}")]
    Unreachable(String),
    /// The member did not answer in time.
    #[error("member did not answer in time")]
    TimedOut,
    /// The member answered with an error.
    #[error("member refused: {0}")]
    Refused(String),
    /// The member answered that this one was removed from the group ([`HandleError::Removed`](crate::HandleError)).
    #[error("the member says that this one was removed from the group")]
    Removed,
}

/// Carries messages to members. Connections, retries and identities are its own concern.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends one message of at most [`MAX_MESSAGE_BYTES`] and waits for the answer of
    /// [`Raft::handle`](crate::Raft::handle) on the other side, at most for `timeout`.
    ///
    /// Dropping the future gives the call up.
    async fn call(
        &self,
        peer: &Peer,
        kind: RaftCallKind,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError>;
}
