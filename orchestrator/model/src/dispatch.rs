//! What agent and dispatcher say to each other.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{GossipKey, Node, NodeDescription, NodeId, SessionId, TlsInfo};

/// Opens a session: the agent says who and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRequest {
    /// What the node says of itself.
    pub description: NodeDescription,
    /// Where the node is reached (its advertise address with the control port).
    pub addr: SocketAddr,
    /// The session that this one follows, where the agent has had one.
    pub previous: Option<SessionId>,
}

/// A manager, as agents know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ManagerPeer {
    /// Its node id.
    pub node_id: NodeId,
    /// Where it answers (2377/tcp).
    pub addr: SocketAddr,
}

/// What the dispatcher streams to an agent: the first message at once, another at every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMessage {
    /// The session.
    pub session_id: SessionId,
    /// The node as the managers see it; its role tells the agent what certificate to ask for.
    pub node: Node,
    /// The managers to turn to.
    pub managers: Vec<ManagerPeer>,
    /// Every member's address, for gossip and its firewall.
    pub members: Vec<ManagerPeer>,
    /// The keys of the gossip, newest first.
    pub gossip_keys: Vec<GossipKey>,
    /// The roots to trust, PEM, one each; the first one signs, and a certificate of another one is to be renewed.
    pub roots: Vec<String>,
    /// The authority (PEM) of the API's clients; sent to managers only.
    pub client_ca: Option<String>,
}

/// A time as messages carry it.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Keeps a session alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    /// The session.
    pub session_id: SessionId,
    /// The node restarts on purpose: for 20 s its silence is no loss.
    pub is_restarting: bool,
    /// The node leaves the swarm: it is down at once, and no loss.
    #[serde(default)]
    pub is_leaving: bool,
    /// The node stops until somebody starts it again: it is down at once.
    #[serde(default)]
    pub is_stopping: bool,
    /// The longest delay (milliseconds) that the node has lately seen in its own scheduling.
    pub scheduling_delay_ms: u64,
    /// Members that the node's gossip holds for dead.
    pub gossip_dead: Vec<NodeId>,
    /// The trust of the node, where it is another one than it last told; kept on its disk before it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsInfo>,
    /// Milliseconds that the swarm's lease has left by the word that this node heard last, where there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_left_ms: Option<u64>,
}

/// When to send the next heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatResponse {
    /// Milliseconds until the next heartbeat is due.
    pub period_ms: u64,
    /// Milliseconds that the swarm's lease has left by the word that the leader heard last, where there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_left_ms: Option<u64>,
}
