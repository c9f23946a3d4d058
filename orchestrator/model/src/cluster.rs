//! The swarm itself: Docker's `swarm.Spec`, and the state that only managers hold.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ClusterId, Driver, Meta, NodeId, RaftId, RootCa, Secret};

/// The swarm as the store keeps it. There is exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The swarm's id.
    pub id: ClusterId,
    /// Version and times.
    pub meta: Meta,
    /// What is wanted.
    pub spec: SwarmSpec,
    /// What only managers hold.
    pub state: ClusterState,
}

/// What only managers hold of the swarm; none of the keys here has a view in the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// The certificate authority of the nodes.
    pub root_ca: RootCa,
    /// The secrets of the two join tokens.
    pub join_secrets: JoinSecrets,
    /// What opens a locked manager, as operators write it (`SWMKEY-1-…`); there while managers lock themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlock_key: Option<Secret>,
    /// Keys of the gossip, newest first; the first one seals, all of them open.
    pub gossip_keys: Vec<GossipKey>,
    /// The authority (PEM) whose certificates may use the API over TLS; absent in a swarm made by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
    /// Nodes that were removed: their certificates are refused until they have expired.
    #[serde(default)]
    pub removed_nodes: Vec<RemovedNode>,
    /// Raft ids that must never come back.
    #[serde(default)]
    pub removed_raft_ids: Vec<RaftId>,
    /// UDP port of VXLAN.
    pub data_path_port: u16,
    /// Pools (CIDR) that overlays are cut from.
    pub default_addr_pool: Vec<String>,
    /// Prefix length of an overlay's subnet.
    pub subnet_size: u32,
}

/// The secret halves of the join tokens: 25 base-36 digits each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinSecrets {
    /// Lets a node join as a worker.
    pub worker: Secret,
    /// Lets a node join as a manager.
    pub manager: Secret,
}

/// A key of the gossip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GossipKey {
    /// Named in the clear on every datagram.
    pub id: u32,
    /// 32 bytes, base64.
    pub key: Secret,
}

/// A node that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedNode {
    /// Its id.
    pub id: NodeId,
    /// When its last certificate has certainly expired, and the entry may go.
    pub until: Timestamp,
}

/// Docker's `swarm.Spec`. Durations are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SwarmSpec {
    /// Always `default` in Docker.
    pub name: String,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
    /// Task history.
    pub orchestration: OrchestrationConfig,
    /// Raft's settings; kept and shown, while timing is our own.
    pub raft: RaftConfig,
    /// The dispatcher's settings.
    pub dispatcher: DispatcherConfig,
    /// The authority's settings.
    #[serde(rename = "CAConfig")]
    pub ca_config: CaConfig,
    /// Defaults of tasks.
    pub task_defaults: TaskDefaults,
    /// Encryption at rest.
    pub encryption_config: EncryptionConfig,
}

impl Default for SwarmSpec {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            labels: BTreeMap::new(),
            orchestration: OrchestrationConfig::default(),
            raft: RaftConfig::default(),
            dispatcher: DispatcherConfig::default(),
            ca_config: CaConfig::default(),
            task_defaults: TaskDefaults::default(),
            encryption_config: EncryptionConfig::default(),
        }
    }
}

/// How much history a slot keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OrchestrationConfig {
    /// Ended tasks kept for each slot; negative keeps all.
    pub task_history_retention_limit: Option<i64>,
}

impl Default for OrchestrationConfig {
    fn default() -> Self {
        Self { task_history_retention_limit: Some(5) }
    }
}

/// Docker's raft settings and their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RaftConfig {
    /// Log entries between snapshots.
    pub snapshot_interval: u64,
    /// Old snapshots kept.
    pub keep_old_snapshots: Option<u64>,
    /// Entries kept after a snapshot for followers that lag.
    pub log_entries_for_slow_followers: u64,
    /// Ticks without a leader before an election.
    pub election_tick: i64,
    /// Ticks between heartbeats.
    pub heartbeat_tick: i64,
}

impl Default for RaftConfig {
    fn default() -> Self {
        Self {
            snapshot_interval: 10_000,
            keep_old_snapshots: Some(0),
            log_entries_for_slow_followers: 500,
            election_tick: 10,
            heartbeat_tick: 1,
        }
    }
}

/// The dispatcher's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DispatcherConfig {
    /// Nanoseconds between heartbeats of an agent.
    pub heartbeat_period: i64,
}

impl Default for DispatcherConfig {
    fn default() -> Self {
        Self { heartbeat_period: 5_000_000_000 }
    }
}

/// The authority's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CaConfig {
    /// Nanoseconds that a node certificate lives; 90 days in Docker.
    pub node_cert_expiry: i64,
    /// Authorities outside the swarm.
    #[serde(rename = "ExternalCAs", skip_serializing_if = "Vec::is_empty")]
    pub external_cas: Vec<ExternalCa>,
    /// A root to change to; in requests only, the store keeps none.
    #[serde(rename = "SigningCACert", skip_serializing_if = "String::is_empty")]
    pub signing_ca_cert: String,
    /// Its key; in requests only, the store keeps none.
    #[serde(rename = "SigningCAKey", skip_serializing_if = "Secret::is_empty")]
    pub signing_ca_key: Secret,
    /// Raised to force a new root.
    #[serde(skip_serializing_if = "is_zero")]
    pub force_rotate: u64,
}

impl Default for CaConfig {
    fn default() -> Self {
        Self {
            node_cert_expiry: 7_776_000_000_000_000,
            external_cas: Vec::new(),
            signing_ca_cert: String::new(),
            signing_ca_key: Secret::default(),
            force_rotate: 0,
        }
    }
}

impl CaConfig {
    /// The settings as they are kept: a root that was asked for is an act, and its key no setting.
    #[must_use]
    pub fn without_root(self) -> Self {
        Self { signing_ca_cert: String::new(), signing_ca_key: Secret::default(), ..self }
    }
}

/// An authority outside the swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExternalCa {
    /// `cfssl`.
    pub protocol: String,
    /// Where it answers.
    #[serde(rename = "URL")]
    pub url: String,
    /// Further options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The root it signs with.
    #[serde(rename = "CACert", skip_serializing_if = "String::is_empty")]
    pub ca_cert: String,
}

/// Defaults of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskDefaults {
    /// The log driver of tasks that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<Driver>,
}

/// Encryption at rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EncryptionConfig {
    /// Whether a restarted manager waits for the unlock key.
    pub auto_lock_managers: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
