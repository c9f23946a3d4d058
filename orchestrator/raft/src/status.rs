//! What a member knows of the group at this moment.

use std::collections::BTreeMap;

use model::RaftId;

use crate::Peer;

/// The group as this member sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RaftStatus {
    /// The leader, as long as it is heard of; absent while there is none, and on a leader without a quorum.
    pub leader: Option<Peer>,
    /// Whether this member leads and reaches a quorum.
    pub is_leader: bool,
    /// The term; a leader's components live for one term.
    pub term: u64,
    /// The members, and whether they vote.
    pub members: BTreeMap<RaftId, (Peer, bool)>,
    /// The last entry that the state machine has seen.
    pub last_applied: u64,
    /// Another member says that this one was removed from the group: it leads no more, and its log is of no use.
    pub is_removed: bool,
}

impl RaftStatus {
    /// The ids of the members that vote.
    pub fn voters(&self) -> impl Iterator<Item = RaftId> {
        self.members.iter().filter(|(_, (_, is_voter))| *is_voter).map(|(id, _)| *id)
    }
}
