//! The beginning of a swarm on a node's disk: kept until the swarm has been seen to stand, so that a crash in
//! between loses nothing.

use std::collections::BTreeMap;

use model::{Availability, ClusterId, GossipKey, ManagerPeer, RaftId, Role, RosterEntry, Seed};
use raft::Peer;
use serde::{Deserialize, Serialize};

/// What a node knows of a swarm that is only beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GenesisFile {
    /// The swarm's id.
    pub(crate) cluster_id: ClusterId,
    /// The first key of its gossip.
    pub(crate) gossip_key: GossipKey,
    /// All its members.
    pub(crate) roster: Vec<RosterEntry>,
    /// What the first leader commits; managers only.
    pub(crate) seed: Option<Seed>,
    /// The availability that the members start with.
    #[serde(default)]
    pub(crate) availability: Availability,
}

impl GenesisFile {
    /// What the first leader commits.
    pub(crate) fn genesis(&self) -> Option<manager::Genesis> {
        self.seed.clone().map(|seed| manager::Genesis {
            cluster_id: self.cluster_id.clone(),
            seed,
            gossip_key: self.gossip_key.clone(),
            roster: self.roster.clone(),
            availability: self.availability,
        })
    }

    /// The first members of raft.
    pub(crate) fn raft_roster(&self) -> BTreeMap<RaftId, Peer> {
        let peer = |entry: &RosterEntry| {
            let raft_id = entry.raft_id.filter(|_| entry.role == Role::Manager)?;
            let (node_id, hostname) = (entry.node_id.clone(), entry.hostname.clone());
            Some((raft_id, Peer { raft_id, node_id, addr: entry.addr, hostname }))
        };
        self.roster.iter().filter_map(peer).collect()
    }

    /// The first managers, for the agent.
    pub(crate) fn managers(&self) -> Vec<ManagerPeer> {
        self.peers(|entry| entry.role == Role::Manager)
    }

    /// All first members, for the gossip.
    pub(crate) fn members(&self) -> Vec<ManagerPeer> {
        self.peers(|_| true)
    }

    fn peers(&self, is_wanted: impl Fn(&RosterEntry) -> bool) -> Vec<ManagerPeer> {
        self.roster
            .iter()
            .filter(|entry| is_wanted(entry))
            .map(|entry| ManagerPeer { node_id: entry.node_id.clone(), addr: entry.addr })
            .collect()
    }
}
