//! Changes of nodes and services, as `docker events` shows them on managers.
//!
//! The difference between two states is pure; the loop only watches the store and raft, and publishes.
//!
//! A change of the leader is told when the next one is known, as an update of both nodes. Whether a manager can be
//! reached is the leader's knowledge, and told once it has written it down.

mod services;

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Actor, Engine, Event, EventKind, EventScope};
use jiff::Timestamp;
use model::{Availability, Node, NodeId};
use raft::RaftStatus;
use store::{Clock, Snapshot, Store, WatchError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use services::KnownServices;

/// The nodes at one moment.
type Nodes = BTreeMap<NodeId, Arc<Node>>;

/// Publishes changes of nodes and services until cancelled or until the store has stopped.
pub(crate) async fn publish(
    store: Store,
    mut raft: watch::Receiver<RaftStatus>,
    engine: Arc<Engine>,
    clock: Clock,
    cancel: CancellationToken,
) {
    let (view, mut watch) = store.view_and_watch();
    let mut known = nodes(&view);
    let mut services = KnownServices::new(&view);
    let mut leader = None;
    loop {
        let event = tokio::select! {
            () = cancel.cancelled() => return,
            event = watch.recv() => event,
            changed = raft.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = raft.borrow_and_update().leader.as_ref().map(|peer| peer.node_id.clone());
                for event in change_of_leader(&mut leader, now, &nodes(&store.view()), clock.now()) {
                    engine.events().publish(event);
                }
                continue;
            }
        };
        match event {
            Ok(store::Event::Committed { .. }) => {}
            Ok(store::Event::Work(event)) => {
                services.mark(&event);
                continue;
            }
            Ok(_) => continue,
            // All is compared, so nothing is missed but what changed and changed back.
            Err(WatchError::Lagged(_)) => {
                watch = store.view_and_watch().1;
                services.mark_all();
            }
            Err(WatchError::Closed) => return,
        }
        let (view, time) = (store.view(), clock.now());
        let now = nodes(&view);
        for event in changes(&known, &now, time).into_iter().chain(services.changes(&view, time)) {
            engine.events().publish(event);
        }
        known = now;
    }
}

fn nodes(view: &Snapshot) -> Nodes {
    view.nodes().map(|node| (node.id.clone(), Arc::clone(node))).collect()
}

/// The events that lead from one state to another, in the order of ids.
fn changes(before: &Nodes, now: &Nodes, time: Timestamp) -> Vec<Event> {
    let created = now.values().filter(|node| !before.contains_key(&node.id));
    let created = created.map(|node| event("create", node, BTreeMap::new(), node.meta.created_at));
    let updated = now.values().filter_map(|node| {
        let old = before.get(&node.id).filter(|old| old.meta.version != node.meta.version)?;
        Some(event("update", node, differences(old, node), node.meta.updated_at))
    });
    let removed = before.values().filter(|node| !now.contains_key(&node.id));
    let removed = removed.map(|node| event("remove", node, BTreeMap::new(), time));
    created.chain(updated).chain(removed).collect()
}

/// The events of a change of the leader: the former one first. Nobody is told of the first leader that this node hears
/// of, nor of the time without one.
fn change_of_leader(known: &mut Option<NodeId>, now: Option<NodeId>, nodes: &Nodes, time: Timestamp) -> Vec<Event> {
    let Some(next) = now.filter(|next| known.as_ref() != Some(next)) else {
        return Vec::new();
    };
    let Some(former) = known.replace(next.clone()) else {
        return Vec::new();
    };
    let told = |id: &NodeId, was: bool| {
        let attributes = [("leader.old", was), ("leader.new", !was)];
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_string()));
        nodes.get(id).map(|node| event("update", node, BTreeMap::from(attributes), time))
    };
    [told(&former, true), told(&next, false)].into_iter().flatten().collect()
}

fn event(action: &str, node: &Node, mut attributes: BTreeMap<String, String>, time: Timestamp) -> Event {
    let hostname = node.state.description.as_ref().map(|description| description.hostname.clone());
    let name = if node.spec.name.is_empty() { hostname.unwrap_or_default() } else { node.spec.name.clone() };
    attributes.insert("name".to_owned(), name);
    Event {
        kind: EventKind::Node,
        action: action.to_owned(),
        actor: Actor { id: node.id.to_string(), attributes },
        scope: EventScope::Swarm,
        time,
    }
}

/// What Docker tells of an update: old and new, where they differ.
fn differences(old: &Node, new: &Node) -> BTreeMap<String, String> {
    let pairs = [
        ("availability", availability(old.spec.availability), availability(new.spec.availability)),
        ("role", old.state.role.as_str(), new.state.role.as_str()),
        ("state", old.state.status.state.as_str(), new.state.status.state.as_str()),
    ];
    // Docker compares the standing of managers only where the node was one before.
    let reachability = [old, new].map(|node| node.state.member.is_some().then(|| reachability(node)));
    let reachability = match reachability {
        [Some(old), Some(new)] => Some(("reachability", old, new)),
        [None, _] | [_, None] => None,
    };
    pairs
        .into_iter()
        .chain(reachability)
        .filter(|(_, old, new)| old != new)
        .flat_map(|(what, old, new)| [(format!("{what}.old"), old.to_owned()), (format!("{what}.new"), new.to_owned())])
        .collect()
}

