//! What the gossip knows of the members.

use std::collections::BTreeMap;
use std::time::Duration;

use model::NodeId;

/// How a member fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// It answers.
    Alive,
    /// It did not answer; it has a moment to contradict.
    Suspect,
    /// It did not contradict.
    Dead,
}

/// The other members of the roster that the gossip has heard of. One that was never heard is absent: not dead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GossipView {
    /// Each member's state.
    pub peers: BTreeMap<NodeId, PeerState>,
    /// The longest delay that this node lately saw in its own scheduling.
    pub scheduling_delay: Duration,
}

impl GossipView {
    /// The state of a member; none while nothing was heard of it.
    pub fn state(&self, node: &NodeId) -> Option<PeerState> {
        self.peers.get(node).copied()
    }

    /// The members in a state.
    pub fn in_state(&self, state: PeerState) -> impl Iterator<Item = &NodeId> {
        self.peers.iter().filter(move |(_, candidate)| **candidate == state).map(|(node, _)| node)
    }

    /// The members held for dead, as a heartbeat reports them.
    pub fn dead(&self) -> Vec<NodeId> {
        self.in_state(PeerState::Dead).cloned().collect()
    }
}
