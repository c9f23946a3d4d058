//! The manager of this node as the Engine API uses it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use manager::{Access, Reading};
use model::{Caller, ControlRequest, ControlResponse, LogRequest, NodeId, ServiceId, SwarmError};

use crate::{LogMessages, ManagerAccess, ManagerReachability, SwarmRead};

/// Reads and writes through the proxy of this node's manager.
#[derive(Debug, Clone)]
pub(crate) struct NodeManager(pub(crate) Access);

#[async_trait]
impl ManagerAccess for NodeManager {
    async fn read(&self) -> Result<SwarmRead, SwarmError> {
        let reading = self.0.read().await?;
        let cluster = reading.snapshot.cluster().cloned().ok_or_else(SwarmError::no_leader)?;
        let nodes = reading.snapshot.nodes().map(|node| (node.id.clone(), node.clone())).collect();
        Ok(SwarmRead { cluster, nodes, managers: managers(&reading), snapshot: reading.snapshot })
    }

    fn new_service_id(&self) -> ServiceId {
        self.0.new_service_id()
    }

    async fn control(&self, caller: Caller, request: ControlRequest) -> Result<ControlResponse, SwarmError> {
        self.0.control(caller, request).await
    }

    async fn logs(&self, caller: Caller, request: LogRequest) -> Result<LogMessages, SwarmError> {
        self.0.logs(caller, request).await
    }
}

/// How the managers are reached: the nodes that vote in raft by the record in the store, of the same moment as the rest.
pub(crate) fn managers(reading: &Reading) -> BTreeMap<NodeId, ManagerReachability> {
    let members = reading.snapshot.nodes().filter_map(|node| Some((node, node.state.member.as_ref()?)));
    members
        .map(|(node, member)| {
            let reachability = ManagerReachability {
                is_leader: member.raft_id == reading.leader,
                is_reachable: manager::is_reachable(node, reading.leader, &reading.unreachable),
            };
            (node.id.clone(), reachability)
        })
        .collect()
}
