//! What every agent is told, built once a change. Pure.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::{CONTROL_PORT, GossipKey, ManagerPeer, Node, Role, SessionId, SessionMessage};
use store::Snapshot;

/// What all agents are told alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Common {
    managers: Vec<ManagerPeer>,
    members: Vec<ManagerPeer>,
    gossip_keys: Vec<GossipKey>,
    roots: Vec<String>,
    client_ca: Option<String>,
}

impl Common {
    /// What the store says now; nothing before the swarm is formed.
    pub(super) fn of(view: &Snapshot) -> Option<Self> {
        let cluster = view.cluster()?;
        Some(Self {
            managers: view.nodes().filter_map(|node| manager(node)).collect(),
            members: view.nodes().filter_map(|node| member(node)).collect(),
            gossip_keys: cluster.state.gossip_keys.clone(),
            roots: cluster.state.root_ca.trusted(),
            client_ca: cluster.state.client_ca.clone(),
        })
    }

    /// The message for one node. What only managers may know goes to the holders of a manager's certificate.
    pub(super) fn message(&self, session_id: SessionId, node: &Arc<Node>, certified: Role) -> SessionMessage {
        SessionMessage {
            session_id,
            node: Node::clone(node),
            managers: self.managers.clone(),
            members: self.members.clone(),
            gossip_keys: self.gossip_keys.clone(),
            roots: self.roots.clone(),
            client_ca: self.client_ca.clone().filter(|_| certified == Role::Manager),
        }
    }
}

/// Whether a node's change is one that its agent must hear of.
pub(super) fn concerns_its_agent(before: &Node, now: &Node) -> bool {
    before.spec != now.spec || before.state.role != now.state.role || before.state.member != now.state.member
}

fn manager(node: &Node) -> Option<ManagerPeer> {
    let member = node.state.member.as_ref()?;
    Some(ManagerPeer { node_id: node.id.clone(), addr: member.addr })
}

fn member(node: &Node) -> Option<ManagerPeer> {
    manager(node).or_else(|| {
        let addr: IpAddr = node.state.status.addr.parse().ok()?;
        Some(ManagerPeer { node_id: node.id.clone(), addr: SocketAddr::new(addr, CONTROL_PORT) })
    })
}
