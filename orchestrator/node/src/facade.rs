//! What the Engine API may ask of a node: the one door between HTTP and the swarm.
//!
//! `engine-api` knows only these traits; its own tests put a small fake behind them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::Stream;
use model::{
    Availability, Caller, Cluster, ClusterId, ControlRequest, ControlResponse, LogMessage, LogRequest, ManagerPeer,
    Node, NodeId, Secret, ServiceId, SwarmError, SwarmSpec,
};
use store::Snapshot;

/// Where a node stands, as `docker info` shows it (`LocalNodeState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwarmCondition {
    /// In no swarm.
    Inactive,
    /// Joining, or waiting for a manager.
    Pending,
    /// A member.
    Active,
    /// Waiting for the unlock key.
    Locked,
    /// Joining failed.
    Failed,
}

/// A node's own view of itself and the swarm; costs nothing to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Where it stands.
    pub condition: SwarmCondition,
    /// Its id, once it has one.
    pub node_id: Option<NodeId>,
    /// The swarm's id, once known.
    pub cluster_id: Option<ClusterId>,
    /// The address it is reached at, without a port; empty outside a swarm.
    pub addr: String,
    /// Whether it is a manager that has joined raft.
    pub is_manager: bool,
    /// Why it is not well, in Docker's words; empty when it is.
    pub error: String,
    /// The managers it knows.
    pub managers: Vec<ManagerPeer>,
}

/// Docker's `POST /swarm/init`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitRequest {
    /// `0.0.0.0:2377` where absent; an address, one with a port, or an interface.
    pub listen_addr: Option<String>,
    /// An address, one with a port, or an interface; found by itself where there is one candidate.
    pub advertise_addr: Option<String>,
    /// An address or interface for VXLAN; the advertised one where absent.
    pub data_path_addr: Option<String>,
    /// UDP port of VXLAN; 0 is 4789.
    pub data_path_port: u32,
    /// Pools (CIDR) that overlays are cut from; `10.0.0.0/8` where empty.
    pub default_addr_pool: Vec<String>,
    /// Prefix length of an overlay's subnet; 0 is 24.
    pub subnet_size: u32,
    /// On a manager: go on with its swarm, and with it as the only manager. Addresses that are not given stay, and so
    /// does all that is the swarm's. Elsewhere it changes nothing.
    pub force_new_cluster: bool,
    /// Docker's top-level shortcut for the spec's field.
    pub auto_lock_managers: bool,
    /// The availability the node starts with.
    pub availability: Availability,
    /// The swarm's settings.
    pub spec: SwarmSpec,
}

/// Docker's `POST /swarm/join`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JoinRequest {
    /// As in [`InitRequest`].
    pub listen_addr: Option<String>,
    /// As in [`InitRequest`]; where absent, the address used towards the first remote.
    pub advertise_addr: Option<String>,
    /// As in [`InitRequest`].
    pub data_path_addr: Option<String>,
    /// Managers to join (`host:port`, the port defaults to 2377).
    pub remote_addrs: Vec<String>,
    /// The join token.
    pub join_token: String,
    /// The availability the node starts with.
    pub availability: Availability,
}

/// How a manager is reached, as the leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManagerReachability {
    /// It is the leader.
    pub is_leader: bool,
    /// The leader hears from it.
    pub is_reachable: bool,
}

/// What a linearizable read shows: every write acknowledged before the read began is in it.
#[derive(Debug, Clone)]
pub struct SwarmRead {
    /// The swarm.
    pub cluster: Arc<Cluster>,
    /// All nodes, by id.
    pub nodes: BTreeMap<NodeId, Arc<Node>>,
    /// All managers that are members of raft, by id.
    pub managers: BTreeMap<NodeId, ManagerReachability>,
    /// All there is, of the same moment: services and tasks are looked up in it, and none is copied.
    pub snapshot: Snapshot,
}

/// A node, as the Engine API uses it.
#[async_trait]
pub trait SwarmNode: Debug + Send + Sync {
    /// The node's own view; never waits.
    fn view(&self) -> NodeView;

    /// Starts a new swarm, or goes on with this manager's as its only one, and returns the node's id. On return `GET /nodes/{id}` shows the manager's address.
    async fn init(&self, request: InitRequest) -> Result<NodeId, SwarmError>;

    /// Joins a swarm; returns once the node is a member, or after 20 s with Docker's words, going on in the background.
    async fn join(&self, request: JoinRequest) -> Result<(), SwarmError>;

    /// Opens the keys of a locked manager; returns once it is a member again, or after a while when others are missing
    /// for that. Refuses in Docker's words: a text that is no key (400), another key (401), a node that is not locked
    /// (409, or the refusal of [`manager`](Self::manager)).
    async fn unlock(&self, key: &Secret) -> Result<(), SwarmError>;

    /// Leaves the swarm; a manager leaves by force only.
    async fn leave(&self, force: bool) -> Result<(), SwarmError>;

    /// The manager on this node, or Docker's 503 where there is none.
    fn manager(&self) -> Result<Arc<dyn ManagerAccess>, SwarmError>;
}

/// A manager, as the Engine API uses it. On a follower, requests are forwarded to the leader.
#[async_trait]
pub trait ManagerAccess: Debug + Send + Sync {
    /// A linearizable read; fails in Docker's words where the swarm has no leader.
    async fn read(&self) -> Result<SwarmRead, SwarmError>;

    /// Draws the id of a service that is to be created.
    fn new_service_id(&self) -> ServiceId;

    /// Changes the swarm; returns once the change is committed and seen by [`read`](ManagerAccess::read).
    async fn control(&self, caller: Caller, request: ControlRequest) -> Result<ControlResponse, SwarmError>;

    /// Reads output of tasks from all nodes, of the moment, or with `follow` until the target is gone. A change of the
    /// leader does not end it. Dropping what is returned ends the reading.
    async fn logs(&self, caller: Caller, request: LogRequest) -> Result<LogMessages, SwarmError>;
}

/// Output that is read: lines, and at the end what was missed, if anything was. An error is the last item.
pub type LogMessages = Pin<Box<dyn Stream<Item = Result<LogMessage, SwarmError>> + Send>>;
