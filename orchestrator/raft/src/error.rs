//! Why the group could not do what it was asked.

use std::path::{Path, PathBuf};

use model::RaftId;

use crate::Peer;

/// Why a proposal or a linearizable read got no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Somebody else leads, or nobody does. Nothing was proposed: asking the leader is safe.
    #[error("this member does not lead")]
    NotLeader {
        /// Who does, if known.
        leader: Option<Peer>,
    },
    /// The leader reaches no quorum. Nothing was proposed.
    #[error("no quorum of the members is reachable")]
    NoQuorum,
    /// The proposal was in the log when leadership or quorum was lost; it may still be committed.
    #[error("leadership was lost before the proposal was committed; it may still be")]
    Uncertain,
    /// The proposal is larger than the log takes.
    #[error("a proposal of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// This member has stopped.
    #[error("this member of the group has stopped")]
    Stopped,
}

/// Why the membership did not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// The change could not be proposed.
    #[error("failed to propose the change of members")]
    Propose(#[from] ProposeError),
    /// The id belonged to a member that was removed.
    #[error("raft id {0} belonged to a removed member and is never used again")]
    Reused(RaftId),
    /// The id belongs to a member on another node.
    #[error("raft id {0} belongs to another member")]
    Taken(RaftId),
    /// The new member did not catch up in time; it is not a voter.
    #[error("member {0} did not catch up in time")]
    TooSlow(RaftId),
    /// Without this member no quorum would be left.
    #[error("can't remove member from the raft: this would result in a loss of quorum")]
    QuorumLoss,
    /// The only voter, or the leader itself: it must hand over first.
    #[error("member {0} leads and must hand over first")]
    Leads(RaftId),
}

/// Why leadership was not handed over. The member leads on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This member does not lead.
    #[error("this member does not lead")]
    NotLeader,
    /// There is no other voter that is reachable and caught up.
    #[error("no other voter is reachable and caught up")]
    NoCandidate,
    /// No other member took over in time.
    #[error("no other member took over in time")]
    TimedOut,
    /// This member has stopped.
    #[error("this member of the group has stopped")]
    Stopped,
}

/// Why a message of another member was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// The message cannot be read.
    #[error("message cannot be read: {0}")]
    Malformed(String),
    /// The message is for another member: this node answers at its former address.
    #[error("message is for member {to}, this is {me}")]
    Misdirected {
        /// For whom.
        to: RaftId,
        /// Who this is.
        me: RaftId,
    },
    /// The sender was removed from the group, for good.
    #[error("member {0} was removed from the group")]
    Removed(RaftId),
    /// This member has stopped.
    #[error("this member of the group has stopped")]
    Stopped,
}

/// Why a member could not start. What is on disk is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data key is missing while the log exists.
    #[error("data key `{}` is missing, but `{}` exists", .key.display(), .log.display())]
    KeyMissing {
        /// Where the key should be.
        key: PathBuf,
        /// The log that it sealed.
        log: PathBuf,
    },
    /// The data key is damaged or of an unknown format.
    #[error("data key `{}` is damaged or of an unknown format", .0.display())]
    KeyDamaged(PathBuf),
    /// The data key is sealed, and not with the key that was handed in.
    #[error("data key `{}` is sealed with another key", .0.display())]
    KeySealed(PathBuf),
    /// A record was sealed by another key.
    #[error("`{}` was sealed with key {found}, but the data key is {expected}", .path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// The key named in the record.
        found: u32,
        /// The key at hand.
        expected: u32,
    },
    /// A record is damaged, or was sealed by a key of the same number.
    #[error("record `{record}` of `{}` is damaged or was sealed with another key", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The record.
        record: String,
    },
    /// A record is of a format that this version does not know.
    #[error("record `{record}` of `{}` has format {format}, which this version does not know", .path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The record.
        record: String,
        /// Its format.
        format: u8,
    },
    /// The file could not be read or written.
    #[error("failed to {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The settings contradict each other.
    #[error("the raft settings contradict each other: {0}")]
    Settings(String),
    /// The log was read, but the group could not be started from it.
    #[error("failed to start from the log: {0}")]
    Start(String),
}

impl OpenError {
    pub(crate) fn io(
        action: &'static str,
        path: &Path,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}

/// This member cannot go on: its disk failed, or an entry could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this member of the group has failed: {0}")]
pub struct RaftFailure(pub String);
