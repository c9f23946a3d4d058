//! A member of the swarm: what is wanted of it, and what is known of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{Meta, NodeId, RaftId};

/// What a node does in the swarm. Docker writes it in lower case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs tasks.
    #[default]
    Worker,
    /// Holds the replicated state as well.
    Manager,
}

impl Role {
    /// The organisational unit that a certificate of this role carries (SwarmKit's names).
    pub fn organizational_unit(self) -> &'static str {
        match self {
            Self::Worker => "swarm-worker",
            Self::Manager => "swarm-manager",
        }
    }

    /// Docker's word for the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Manager => "manager",
        }
    }
}

/// Whether a node takes tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// Takes new tasks.
    #[default]
    Active,
    /// Keeps its tasks, takes none.
    Pause,
    /// Gives up its tasks, takes none.
    Drain,
}

/// What the operator wants of a node: Docker's `NodeSpec`, kept losslessly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeSpec {
    /// Docker's optional name of a node; empty as a rule.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
    /// The role wanted; the observed one is in [`NodeState::role`].
    pub role: Role,
    /// Whether the node shall take tasks.
    pub availability: Availability,
}

/// A node as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The node's id, which is also its certificate's common name.
    pub id: NodeId,
    /// Version and times.
    pub meta: Meta,
    /// What is wanted.
    pub spec: NodeSpec,
    /// What is known.
    pub state: NodeState,
}

/// What the managers know of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeState {
    /// The role that the node's next certificate gets. Follows the spec: at once when promoting, after leaving raft when demoting.
    pub role: Role,
    /// What the node says of itself; absent until its first session.
    pub description: Option<NodeDescription>,
    /// How the node fares.
    pub status: NodeStatus,
    /// Its membership in raft, while it is a manager.
    pub member: Option<RaftMember>,
    /// The leader cannot reach it, while it is a manager.
    pub is_unreachable: bool,
    /// The membership that it had when raft began anew without it; until it is known to act on it no more.
    pub former_member: Option<RaftMember>,
}

/// A manager's place in the raft group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftMember {
    /// Its raft id.
    pub raft_id: RaftId,
    /// Where the others reach it (2377/tcp).
    pub addr: SocketAddr,
}

/// How a node fares, in the order in which Docker knows the states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeHealth {
    /// Nothing heard yet, or not since the leader changed.
    #[default]
    Unknown,
    /// Lost: its tasks are replaced.
    Down,
    /// In session with a manager.
    Ready,
    /// Told to move to another manager.
    Disconnected,
}

impl NodeHealth {
    /// Docker's word for the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::Ready => "ready",
            Self::Disconnected => "disconnected",
        }
    }
}

/// The health of a node, why, and where it was last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// The state.
    pub state: NodeHealth,
    /// Why, where there is more to say ("heartbeat failure").
    pub message: String,
    /// The address without a port, as Docker shows it.
    pub addr: String,
}

/// The newest format of the managers' log that this version reads and writes: 2 has changes that name what is different in
/// an object. A manager writes no newer one than all managers have said that they read.
pub const LOG_FORMAT: u8 = 2;

/// What a node says of itself when it opens a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeDescription {
    /// Its host name.
    pub hostname: String,
    /// Its architecture and operating system.
    pub platform: Platform,
    /// Its processors and memory.
    pub resources: Resources,
    /// Its engine.
    pub engine: EngineDescription,
    /// The roots it trusts and the issuer of its certificate.
    pub tls: TlsInfo,
    /// Prefixes (CIDR) of its routes and addresses, which no overlay may take.
    pub prefixes: Vec<String>,
    /// The newest format of the managers' log that its version reads ([`LOG_FORMAT`]); 0 where it does not say.
    pub log_format: u8,
}

/// Architecture and operating system, as Docker names them (`x86_64`, `linux`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Platform {
    /// `x86_64`, `aarch64`, …
    pub architecture: String,
    /// `linux`.
    #[serde(rename = "OS")]
    pub os: String,
}

/// Processors (in billionths) and memory (in bytes).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Processors × 10⁹.
    #[serde(rename = "NanoCPUs")]
    pub nano_cpus: i64,
    /// Memory in bytes.
    #[serde(rename = "MemoryBytes")]
    pub memory_bytes: i64,
}

/// The engine of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EngineDescription {
    /// Version of the agent.
    pub engine_version: String,
    /// The labels the engine was started with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it can plug in: volume, network and log drivers.
    pub plugins: Vec<Plugin>,
}

/// A capability of an engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Plugin {
    /// `Volume`, `Network`, `Log`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Its name, such as `overlay`.
    pub name: String,
}

/// The trust of a node as Docker shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TlsInfo {
    /// The roots, PEM.
    pub trust_root: String,
    /// Subject of the issuer: base64 of DER.
    pub cert_issuer_subject: String,
    /// Public key of the issuer: base64 of DER.
    pub cert_issuer_public_key: String,
}