fn reachability(node: &Node) -> &'static str {
    if node.state.is_unreachable { "unreachable" } else { "reachable" }
}

fn availability(availability: Availability) -> &'static str {
    match availability {
        Availability::Active => "active",
        Availability::Pause => "pause",
        Availability::Drain => "drain",
    }
}

#[cfg(test)]
mod tests {
    use model::{Meta, NodeDescription, NodeHealth, NodeSpec, NodeState, RaftId, RaftMember, Role, Version};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn node(version: u64) -> Node {
        let description = NodeDescription { hostname: "node-1".to_owned(), ..NodeDescription::default() };
        Node {
            id: NodeId::generate(&mut StdRng::seed_from_u64(1)),
            meta: Meta { version: Version(version), ..Meta::default() },
            spec: NodeSpec::default(),
            state: NodeState { description: Some(description), ..NodeState::default() },
        }
    }

    fn state(nodes: &[Node]) -> Nodes {
        nodes.iter().map(|node| (node.id.clone(), Arc::new(node.clone()))).collect()
    }

    fn told(before: &[Node], now: &[Node]) -> Vec<(String, Vec<(String, String)>)> {
        changes(&state(before), &state(now), Timestamp::UNIX_EPOCH)
            .into_iter()
            .map(|event| (event.action, event.actor.attributes.into_iter().collect()))
            .collect()
    }

    fn attribute(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn nodes_come_and_go_with_their_names() {
        let name = vec![attribute("name", "node-1")];

        assert_eq!(told(&[], &[node(1)]), [("create".to_owned(), name.clone())]);
        assert_eq!(told(&[node(1)], &[]), [("remove".to_owned(), name)]);
        assert_eq!(told(&[node(1)], &[node(1)]), []);
    }

    #[test]
    fn an_update_tells_what_was_and_what_is() {
        let mut changed = node(2);
        changed.spec.availability = Availability::Drain;
        changed.state.role = Role::Manager;
        changed.state.status.state = NodeHealth::Down;

        let expected = vec![
            attribute("availability.new", "drain"),
            attribute("availability.old", "active"),
            attribute("name", "node-1"),
            attribute("role.new", "manager"),
            attribute("role.old", "worker"),
            attribute("state.new", "down"),
            attribute("state.old", "unknown"),
        ];

        assert_eq!(told(&[node(1)], &[changed]), [("update".to_owned(), expected)]);
    }

    #[test]
    fn whether_a_manager_is_reachable_is_told_while_it_is_one() {
        let member = RaftMember { raft_id: RaftId(7), addr: "10.1.2.3:2377".parse().unwrap() };
        let standing = |version: u64, member: Option<&RaftMember>, is_unreachable: bool| {
            let mut node = node(version);
            node.state.member = member.cloned();
            node.state.is_unreachable = is_unreachable;
            node
        };
        let check = |old: Node, new: Node, expected: &[(&str, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(key, value)| attribute(key, value)).collect();
            assert_eq!(told(&[old], &[new]), [("update".to_owned(), expected)]);
        };

        let lost = [("name", "node-1"), ("reachability.new", "unreachable"), ("reachability.old", "reachable")];
        check(standing(1, Some(&member), false), standing(2, Some(&member), true), &lost);
        let back = [("name", "node-1"), ("reachability.new", "reachable"), ("reachability.old", "unreachable")];
        check(standing(1, Some(&member), true), standing(2, Some(&member), false), &back);
        check(standing(1, Some(&member), true), standing(2, None, false), &[("name", "node-1")]);
        check(standing(1, None, false), standing(2, Some(&member), true), &[("name", "node-1")]);
    }

    #[test]
    fn a_change_of_the_leader_is_told_of_both_once_the_next_one_is_known() {
        let (first, second) = (node(1), Node { id: NodeId::generate(&mut StdRng::seed_from_u64(2)), ..node(1) });
        let nodes = state(&[first.clone(), second.clone()]);
        let mut known = None;
        let mut told = |leader: Option<&Node>| {
            let events =
                change_of_leader(&mut known, leader.map(|node| node.id.clone()), &nodes, Timestamp::UNIX_EPOCH);
            let mut lines = Vec::new();
            for mut event in events {
                assert_eq!(
                    (event.action.as_str(), event.actor.attributes.remove("name")),
                    ("update", Some("node-1".to_owned()))
                );
                lines.push((event.actor.id, event.actor.attributes.into_iter().collect::<Vec<_>>()));
            }
            lines
        };
        let line = |node: &Node, new: &str, old: &str| {
            (node.id.to_string(), vec![attribute("leader.new", new), attribute("leader.old", old)])
        };

        assert_eq!(told(Some(&first)), [], "it leads since this node looks");
        assert_eq!(told(None), [], "nobody leads");
        assert_eq!(told(Some(&first)), [], "it leads again");
        assert_eq!(told(Some(&second)), [line(&first, "false", "true"), line(&second, "true", "false")]);
    }

    #[test]
    fn an_update_of_labels_has_no_further_attributes() {
        let mut changed = node(2);
        changed.spec.labels.insert("zone".to_owned(), "a".to_owned());

        assert_eq!(told(&[node(1)], &[changed]), [("update".to_owned(), vec![attribute("name", "node-1")])]);
    }
}
