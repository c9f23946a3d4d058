//! What every agent is told, built once a change. Pure.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use model::{CONTROL_PORT, GossipKey, ManagerPeer, Node, Role, SessionId, SessionMessage};
use store::Snapshot;

/// What a member takes in a message (bytes), about: an id and an address, with their names.
const MEMBER_BYTES: usize = 100;
/// The most that is spent on telling all members of all members (bytes a second): every member that comes is told to each.
const ANNOUNCED_BYTES: usize = 64 << 20;

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

    /// The same with the members that another one has.
    pub(super) fn with_members_of(&self, other: &Self) -> Self {
        Self { members: other.members.clone(), ..self.clone() }
    }

    /// The least time between two tellings of other members: nothing that anybody would notice in a small swarm, and
    /// in one of a thousand that is being formed a thousand lists for each, not a million.
    pub(super) fn members_pause(&self) -> Duration {
        let bytes = self.members.len() * self.members.len() * MEMBER_BYTES;
        Duration::from_micros(u64::try_from(bytes.saturating_mul(1_000_000) / ANNOUNCED_BYTES).unwrap_or(u64::MAX))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::node_id;

    fn common(members: u64) -> Common {
        let member = |number: u64| ManagerPeer {
            node_id: node_id(number),
            addr: SocketAddr::from(([10, 0, 0, 1], CONTROL_PORT)),
        };
        Common {
            managers: vec![member(1)],
            members: (1..=members).map(member).collect(),
            gossip_keys: Vec::new(),
            roots: vec!["root".to_owned()],
            client_ca: None,
        }
    }

    #[test]
    fn the_more_members_there_are_the_longer_they_are_held_back_and_nothing_else_is() {
        assert!(common(5).members_pause() < Duration::from_millis(1));
        assert!(common(100).members_pause() < Duration::from_millis(20));
        assert!(common(1_000).members_pause() < Duration::from_secs(2));
        assert!(common(1_000).members_pause() > Duration::from_secs(1));

        let (former, mut new) = (common(2), common(3));
        new.roots = vec!["new root".to_owned()];
        let shown = new.with_members_of(&former);

        assert_eq!(shown.members, former.members);
        assert_eq!(shown.roots, new.roots);
    }
}
