//! The swarm that the agents form, as its operator sees it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use model::{Availability, NodeId, Role};
use serde::{Deserialize, Serialize};

use super::EngineError;

/// What a node needs to join a swarm that stands.
#[derive(Debug, Clone)]
pub struct JoinTicket {
    /// The token of the role.
    pub token: model::Secret,
    /// The managers to ask.
    pub managers: Vec<SocketAddr>,
}

/// The swarm, as its operator sees it.
#[async_trait]
pub trait Swarm: Debug + Send + Sync {
    /// The swarm's id.
    async fn id(&self) -> Result<String, EngineError>;

    /// All nodes.
    async fn nodes(&self) -> Result<Vec<SwarmNode>, EngineError>;

    /// What a node of this role needs to join.
    async fn ticket(&self, role: Role) -> Result<JoinTicket, EngineError>;

    /// Changes the role wanted of a node.
    async fn set_role(&self, node: &NodeId, role: Role) -> Result<(), EngineError>;

    /// Gives a node no more tasks, and has those that it has replaced elsewhere.
    async fn drain(&self, node: &NodeId) -> Result<(), EngineError>;

    /// How many tasks of a node have not ended.
    async fn tasks_left(&self, node: &NodeId) -> Result<usize, EngineError>;

    /// Removes a node, whether it is down or not. One that is gone already is no error.
    async fn remove(&self, node: &NodeId) -> Result<(), EngineError>;

    /// Renews the swarm's lease, where it has one: at every manager, of which one must answer.
    async fn renew_lease(&self) -> Result<(), EngineError>;

    /// A manager that answers the API over TLS.
    async fn endpoint(&self) -> Result<SocketAddr, EngineError>;

    /// Those of these blobs (`sha256:…`) that a manager has in none of its images.
    async fn lacking(&self, manager: SocketAddr, blobs: &BTreeSet<String>) -> Result<BTreeSet<String>, EngineError>;

    /// Sends a manager an archive of images, which leaves out what it does not lack; returns what they are called.
    async fn load(
        &self,
        manager: SocketAddr,
        archive: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Vec<String>, EngineError>;
}

/// A node, as the swarm shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmNode {
    /// Its id.
    pub id: NodeId,
    /// Its host name.
    pub hostname: String,
    /// The role that is wanted of it.
    pub role: Role,
    /// Whether it takes tasks.
    pub availability: Availability,
    /// `ready`, `down`, `unknown`, `disconnected`.
    pub state: String,
    /// Its address.
    pub address: String,
    /// Its standing among the managers; absent where it is no member of raft.
    pub manager: Option<ManagerStanding>,
    /// The version of its engine.
    pub engine_version: String,
}

/// A manager's standing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerStanding {
    /// Whether it leads.
    pub is_leader: bool,
    /// `reachable`, `unreachable`, `unknown`.
    pub reachability: String,
}

impl SwarmNode {
    /// Whether it is well, in the role that is wanted of it.
    pub fn is_well(&self) -> bool {
        let stands = match (self.role, &self.manager) {
            (Role::Worker, standing) => standing.is_none(),
            (Role::Manager, Some(standing)) => standing.is_leader || standing.reachability == "reachable",
            (Role::Manager, None) => false,
        };
        self.state == "ready" && stands
    }

    /// Its standing in Docker's words: `Leader`, `Reachable`, `Unreachable`, or nothing.
    pub fn standing(&self) -> &str {
        match &self.manager {
            None => "",
            Some(ManagerStanding { is_leader: true, .. }) => "Leader",
            Some(standing) if standing.reachability == "reachable" => "Reachable",
            Some(_) => "Unreachable",
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_node_is_well_only_in_the_role_that_is_wanted_of_it() {
        let leader = ManagerStanding { is_leader: true, reachability: "reachable".to_owned() };
        let lost = ManagerStanding { is_leader: false, reachability: "unreachable".to_owned() };
        let check = |role, state: &str, manager: Option<&ManagerStanding>, expected: bool| {
            let node = SwarmNode {
                id: NodeId::generate(&mut StdRng::seed_from_u64(1)),
                hostname: "node-1".to_owned(),
                role,
                availability: Availability::Active,
                state: state.to_owned(),
                address: "192.0.2.1".to_owned(),
                manager: manager.cloned(),
                engine_version: "0.1.0".to_owned(),
            };
            assert_eq!(node.is_well(), expected, "{node:?}");
        };
        check(Role::Worker, "ready", None, true);
        check(Role::Worker, "down", None, false);
        check(Role::Worker, "ready", Some(&leader), false);
        check(Role::Manager, "ready", Some(&leader), true);
        check(Role::Manager, "ready", Some(&lost), false);
        check(Role::Manager, "ready", None, false);
    }
}
