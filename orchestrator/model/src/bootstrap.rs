//! The file by which a machine becomes a node of a new swarm. Valid once, for one host.
//!
//! It is made on the workstation before any machine exists, travels by standard input into a 0600 file on
//! tmpfs, and is unlinked when the agent has taken it over. It is never on a command line.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ClusterId, GossipKey, JoinSecrets, NodeId, RaftId, Role, RootCa, Secret, SwarmSpec};

/// The only format of bootstrap files so far.
pub const BOOTSTRAP_FORMAT: u32 = 1;

/// All that one machine needs to take its place in a new swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// [`BOOTSTRAP_FORMAT`]; another one is refused.
    pub format: u32,
    /// Random; the agent records it, and refuses a file whose nonce it has seen.
    pub nonce: String,
    /// The host that this file is for; any other refuses it.
    pub host: Host,
    /// The swarm's id.
    pub cluster_id: ClusterId,
    /// The node that the host becomes.
    pub node_id: NodeId,
    /// Its role.
    pub role: Role,
    /// Its first certificate, PEM; replaced by one of its own once the swarm stands.
    pub certificate: String,
    /// The key of the first certificate, PEM (PKCS #8).
    pub key: Secret,
    /// The roots it trusts, PEM, one each.
    pub roots: Vec<String>,
    /// The first key of the gossip.
    pub gossip_key: GossipKey,
    /// Every member of the new swarm, this one included.
    pub roster: Vec<RosterEntry>,
    /// What the first leader commits: the same in each manager's file, absent in a worker's.
    pub seed: Option<Seed>,
}

/// The host a bootstrap file is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The name that the node has in the swarm (`node-1`).
    pub hostname: String,
    /// The address that it is reached at by the other members; must be one of the host's own.
    pub advertise_addr: SocketAddr,
}

/// A member of the new swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Its id.
    pub node_id: NodeId,
    /// Its host name.
    pub hostname: String,
    /// Its role.
    pub role: Role,
    /// Its raft id, where it is a manager.
    pub raft_id: Option<RaftId>,
    /// Where the others reach it (2377/tcp).
    pub addr: SocketAddr,
}

/// The identity of the swarm, which the first leader commits as one idempotent entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// The swarm's settings.
    pub spec: SwarmSpec,
    /// When the identity was made.
    pub created_at: Timestamp,
    /// The authority of the nodes.
    pub root_ca: RootCa,
    /// The secrets of the join tokens.
    pub join_secrets: JoinSecrets,
    /// What opens a locked manager; given where the settings have managers lock themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlock_key: Option<Secret>,
    /// The authority (PEM) of the API's clients.
    pub client_ca: Option<String>,
    /// UDP port of VXLAN.
    pub data_path_port: u16,
    /// Pools (CIDR) that overlays are cut from.
    pub default_addr_pool: Vec<String>,
    /// Prefix length of an overlay's subnet.
    pub subnet_size: u32,
}
