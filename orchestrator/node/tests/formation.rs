//! How swarms come up: from bootstrap files, by `init` and `join`, and again after every node has been killed.

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use model::{ErrorKind, Role};
    use node::SwarmCondition;
    use node::testing::{Lab, SwarmIdentity};

    #[tokio::test]
    async fn three_managers_and_two_workers_come_up_from_their_bootstrap_files() {
        let lab = Lab::swarm(3, 2);

        let read = lab.settled(0, 3, 2).await;

        assert_eq!(read.nodes.len(), 5);
        for node in read.nodes.values() {
            let description = node.state.description.as_ref().expect("a ready node has described itself");
            assert!(description.hostname.starts_with("node-"));
            assert!(!description.tls.trust_root.is_empty());
        }
        for node in &lab.nodes[..3] {
            let tls = node.api_tls().wait_for(Option::is_some).await.unwrap().clone();
            assert_eq!(Some(tls.unwrap().client_ca), read.cluster.state.client_ca);
        }
        assert_eq!(*lab.nodes[4].api_tls().borrow(), None);
        for node in &lab.nodes {
            assert!(!node.run_dir().join("bootstrap.json").exists());
        }
    }

    #[tokio::test]
    async fn one_manager_is_a_swarm() {
        let lab = Lab::swarm(1, 0);

        lab.settled(0, 1, 0).await;

        assert_eq!(lab.nodes[0].view().condition, SwarmCondition::Active);
        assert!(lab.nodes[0].view().is_manager);
    }

    #[tokio::test]
    async fn every_first_key_is_replaced_by_one_born_on_the_node() {
        let mut lab = Lab::new();
        let addrs = vec![lab.add(), lab.add()];
        let identity = SwarmIdentity::generate(&addrs, 1);
        for (node, bootstrap) in lab.nodes.iter_mut().zip(&identity.bootstraps) {
            node.put_bootstrap(bootstrap);
            node.start();
        }
        lab.settled(0, 1, 1).await;

        for (node, bootstrap) in lab.nodes.iter().zip(&identity.bootstraps) {
            let is_replaced = || {
                let kept = std::fs::read_to_string(node.data_dir().join("swarm/identity.json")).unwrap();
                let first = bootstrap.key.expose().lines().nth(1).unwrap();
                !kept.contains(first)
            };
            let deadline = Instant::now() + Duration::from_secs(10);
            while !is_replaced() {
                assert!(Instant::now() < deadline, "{} still has its first key", node.hostname);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    #[tokio::test]
    async fn init_shows_the_managers_address_at_once_and_join_adds_a_worker_and_a_manager() {
        let mut lab = Lab::new();
        let (first, worker, manager) = (lab.add_started(), lab.add_started(), lab.add_started());

        let id = lab.nodes[first].init().await.unwrap();
        let read = lab.nodes[first].read().await.unwrap();
        let member = read.nodes[&id].state.member.as_ref().expect("the address is there at once");
        assert_eq!(member.addr.ip(), lab.nodes[first].addr);
        assert!(read.managers[&id].is_leader);

        let (root, secrets) = (&read.cluster.state.root_ca.roots[0], &read.cluster.state.join_secrets);
        let worker_token = ca::JoinToken::new(root, &secrets.worker).unwrap().to_string();
        let manager_token = ca::JoinToken::new(root, &secrets.manager).unwrap().to_string();
        lab.nodes[worker].join(lab.nodes[first].addr, &worker_token).await.unwrap();
        lab.nodes[manager].join(lab.nodes[first].addr, &manager_token).await.unwrap();

        let read = lab.settled(first, 2, 1).await;
        assert_eq!(read.nodes[&lab.nodes[worker].id()].spec.role, Role::Worker);
        assert_eq!(read.nodes[&lab.nodes[manager].id()].spec.role, Role::Manager);
        let error = lab.nodes[worker].read().await.unwrap_err();
        assert!(error.message.starts_with("This node is not a swarm manager. Worker nodes can't be used"));
    }

    #[tokio::test]
    async fn a_member_refuses_to_begin_or_join_another_swarm() {
        let lab = Lab::swarm(1, 0);
        lab.settled(0, 1, 0).await;

        let error = lab.nodes[0].init().await.unwrap_err();

        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.starts_with("This node is already part of a swarm."));
    }

    #[tokio::test]
    async fn a_token_of_another_swarm_and_a_wrong_one_are_refused() {
        let mut lab = Lab::new();
        let (first, other, joiner) = (lab.add_started(), lab.add_started(), lab.add_started());
        lab.nodes[first].init().await.unwrap();
        lab.nodes[other].init().await.unwrap();
        let ours = lab.nodes[first].read().await.unwrap();
        let theirs = lab.nodes[other].read().await.unwrap();
        let token = |root: &str, secret| ca::JoinToken::new(root, secret).unwrap().to_string();
        let (root, other_root) = (&ours.cluster.state.root_ca.roots[0], &theirs.cluster.state.root_ca.roots[0]);
        let addr = lab.nodes[first].addr;

        let foreign = token(other_root, &theirs.cluster.state.join_secrets.worker);
        let error = lab.nodes[joiner].join(addr, &foreign).await.unwrap_err();
        assert!(error.message.starts_with("remote CA does not match fingerprint"), "{error}");

        let wrong = token(root, &theirs.cluster.state.join_secrets.worker);
        let error = lab.nodes[joiner].join(addr, &wrong).await.unwrap_err();
        assert_eq!(
            error.message,
            "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster"
        );

        let error = lab.nodes[joiner].join(addr, "SWMTKN-1-cut").await.unwrap_err();
        assert!(error.message.starts_with("invalid join token"), "{error}");
        assert_eq!(lab.nodes[first].read().await.unwrap().nodes.len(), 1);
        assert!(!lab.nodes[joiner].data_dir().join("swarm").exists());
        assert_eq!(lab.nodes[joiner].view().condition, SwarmCondition::Inactive);
    }

    #[tokio::test]
    async fn nothing_acknowledged_is_lost_when_all_nodes_are_killed_and_started_again() {
        let mut lab = Lab::swarm(3, 1);
        lab.settled(1, 3, 1).await;
        let worker = lab.nodes[3].id();
        let label = |spec: &mut model::NodeSpec| drop(spec.labels.insert("zone".to_owned(), "a".to_owned()));
        lab.nodes[1].update_node(&worker, label).await.unwrap();

        for node in &mut lab.nodes {
            node.kill();
        }
        for node in &mut lab.nodes {
            node.start();
        }

        // The first read that is answered at all must show it.
        let first = lab.until(0, "an answer", |_| true).await;
        assert!(first.nodes[&worker].spec.labels.contains_key("zone"));
        let read = lab.settled(0, 3, 1).await;
        assert_eq!(read.nodes.len(), 4);
    }
}
