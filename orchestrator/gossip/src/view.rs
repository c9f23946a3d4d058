//! What the gossip knows of the members.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use model::NodeId;
use tracing::info;

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
    /// Members whose datagrams come from another address than the roster has, and from which: they have moved, or sit
    /// behind a gateway.
    pub elsewhere: BTreeMap<NodeId, IpAddr>,
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

/// Logs what an operator would note.
pub(crate) fn report(before: &BTreeMap<NodeId, PeerState>, after: &BTreeMap<NodeId, PeerState>) {
    for (node, state) in after {
        match (before.get(node), state) {
            (Some(PeerState::Dead) | None, PeerState::Alive) => info!(peer = %node, "peer is alive"),
            (Some(PeerState::Alive | PeerState::Suspect), PeerState::Dead) => info!(peer = %node, "peer is dead"),
            _ => {}
        }
    }
}
