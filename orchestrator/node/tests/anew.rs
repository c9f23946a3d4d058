//! A manager that goes on alone (`docker swarm init --force-new-cluster`), and the former managers that come back.

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use model::{ControlRequest, NodeHealth, NodeId, Role};
    use node::testing::{Lab, LabNode, PATIENCE};
    use node::{SwarmCondition, SwarmRead};
    use tokio::time::Instant;

    fn manager_token(read: &SwarmRead) -> String {
        let (root, secrets) = (&read.cluster.state.root_ca.roots[0], &read.cluster.state.join_secrets);
        ca::JoinToken::new(root, &secrets.manager).unwrap().to_string()
    }

    async fn label(lab: &Lab, through: usize, node: &NodeId, value: &str) {
        let write = |spec: &mut model::NodeSpec| drop(spec.labels.insert(value.to_owned(), "1".to_owned()));
        lab.nodes[through].update_node(node, write).await.unwrap();
    }

    async fn until(lab: &Lab, what: &str, is_so: impl Fn(&Lab) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(lab) {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Kills managers for good, and lets the one that is left go on alone.
    async fn lose_all_but(lab: &mut Lab, survivor: usize, lost: &[usize]) -> NodeId {
        for index in lost {
            lab.nodes[*index].kill();
        }
        lab.nodes[survivor].begin_anew(None).await.unwrap()
    }

    #[tokio::test]
    async fn the_last_of_three_goes_on_with_all_that_was_acknowledged_and_two_new_managers_join() {
        let mut lab = Lab::swarm(3, 2);
        let before = lab.settled(0, 3, 2).await;
        let ids: Vec<NodeId> = lab.nodes.iter().map(LabNode::id).collect();
        let leader = lab.leader(0).await;
        let (survivor, other) = ((leader + 1) % 3, (leader + 2) % 3);
        for (number, through) in [leader, survivor, other, leader].into_iter().enumerate() {
            label(&lab, through, &ids[4], &format!("write-{number}")).await;
        }

        // The other first: the last write is acknowledged by the leader and the survivor alone.
        lab.nodes[other].kill();
        label(&lab, leader, &ids[4], "last").await;
        let id = lose_all_but(&mut lab, survivor, &[leader]).await;

        assert_eq!(id, ids[survivor]);
        let read = lab.settled(survivor, 1, 2).await;
        let labels: Vec<&str> = read.nodes[&ids[4]].spec.labels.keys().map(String::as_str).collect();
        assert_eq!(labels, ["last", "write-0", "write-1", "write-2", "write-3"]);
        assert_eq!(read.nodes.keys().collect::<Vec<_>>(), before.nodes.keys().collect::<Vec<_>>());
        let (now, then) = (&read.cluster.state, &before.cluster.state);
        assert_eq!((&now.root_ca, &now.join_secrets), (&then.root_ca, &then.join_secrets));
        assert_eq!((&now.gossip_keys, &read.cluster.spec), (&then.gossip_keys, &before.cluster.spec));
        for lost in [leader, other] {
            let node = &read.nodes[&ids[lost]];
            assert_eq!((node.spec.role, node.state.status.state), (Role::Manager, NodeHealth::Down));
            let remove = ControlRequest::RemoveNode { id: ids[lost].clone(), force: false };
            lab.nodes[survivor].control(remove).await.unwrap();
        }

        // It is what is on its disk, not only what runs.
        lab.nodes[survivor].kill();
        lab.nodes[survivor].start();
        lab.settled(survivor, 1, 2).await;
        let token = manager_token(&read);
        for _ in 0..2 {
            let new = lab.add_started();
            lab.nodes[new].join(lab.nodes[survivor].addr, &token).await.unwrap();
        }
        lab.settled(survivor, 3, 2).await;
        lab.nodes[survivor].kill();
        label(&lab, 5, &ids[4], "after").await;
    }

    #[tokio::test]
    async fn former_managers_that_come_back_take_the_place_that_their_nodes_have_now() {
        let mut lab = Lab::swarm(3, 1);
        lab.settled(0, 3, 1).await;
        let ids: Vec<NodeId> = lab.nodes.iter().map(LabNode::id).collect();
        lose_all_but(&mut lab, 2, &[0, 1]).await;
        lab.settled(2, 1, 1).await;
        lab.nodes[2].update_node(&ids[1], |spec| spec.role = Role::Worker).await.unwrap();

        // Together they have a quorum of the former group.
        lab.nodes[0].start();
        lab.nodes[1].start();

        let read = lab.settled(2, 2, 2).await;
        assert!(read.managers.contains_key(&ids[0]) && !read.managers.contains_key(&ids[1]));
        assert_eq!(read.nodes[&ids[0]].state.former_member, None);
        label(&lab, 0, &ids[3], "through-the-former").await;
        assert!(lab.nodes[2].read().await.unwrap().nodes[&ids[3]].spec.labels.contains_key("through-the-former"));
        for log in ["swarm/raft", "swarm/raft.former"] {
            assert!(lab.nodes[0].data_dir().join(log).exists(), "a manager keeps {log}");
            until(&lab, "a worker keeps no log", |lab| !lab.nodes[1].data_dir().join(log).exists()).await;
        }
    }

    #[tokio::test]
    async fn a_former_manager_whose_node_was_removed_shows_it_and_stops() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let removed = lab.nodes[0].id();
        lose_all_but(&mut lab, 2, &[0, 1]).await;
        lab.nodes[2].control(ControlRequest::RemoveNode { id: removed, force: true }).await.unwrap();

        lab.nodes[0].start();

        until(&lab, "the node to stop", |lab| lab.nodes[0].view().condition == SwarmCondition::Failed).await;
        assert!(lab.nodes[0].view().error.ends_with("has been removed from the swarm"));
        assert_eq!(lab.settled(2, 1, 0).await.nodes.len(), 2);
    }

    #[tokio::test]
    async fn with_a_quorum_the_others_give_way_and_join_anew() {
        let lab = Lab::swarm(3, 1);
        let before = lab.settled(0, 3, 1).await;
        let leader = lab.leader(0).await;
        let forced = (leader + 1) % 3;
        let former: Vec<_> = before.nodes.values().filter_map(|node| node.state.member.clone()).collect();

        lab.nodes[forced].begin_anew(None).await.unwrap();

        let read = lab.settled(forced, 3, 1).await;
        for member in former {
            assert!(read.nodes.values().all(|node| node.state.member.as_ref().is_none_or(|now| *now != member)));
            assert!(read.cluster.state.removed_raft_ids.contains(&member.raft_id));
        }
        label(&lab, leader, &lab.nodes[3].id(), "together").await;
        assert!(lab.nodes[forced].read().await.unwrap().nodes[&lab.nodes[3].id()].spec.labels.contains_key("together"));
    }

    #[tokio::test]
    async fn workers_and_former_managers_find_the_manager_at_another_address() {
        let mut lab = Lab::swarm(3, 1);
        lab.settled(0, 3, 1).await;
        let ids: Vec<NodeId> = lab.nodes.iter().map(LabNode::id).collect();
        for lost in [0, 1] {
            lab.nodes[lost].kill();
        }
        // An address of the laboratory that is nobody's.
        let IpAddr::V4(former) = lab.nodes[2].addr else { panic!("the laboratory is on 127/8") };
        let [first, second, third, _] = former.octets();
        let moved = IpAddr::from([first, second, third, 99]);

        lab.nodes[2].begin_anew(Some(moved)).await.unwrap();

        let read = lab.settled(2, 1, 1).await;
        assert_eq!(read.nodes[&ids[2]].state.status.addr, moved.to_string());
        assert_eq!(read.nodes[&ids[2]].state.member.as_ref().map(|member| member.addr.ip()), Some(moved));
        // They reach each other, lead the former group, and do not know where the manager is.
        lab.nodes[0].start();
        lab.nodes[1].start();
        lab.settled(2, 3, 1).await;
    }

    #[tokio::test]
    async fn a_worker_is_refused_and_a_host_without_a_swarm_simply_begins_one() {
        let mut lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let bare = lab.add_started();

        let refusal = lab.nodes[1].begin_anew(None).await.unwrap_err();
        assert!(
            refusal.message.starts_with("This node is not a swarm manager. Worker nodes can't be used"),
            "{refusal}"
        );
        let addr = lab.nodes[bare].addr;
        lab.nodes[bare].begin_anew(Some(addr)).await.unwrap();

        assert_eq!(lab.settled(bare, 1, 0).await.nodes.len(), 1);
        assert_eq!(lab.settled(0, 1, 1).await.nodes.len(), 2);
    }

    #[tokio::test]
    async fn a_crash_while_it_begins_anew_leaves_a_manager_that_can_begin_again() {
        let mut lab = Lab::swarm(3, 1);
        lab.settled(0, 3, 1).await;
        let worker = lab.nodes[3].id();
        label(&lab, 0, &worker, "before").await;
        lab.nodes[0].kill();
        lab.nodes[1].kill();

        for patience in [2, 10, 30, 60, 100, 150] {
            let begun = lab.nodes[2].begin_anew(None);
            // Dropping the call leaves the node to its work, in the middle of which it is killed.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(patience), begun).await;
            lab.nodes[2].kill();
            lab.nodes[2].start();
        }
        lab.nodes[2].begin_anew(None).await.unwrap();

        let read = lab.settled(2, 1, 1).await;
        assert!(read.nodes[&worker].spec.labels.contains_key("before"));
        assert_eq!(read.managers.len(), 1);
    }
}
