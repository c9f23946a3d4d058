//! The vocabulary that every part of swarmup shares: ids, objects, specs and the messages between parts.
//!
//! Pure data and pure rules: nothing here does I/O, reads a clock or draws randomness of its own.
//! The store keeps these types, RPC carries them, and the Engine API builds Docker's JSON from them.

#![forbid(unsafe_code)]

mod assignment;
mod bootstrap;
mod cluster;
mod constraint;
mod container_spec;
mod control;
mod dispatch;
mod error;
mod id;
mod images;
mod install;
mod issue;
mod logs;
mod membership;
mod meta;
mod mount;
mod network;
mod node;
mod outdated;
mod root_ca;
mod secret;
mod service;
mod task;
mod task_spec;
mod validate;

pub use assignment::{AssignmentChange, AssignmentsMessage, AssignmentsRequest, TaskReport, TaskReports};
pub use bootstrap::{BOOTSTRAP_FORMAT, Bootstrap, Host, RosterEntry, Seed};
pub use cluster::{
    CaConfig, Cluster, ClusterState, DispatcherConfig, EncryptionConfig, ExternalCa, GossipKey, JoinSecrets,
    OrchestrationConfig, RaftConfig, RemovedNode, SwarmSpec, TaskDefaults,
};
pub use constraint::{Constraint, Constraints, InvalidConstraint};
pub use container_spec::{
    ConfigReference, ContainerSpec, DnsConfig, FileTarget, HealthConfig, Privileges, SeccompOptions, SecretReference,
    Ulimit,
};
pub use control::{Caller, ControlRequest, ControlResponse, ReadPoint, RegistryAuth, Rotation};
pub use dispatch::{HeartbeatRequest, HeartbeatResponse, ManagerPeer, SessionMessage, SessionRequest, milliseconds};
pub use error::{ErrorKind, SwarmError, with_causes};
pub use id::{ClusterId, InvalidId, NodeId, RaftId, ServiceId, SessionId, TaskId, base36_digits};
pub use images::{
    BlobRequest, FindImage, ImageGrant, ImageGrantRequest, ImageOffer, ImageSources, ImageSourcesRequest,
};
pub use install::{InstallRequest, LeaseTerms, OnLapse, ServiceRefusal, ServiceReport, Supervision};
pub use issue::{IssueRequest, IssueResponse, RootsRequest, RootsResponse};
pub use logs::{
    LogBatch, LogEntry, LogLine, LogMessage, LogOrder, LogRequest, LogSelection, LogStream, LogSubscriptionId,
    LogTarget, TaskLogEnd, TaskLogOrder,
};
pub use membership::{JoinRaftRequest, JoinRaftResponse};
pub use meta::{Meta, Version};
pub use mount::{BindOptions, ImageOptions, Mount, TmpfsOptions, VolumeOptions};
pub use network::NodeNetwork;
pub use node::{
    Availability, EngineDescription, LOG_FORMAT, Node, NodeDescription, NodeHealth, NodeSpec, NodeState, NodeStatus,
    Platform, Plugin, RaftMember, Resources, Role, TlsInfo,
};
pub use root_ca::{RootCa, RootRotation, Signer};
pub use secret::Secret;
pub use service::{
    DEFAULT_MONITOR, EndpointSpec, FailureAction, GlobalMode, JobState, PortConfig, ReplicatedJobMode, ReplicatedMode,
    Service, ServiceMode, ServiceSpec, ServiceState, UpdateConfig, UpdateOrder, UpdateState, UpdateStatus,
};
pub use task::{ContainerStatus, Task, TaskRecord, TaskState, TaskStatus};
pub use task_spec::{
    DEFAULT_RESTART_DELAY, DiscreteResource, Driver, GenericResource, Limits, NamedResource, NetworkAttachmentConfig,
    Placement, PlacementPreference, Reservations, ResourceRequirements, RestartCondition, RestartPolicy, SpreadOver,
    TaskSpec,
};
pub use validate::{is_valid_name, parse_cidr, validate_service_spec, validate_swarm_spec};

/// Control traffic between nodes: raft, dispatcher, certificates (2377/tcp, as in Docker).
pub const CONTROL_PORT: u16 = 2377;
/// Gossip between nodes (udp), and images from node to node (tcp): 7946, as in Docker.
pub const GOSSIP_PORT: u16 = 7946;
/// VXLAN between nodes (4789/udp, RFC 7348).
pub const DATA_PATH_PORT: u16 = 4789;
/// The Engine API over TLS (2376/tcp, as in Docker).
pub const API_PORT: u16 = 2376;
/// The Engine API version that we speak (Docker 28.3 to 28.5).
pub const API_VERSION: &str = "1.51";
/// The oldest Engine API version that a client may ask for.
pub const MIN_API_VERSION: &str = "1.24";
