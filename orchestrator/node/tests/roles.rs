//! Promotion and demotion, the leader's own included.

#[cfg(test)]
mod tests {
    use model::{ErrorKind, Role};
    use node::testing::Lab;

    fn is_told(lab: &Lab, node: usize, attribute: (&str, &str)) -> bool {
        let (past, _) = lab.nodes[node].engine().events().subscribe();
        past.iter().any(|event| event.actor.attributes.get(attribute.0).is_some_and(|value| value == attribute.1))
    }

    #[tokio::test]
    async fn a_worker_is_promoted_and_demoted_without_a_restart() {
        let lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let worker = lab.nodes[1].id();

        lab.nodes[0].update_node(&worker, |spec| spec.role = Role::Manager).await.unwrap();
        lab.settled(0, 2, 0).await;
        lab.settled(1, 2, 0).await;
        assert!(lab.nodes[1].view().is_manager);
        assert!(is_told(&lab, 0, ("role.new", "manager")));

        lab.nodes[1].update_node(&worker, |spec| spec.role = Role::Worker).await.unwrap();
        let read = lab.settled(0, 1, 1).await;
        assert_eq!(read.nodes[&worker].state.member, None);
        assert_eq!(read.cluster.state.removed_raft_ids.len(), 1);
    }

    #[tokio::test]
    async fn every_read_on_the_way_of_a_promotion_and_a_demotion_is_right() {
        let lab = Lab::swarm(3, 1);
        lab.settled(0, 3, 1).await;
        let worker = lab.nodes[3].id();

        for (role, others) in [(Role::Manager, 0), (Role::Worker, 1)] {
            lab.nodes[others].update_node(&worker, |spec| spec.role = role).await.unwrap();
            let mut rounds = 0_u32;
            loop {
                let read = lab.nodes[rounds as usize % 3].read().await.unwrap();
                let node = &read.nodes[&worker];
                assert_eq!(node.spec.role, role, "the change was acknowledged before");
                assert_eq!(read.managers.contains_key(&worker), node.state.member.is_some());
                assert_eq!(read.managers.values().filter(|manager| manager.is_leader).count(), 1);
                assert!(read.managers.values().all(|manager| manager.is_reachable), "{:?}", read.managers);
                if node.state.member.is_some() == (role == Role::Manager) && node.state.role == role {
                    break;
                }
                rounds += 1;
                assert!(rounds < 2_000, "the change of the role comes to no end: {node:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_promoted_node_can_be_promoted_again() {
        let lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let worker = lab.nodes[1].id();

        for _ in 0..2 {
            lab.nodes[0].update_node(&worker, |spec| spec.role = Role::Manager).await.unwrap();
            lab.settled(0, 2, 0).await;
            lab.nodes[0].update_node(&worker, |spec| spec.role = Role::Worker).await.unwrap();
            lab.settled(0, 1, 1).await;
        }
    }

    #[tokio::test]
    async fn a_manager_demoted_and_promoted_while_it_was_away_joins_anew() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let leader = lab.leader(0).await;
        let away = (leader + 1) % 3;
        let id = lab.nodes[away].id();
        let former = lab.nodes[leader].read().await.unwrap().nodes[&id].state.member.clone().unwrap();
        lab.nodes[away].kill();
        for role in [Role::Worker, Role::Manager] {
            lab.nodes[leader].update_node(&id, |spec| spec.role = role).await.unwrap();
            lab.until(leader, "the role to be given", |read| read.nodes[&id].state.role == role).await;
        }

        lab.nodes[away].start();

        let is_back = |read: &node::SwarmRead| {
            let member = read.nodes[&id].state.member.as_ref();
            member.is_some_and(|member| member.raft_id != former.raft_id)
        };
        lab.until(leader, "the manager to be back under another raft id", is_back).await;
        let read = lab.settled(leader, 3, 0).await;
        assert!(read.cluster.state.removed_raft_ids.contains(&former.raft_id));
        assert_eq!(lab.settled(away, 3, 0).await.nodes.len(), 3);
    }

    #[tokio::test]
    async fn the_leader_itself_is_demoted_after_handing_over() {
        let lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let leader = lab.leader(0).await;
        let id = lab.nodes[leader].id();
        let other = (leader + 1) % 3;

        lab.nodes[leader].update_node(&id, |spec| spec.role = Role::Worker).await.unwrap();

        let read = lab.settled(other, 2, 1).await;
        assert!(!read.managers.contains_key(&id));
        assert!(read.managers.values().any(|manager| manager.is_leader));
    }

    #[tokio::test]
    async fn the_last_manager_is_not_demoted() {
        let lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let manager = lab.nodes[0].id();

        let error = lab.nodes[0].update_node(&manager, |spec| spec.role = Role::Worker).await.unwrap_err();

        assert_eq!(error.kind, ErrorKind::FailedPrecondition);
        assert!(error.message.ends_with("attempting to demote the last manager of the swarm"));
    }

    #[tokio::test]
    async fn a_demotion_that_would_lose_the_quorum_is_refused() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let leader = lab.leader(0).await;
        let (killed, other) = ((leader + 1) % 3, (leader + 2) % 3);
        let (killed_id, other_id) = (lab.nodes[killed].id(), lab.nodes[other].id());
        lab.nodes[killed].kill();
        let is_missed = |read: &node::SwarmRead| !read.managers[&killed_id].is_reachable;
        lab.until(leader, "the killed manager to be unreachable", is_missed).await;

        let error = lab.nodes[leader].update_node(&other_id, |spec| spec.role = Role::Worker).await.unwrap_err();

        assert!(error.message.ends_with("this would result in a loss of quorum"), "{error}");
    }
}
