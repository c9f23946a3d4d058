//! Nodes that leave, are removed, and what becomes of their certificates and tokens.

#[cfg(test)]
mod tests {
    use model::{ControlRequest, NodeHealth, NodeId, Rotation};
    use node::SwarmCondition;
    use node::testing::{Lab, PATIENCE};
    use tokio::time::Instant;

    fn remove(id: &NodeId, force: bool) -> ControlRequest {
        ControlRequest::RemoveNode { id: id.clone(), force }
    }

    async fn until_condition(lab: &Lab, node: usize, condition: SwarmCondition) {
        let deadline = Instant::now() + PATIENCE;
        while lab.nodes[node].view().condition != condition {
            assert!(Instant::now() < deadline, "{:?} is not {condition:?}", lab.nodes[node].view());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_ready_node_is_removed_by_force_only_and_shows_it() {
        let lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let worker = lab.nodes[1].id();

        let error = lab.nodes[0].control(remove(&worker, false)).await.unwrap_err();
        assert!(error.message.ends_with(&format!("node {worker} is not down and can't be removed")), "{error}");

        lab.nodes[0].control(remove(&worker, true)).await.unwrap();
        until_condition(&lab, 1, SwarmCondition::Failed).await;
        assert!(lab.nodes[1].view().error.ends_with("has been removed from the swarm"));
        assert_eq!(lab.nodes[0].read().await.unwrap().nodes.len(), 1);

        lab.nodes[1].leave(false).await.unwrap();
        assert_eq!(lab.nodes[1].view().condition, SwarmCondition::Inactive);
        assert!(!lab.nodes[1].data_dir().join("swarm").exists());
    }

    #[tokio::test]
    async fn a_node_that_was_removed_while_it_was_away_learns_it_when_it_comes_back() {
        let mut lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let worker = lab.nodes[1].id();
        lab.nodes[1].kill();
        lab.nodes[0].control(remove(&worker, true)).await.unwrap();

        lab.nodes[1].start();

        until_condition(&lab, 1, SwarmCondition::Failed).await;
        assert!(lab.nodes[1].view().error.ends_with("has been removed from the swarm"));
    }

    #[tokio::test]
    async fn a_worker_that_leaves_is_down_at_once_can_be_removed_and_joins_again() {
        let lab = Lab::swarm(1, 1);
        let read = lab.settled(0, 1, 1).await;
        let worker = lab.nodes[1].id();
        let root = &read.cluster.state.root_ca.roots[0];
        let token = ca::JoinToken::new(root, &read.cluster.state.join_secrets.worker).unwrap().to_string();

        lab.nodes[1].leave(false).await.unwrap();
        assert_eq!(lab.nodes[1].view().condition, SwarmCondition::Inactive);
        lab.health(0, &worker, NodeHealth::Down).await;
        lab.nodes[0].control(remove(&worker, false)).await.unwrap();

        lab.nodes[1].join(lab.nodes[0].addr, &token).await.unwrap();
        lab.settled(0, 1, 1).await;
        assert_ne!(lab.nodes[1].id(), worker);
    }

    #[tokio::test]
    async fn a_manager_leaves_by_force_only_and_the_quorum_shrinks_with_it() {
        let lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let leader = lab.leader(0).await;
        let (id, other) = (lab.nodes[leader].id(), (leader + 1) % 3);

        let error = lab.nodes[leader].leave(false).await.unwrap_err();
        assert!(error.message.starts_with("You are attempting to leave the swarm on a node that is participating"));

        lab.nodes[leader].leave(true).await.unwrap();
        assert_eq!(lab.nodes[leader].view().condition, SwarmCondition::Inactive);
        let read = lab.health(other, &id, NodeHealth::Down).await;
        assert_eq!(read.managers.len(), 2);
        lab.nodes[other].control(remove(&id, false)).await.unwrap();
    }

    #[tokio::test]
    async fn the_only_manager_leaves_by_force_and_begins_another_swarm() {
        let lab = Lab::swarm(1, 0);
        let former = lab.settled(0, 1, 0).await.cluster.id.clone();

        lab.nodes[0].leave(true).await.unwrap();
        assert_eq!(lab.nodes[0].view().condition, SwarmCondition::Inactive);
        assert!(!lab.nodes[0].data_dir().join("swarm").exists());

        lab.nodes[0].init().await.unwrap();
        assert_ne!(lab.settled(0, 1, 0).await.cluster.id, former);
    }

    #[tokio::test]
    async fn a_manager_must_be_demoted_before_it_is_removed() {
        let lab = Lab::swarm(2, 0);
        lab.settled(0, 2, 0).await;

        let error = lab.nodes[0].control(remove(&lab.nodes[1].id(), true)).await.unwrap_err();

        assert!(error.message.ends_with("It must be demoted to worker before removal"), "{error}");
    }

    #[tokio::test]
    async fn a_rotated_token_lets_nobody_in_any_more() {
        let mut lab = Lab::swarm(1, 0);
        let read = lab.settled(0, 1, 0).await;
        let joiner = lab.add_started();
        let addr = lab.nodes[0].addr;
        let root = read.cluster.state.root_ca.roots[0].clone();
        let token = |read: &node::SwarmRead| {
            ca::JoinToken::new(&root, &read.cluster.state.join_secrets.worker).unwrap().to_string()
        };

        let rotation = Rotation { worker_token: true, ..Rotation::default() };
        let (version, spec) = (read.cluster.meta.version, read.cluster.spec.clone());
        lab.nodes[0].control(ControlRequest::UpdateSwarm { version, spec, rotation }).await.unwrap();
        let rotated = lab.nodes[0].read().await.unwrap();
        assert_eq!(rotated.cluster.state.join_secrets.manager, read.cluster.state.join_secrets.manager);

        let error = lab.nodes[joiner].join(addr, &token(&read)).await.unwrap_err();
        assert!(error.message.ends_with("A valid join token is necessary to join this cluster"), "{error}");
        lab.nodes[joiner].join(addr, &token(&rotated)).await.unwrap();
        lab.settled(0, 1, 1).await;
    }

    #[tokio::test]
    async fn a_stale_version_is_refused() {
        let lab = Lab::swarm(1, 0);
        let read = lab.settled(0, 1, 0).await;
        let update = ControlRequest::UpdateSwarm {
            version: model::Version(read.cluster.meta.version.0 + 1000),
            spec: read.cluster.spec.clone(),
            rotation: Rotation::default(),
        };

        let error = lab.nodes[0].control(update).await.unwrap_err();

        assert_eq!(error.message, "rpc error: code = Unknown desc = update out of sequence");
    }
}
