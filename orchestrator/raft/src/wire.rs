//! The messages between members, in their own words rather than openraft's, so that they can be kept stable.
//!
//! Every message names its sender and its addressee: a node that answers at the address of a former member must not
//! take messages for itself that were meant for the other.

use std::collections::BTreeSet;

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest, VoteResponse};
use serde::{Deserialize, Serialize};

use crate::types::{Entry, LogId, SnapshotMeta, TypeConfig, Vote};

/// A message and its parties.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope<M> {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) message: M,
}

/// Entries of the leader; without entries, its heartbeat.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Append {
    vote: Vote,
    previous: Option<LogId>,
    entries: Vec<Entry>,
    committed: Option<LogId>,
}

/// What a follower says to entries.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum AppendReply {
    /// All are on its disk.
    Success,
    /// Those up to this one are.
    Partial(Option<LogId>),
    /// It does not have the entry that they follow.
    Conflict,
    /// It knows a later vote.
    HigherVote(Vote),
}

/// A chunk of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Chunk {
    vote: Vote,
    meta: SnapshotMeta,
    offset: u64,
    data: Bytes,
    is_last: bool,
}

/// A candidate's request, and the same as a question beforehand.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ballot {
    /// The vote that is asked for; absent in a question beforehand.
    #[serde(default)]
    pub(crate) vote: Option<Vote>,
    pub(crate) last: Option<LogId>,
    /// In a question beforehand: the leader is not merely silent, it is known not to lead any more.
    #[serde(default)]
    pub(crate) is_leader_gone: bool,
}

/// What a voter says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BallotReply {
    pub(crate) is_granted: bool,
    pub(crate) vote: Vote,
    pub(crate) last: Option<LogId>,
}

/// The state of a member that is greeted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    /// Whether it is part of a group already.
    pub(crate) is_formed: bool,
    /// The members of that group as far as it knows them.
    #[serde(default)]
    pub(crate) members: BTreeSet<u64>,
    /// Whether it leads that group, as far as it knows.
    #[serde(default)]
    pub(crate) leads: bool,
}

impl Append {
    /// The vote by which the sender leads.
    pub(crate) fn vote(&self) -> &Vote {
        &self.vote
    }
}

impl Chunk {
    /// The vote by which the sender leads.
    pub(crate) fn vote(&self) -> &Vote {
        &self.vote
    }
}

impl From<AppendEntriesRequest<TypeConfig>> for Append {
    fn from(request: AppendEntriesRequest<TypeConfig>) -> Self {
        let AppendEntriesRequest { vote, prev_log_id, entries, leader_commit } = request;
        Self { vote, previous: prev_log_id, entries, committed: leader_commit }
    }
}

impl From<Append> for AppendEntriesRequest<TypeConfig> {
    fn from(append: Append) -> Self {
        let Append { vote, previous, entries, committed } = append;
        Self { vote, prev_log_id: previous, entries, leader_commit: committed }
    }
}

impl From<AppendEntriesResponse<u64>> for AppendReply {
    fn from(response: AppendEntriesResponse<u64>) -> Self {
        match response {
            AppendEntriesResponse::Success => Self::Success,
            AppendEntriesResponse::PartialSuccess(upto) => Self::Partial(upto),
            AppendEntriesResponse::Conflict => Self::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Self::HigherVote(vote),
        }
    }
}

impl From<AppendReply> for AppendEntriesResponse<u64> {
    fn from(reply: AppendReply) -> Self {
        match reply {
            AppendReply::Success => Self::Success,
            AppendReply::Partial(upto) => Self::PartialSuccess(upto),
            AppendReply::Conflict => Self::Conflict,
            AppendReply::HigherVote(vote) => Self::HigherVote(vote),
        }
    }
}

impl From<InstallSnapshotRequest<TypeConfig>> for Chunk {
    fn from(request: InstallSnapshotRequest<TypeConfig>) -> Self {
        let InstallSnapshotRequest { vote, meta, offset, data, done } = request;
        Self { vote, meta, offset, data: Bytes::from(data), is_last: done }
    }
}

impl From<Chunk> for InstallSnapshotRequest<TypeConfig> {
    fn from(chunk: Chunk) -> Self {
        let Chunk { vote, meta, offset, data, is_last } = chunk;
        Self { vote, meta, offset, data: data.into(), done: is_last }
    }
}

impl From<VoteRequest<u64>> for Ballot {
    fn from(request: VoteRequest<u64>) -> Self {
        Self { vote: Some(request.vote), last: request.last_log_id, is_leader_gone: false }
    }
}

impl From<VoteResponse<u64>> for BallotReply {
    fn from(response: VoteResponse<u64>) -> Self {
        Self { is_granted: response.vote_granted, vote: response.vote, last: response.last_log_id }
    }
}

impl From<BallotReply> for VoteResponse<u64> {
    fn from(reply: BallotReply) -> Self {
        VoteResponse::new(reply.vote, reply.last, reply.is_granted)
    }
}
