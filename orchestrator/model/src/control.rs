//! What an operator may ask of the managers. The leader executes it; followers forward it with the caller's identity.

use serde::{Deserialize, Serialize};

use crate::{NodeId, NodeSpec, RaftId, Secret, ServiceId, ServiceSpec, SwarmSpec, Version};

/// Who asks: kept when a follower forwards a request to the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// Somebody at the root-only socket of a manager.
    Local {
        /// The manager.
        node: NodeId,
    },
    /// A client with a certificate of the client authority.
    Client {
        /// The certificate's common name.
        name: String,
    },
    /// A node, by its certificate.
    Node {
        /// The node.
        node: NodeId,
    },
}

/// Which tokens and keys an update of the swarm renews.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// A new token for workers.
    pub worker_token: bool,
    /// A new token for managers.
    pub manager_token: bool,
    /// A new unlock key.
    pub unlock_key: bool,
}

/// What a service pulls its images with after an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryAuth {
    /// What comes with the update: an `X-Registry-Auth` header as it stands.
    Given(Secret),
    /// What it has.
    FromSpec,
    /// What it had with the spec before.
    FromPreviousSpec,
}

/// A change that an operator asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlRequest {
    /// Changes the swarm's settings.
    UpdateSwarm {
        /// The version the client saw.
        version: Version,
        /// The settings wanted.
        spec: SwarmSpec,
        /// What is renewed.
        rotation: Rotation,
    },
    /// Changes what is wanted of a node.
    UpdateNode {
        /// The node's full id (look-up by name or prefix is the API's).
        id: NodeId,
        /// The version the client saw.
        version: Version,
        /// What is wanted.
        spec: NodeSpec,
    },
    /// Removes a node.
    RemoveNode {
        /// The node's full id.
        id: NodeId,
        /// Even while it is not down.
        force: bool,
    },
    /// Creates a service.
    CreateService {
        /// Its id, drawn by who asks, so that a request that is tried twice creates one service.
        id: ServiceId,
        /// What is wanted, with Docker's fillings.
        spec: Box<ServiceSpec>,
        /// What its images are pulled with: an `X-Registry-Auth` header as it stands.
        registry_auth: Option<Secret>,
    },
    /// Changes what is wanted of a service.
    UpdateService {
        /// The service's full id.
        id: ServiceId,
        /// The version the client saw.
        version: Version,
        /// What is wanted, with Docker's fillings.
        spec: Box<ServiceSpec>,
        /// Goes back to the spec before instead; the one above only has to be valid, as in Docker.
        rollback: bool,
        /// What its images are pulled with from then on; a rollback takes back what it had.
        registry_auth: RegistryAuth,
    },
    /// Removes a service. Nobody sees it any more; its tasks end.
    RemoveService {
        /// The service's full id.
        id: ServiceId,
    },
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlResponse {
    /// It is committed.
    Done,
}

/// A point that a linearizable read must wait for, as the leader gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPoint {
    /// The raft index that must be applied before reading.
    pub index: u64,
    /// The leader.
    pub leader: RaftId,
    /// Members of raft that the leader cannot reach.
    pub unreachable: Vec<RaftId>,
}
