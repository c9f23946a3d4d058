//! Indexes follow the objects.

use model::{NodeDescription, RaftId, RaftMember, Role};

use super::{Running, node, node_id};

#[tokio::test]
async fn nodes_are_found_by_everything_they_are_indexed_by() {
    let running = Running::new();
    let mut manager = node(1);
    manager.state.role = Role::Manager;
    manager.state.member = Some(RaftMember { raft_id: RaftId(7), addr: "10.0.0.1:2377".parse().unwrap() });
    manager.state.description = Some(NodeDescription { hostname: "twin".to_owned(), ..NodeDescription::default() });
    let mut worker = node(2);
    worker.state.description.clone_from(&manager.state.description);
    running.store.update(|tx| tx.create_node(manager).and_then(|()| tx.create_node(worker))).await.unwrap();

    let view = running.store.view();

    let ids = |nodes: Vec<&std::sync::Arc<model::Node>>| nodes.iter().map(|node| node.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(view.nodes_by_role(Role::Manager).collect()), [node_id(1)]);
    assert_eq!(ids(view.nodes_by_role(Role::Worker).collect()), [node_id(2)]);
    assert_eq!(view.node_by_raft_id(RaftId(7)).unwrap().id, node_id(1));
    assert_eq!(view.nodes_by_hostname("twin").count(), 2);
    assert_eq!(view.nodes_by_hostname("other").count(), 0);
    assert_eq!(ids(view.nodes_by_id_prefix(&node_id(2).as_str()[..6]).collect()), [node_id(2)]);
    assert_eq!(view.nodes_by_id_prefix("").count(), 2);
}

#[tokio::test]
async fn an_index_forgets_what_an_object_was_before() {
    let running = Running::new();
    let mut manager = node(1);
    manager.state.role = Role::Manager;
    manager.state.member = Some(RaftMember { raft_id: RaftId(7), addr: "10.0.0.1:2377".parse().unwrap() });
    manager.state.description = Some(NodeDescription { hostname: "old".to_owned(), ..NodeDescription::default() });
    running.store.update(|tx| tx.create_node(manager)).await.unwrap();

    let demote = running.store.update(|tx| {
        tx.update_node(&node_id(1), None, |node| {
            node.state.role = Role::Worker;
            node.state.member = None;
            node.state.description = Some(NodeDescription { hostname: "new".to_owned(), ..NodeDescription::default() });
        })
    });
    demote.await.unwrap();

    let view = running.store.view();
    assert_eq!(view.nodes_by_role(Role::Manager).count(), 0);
    assert_eq!(view.nodes_by_role(Role::Worker).count(), 1);
    assert!(view.node_by_raft_id(RaftId(7)).is_none());
    assert_eq!(view.nodes_by_hostname("old").count(), 0);
    assert_eq!(view.nodes_by_hostname("new").count(), 1);

    running.store.update(|tx| tx.remove_node(&node_id(1))).await.unwrap();
    let view = running.store.view();
    assert_eq!(view.nodes_by_role(Role::Worker).count() + view.nodes_by_hostname("new").count(), 0);
}
