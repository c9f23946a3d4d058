//! The swarm that `swarmd` forms, by the Docker Engine API of its managers.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use model::{Availability, CONTROL_PORT, NodeId, Role, Secret, TaskState};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::engine::api::Client;
use crate::engine::{EngineError, JoinTicket, ManagerStanding, Swarm, SwarmNode};

/// How often a change is tried again that somebody else's change overtook.
const MAX_OVERTAKEN: u32 = 5;

/// The swarm that the agents form.
#[derive(Debug)]
pub(super) struct SwarmdSwarm {
    client: Client,
    /// The managers' addresses as the other members reach them.
    inside: Vec<IpAddr>,
}

impl SwarmdSwarm {
    /// The swarm whose managers are reached by this client, and by other members at these addresses.
    pub(super) fn new(client: Client, inside: Vec<IpAddr>) -> Self {
        Self { client, inside }
    }

    /// Changes a field of a node's spec; one that says so already is left alone.
    async fn set(&self, node: &NodeId, field: &str, value: &str) -> Result<(), EngineError> {
        for _ in 0..MAX_OVERTAKEN {
            let view = self.client.read::<Value>(&format!("/nodes/{node}")).await?;
            let mut spec = view["Spec"].clone();
            if spec[field] == value {
                return Ok(());
            }
            spec[field] = Value::from(value);
            let path = format!("/nodes/{node}/update?version={}", view["Version"]["Index"]);
            match self.client.change(Method::POST, &path, Some(&spec)).await {
                Err(error) if error.is_out_of_sequence() => {}
                done => return done,
            }
        }
        Err(EngineError::Refused { status: 500, message: format!("node {node} is being changed by somebody else") })
    }
}

/// Docker's node, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeView {
    #[serde(rename = "ID")]
    id: NodeId,
    spec: NodeSpecView,
    #[serde(default)]
    description: Value,
    #[serde(default)]
    status: StatusView,
    manager_status: Option<ManagerView>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeSpecView {
    role: Role,
    availability: Availability,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct StatusView {
    state: String,
    addr: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManagerView {
    #[serde(default)]
    leader: bool,
    #[serde(default)]
    reachability: String,
}

/// Docker's swarm, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SwarmView {
    #[serde(rename = "ID")]
    id: String,
    join_tokens: TokensView,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TokensView {
    worker: Secret,
    manager: Secret,
}

impl From<NodeView> for SwarmNode {
    fn from(view: NodeView) -> Self {
        let text = |pointer: &str| view.description.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
        Self {
            hostname: text("/Hostname"),
            engine_version: text("/Engine/EngineVersion"),
            id: view.id,
            role: view.spec.role,
            availability: view.spec.availability,
            state: view.status.state,
            address: view.status.addr,
            manager: view
                .manager_status
                .map(|manager| ManagerStanding { is_leader: manager.leader, reachability: manager.reachability }),
        }
    }
}

/// Docker's task, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskView {
    status: TaskStatusView,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskStatusView {
    state: TaskState,
}

#[async_trait]
impl Swarm for SwarmdSwarm {
    async fn id(&self) -> Result<String, EngineError> {
        Ok(self.client.swarm::<SwarmView>().await?.1.id)
    }

    async fn nodes(&self) -> Result<Vec<SwarmNode>, EngineError> {
        let views = self.client.read::<Vec<NodeView>>("/nodes").await?;
        Ok(views.into_iter().map(SwarmNode::from).collect())
    }

    async fn ticket(&self, role: Role) -> Result<JoinTicket, EngineError> {
        let tokens = self.client.swarm::<SwarmView>().await?.1.join_tokens;
        let token = match role {
            Role::Manager => tokens.manager,
            Role::Worker => tokens.worker,
        };
        let managers = self.inside.iter().map(|address| SocketAddr::new(*address, CONTROL_PORT)).collect();
        Ok(JoinTicket { token, managers })
    }

    async fn set_role(&self, node: &NodeId, role: Role) -> Result<(), EngineError> {
        self.set(node, "Role", role.as_str()).await
    }

    async fn drain(&self, node: &NodeId) -> Result<(), EngineError> {
        self.set(node, "Availability", "drain").await
    }

    async fn tasks_left(&self, node: &NodeId) -> Result<usize, EngineError> {
        let filters = format!("%7B%22node%22%3A%5B%22{node}%22%5D%7D");
        let tasks: Vec<TaskView> = self.client.read(&format!("/tasks?filters={filters}")).await?;
        Ok(tasks.iter().filter(|task| !task.status.state.is_terminal()).count())
    }

    async fn remove(&self, node: &NodeId) -> Result<(), EngineError> {
        match self.client.change(Method::DELETE, &format!("/nodes/{node}?force=1"), None::<&()>).await {
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        }
    }

    async fn renew_lease(&self) -> Result<(), EngineError> {
        self.client.tell_all("/swarm/lease").await
    }

    async fn endpoint(&self) -> Result<SocketAddr, EngineError> {
        self.client.endpoint().await
    }

    async fn lacking(&self, manager: SocketAddr, blobs: &BTreeSet<String>) -> Result<BTreeSet<String>, EngineError> {
        self.client.lacking(manager, blobs).await
    }

    async fn load(
        &self,
        manager: SocketAddr,
        archive: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Vec<String>, EngineError> {
        self.client.load(manager, archive).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_as_docker_writes_it() {
        let view: NodeView = serde_json::from_str(
            r#"{"ID":"0123456789abcdefghijklmno","Spec":{"Labels":{},"Role":"manager","Availability":"active"},
                "Description":{"Hostname":"node-1","Engine":{"EngineVersion":"0.1.0"}},
                "Status":{"State":"ready","Addr":"192.0.2.1"},
                "ManagerStatus":{"Leader":true,"Reachability":"reachable","Addr":"192.0.2.1:2377"}}"#,
        )
        .unwrap();

        let node = SwarmNode::from(view);

        assert_eq!((node.hostname.as_str(), node.engine_version.as_str()), ("node-1", "0.1.0"));
        assert!(node.is_well());
        assert_eq!(node.standing(), "Leader");
    }

    #[test]
    fn a_worker_without_a_session_yet_reads_too() {
        let view: NodeView = serde_json::from_str(
            r#"{"ID":"0123456789abcdefghijklmno","Spec":{"Role":"worker","Availability":"drain"},
                "Status":{"State":"unknown"}}"#,
        )
        .unwrap();

        let node = SwarmNode::from(view);

        assert!(!node.is_well());
        assert_eq!(node.hostname, "");
    }
}
