//! The group of managers as raft has it, in the terms of nodes.

use model::{NodeId, RaftMember};
use raft::{Peer, Raft};

use crate::control::rules::Members;

/// A view of raft's members by node.
#[derive(Debug, Clone)]
pub(crate) struct RaftMembers(pub(crate) Raft);

impl RaftMembers {
    /// All members, those included that do not vote yet.
    pub(crate) fn all(&self) -> Vec<(Peer, bool)> {
        self.0.status().borrow().members.values().cloned().collect()
    }

    /// The membership of a node that votes.
    pub(crate) fn voter(&self, node: &NodeId) -> Option<RaftMember> {
        self.all()
            .into_iter()
            .find(|(peer, is_voter)| *is_voter && peer.node_id == *node)
            .map(|(peer, _)| RaftMember { raft_id: peer.raft_id, addr: peer.addr })
    }

    /// The members that a node has: one as a rule, two while it comes back under a new id.
    pub(crate) fn of_node(&self, node: &NodeId) -> Vec<Peer> {
        self.all().into_iter().filter(|(peer, _)| peer.node_id == *node).map(|(peer, _)| peer).collect()
    }
}

impl Members for RaftMembers {
    fn is_member(&self, node: &NodeId) -> bool {
        !self.of_node(node).is_empty()
    }

    fn would_lose_quorum_without(&self, node: &NodeId) -> bool {
        self.of_node(node).iter().any(|peer| self.0.would_lose_quorum_without(peer.raft_id))
    }
}
