//! The swarm's root changes while everything goes on: nodes come and go, leaders change, operators change their mind.

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ca::JoinToken;
    use model::{CaConfig, ControlRequest, NodeHealth, NodeId, NodeSpec, RootCa, Rotation, SwarmError};
    use node::SwarmRead;
    use node::testing::{Lab, PATIENCE};

    /// Asks for another root through a node, as `docker swarm ca --rotate` does.
    async fn ask(lab: &Lab, manager: usize, change: impl Fn(&mut CaConfig)) {
        let mut outcome = Err(SwarmError::out_of_sequence());
        while outcome == Err(SwarmError::out_of_sequence()) {
            let cluster = lab.nodes[manager].read().await.unwrap().cluster;
            let (version, mut spec) = (cluster.meta.version, cluster.spec.clone());
            change(&mut spec.ca_config);
            let request = ControlRequest::UpdateSwarm { version, spec, rotation: Rotation::default() };
            outcome = lab.nodes[manager].control(request).await.map(|_| ());
        }
        outcome.unwrap();
    }

    fn force(settings: &mut CaConfig) {
        settings.force_rotate += 1;
    }

    /// Whether a node says that the first of the roots signed its certificate, and that it trusts them all.
    fn follows(read: &SwarmRead, id: &NodeId) -> bool {
        let wanted = ca::swarm_tls_info(&root_ca(read).trusted()).unwrap();
        read.nodes[id].state.description.as_ref().is_some_and(|description| description.tls == wanted)
    }

    fn root_ca(read: &SwarmRead) -> &RootCa {
        &read.cluster.state.root_ca
    }

    fn is_settled(read: &SwarmRead) -> bool {
        root_ca(read).rotation.is_none() && read.nodes.keys().all(|id| follows(read, id))
    }

    /// Waits until every node but one has changed over; the one that is away holds the change open.
    async fn all_but_one(lab: &Lab, manager: usize, away: &NodeId) -> SwarmRead {
        let is_so = |read: &SwarmRead| {
            let mut others = read.nodes.keys().filter(|id| *id != away);
            others.all(|id| follows(read, id)) && root_ca(read).rotation.is_some()
        };
        lab.until(manager, "all nodes but one to change over", is_so).await
    }

    fn worker_token(read: &SwarmRead) -> String {
        JoinToken::new(root_ca(read).root().unwrap(), &read.cluster.state.join_secrets.worker).unwrap().to_string()
    }

    #[tokio::test]
    async fn every_node_changes_over_at_once_and_no_node_and_no_write_is_lost() {
        let mut lab = Lab::swarm(3, 2);
        let before = lab.settled(0, 3, 2).await;

        ask(&lab, 1, force).await;
        let is_another = |read: &SwarmRead| root_ca(read).root() != root_ca(&before).root() && is_settled(read);
        let (begun, target) = (Instant::now(), lab.nodes[3].id());
        let (mut writes, mut after) = (0, before.clone());
        while !is_another(&after) {
            assert!(begun.elapsed() < PATIENCE, "the root is still the old one");
            let label = |spec: &mut NodeSpec| drop(spec.labels.insert("write".to_owned(), writes.to_string()));
            lab.nodes[writes % 3].update_node(&target, label).await.unwrap();
            after = lab.nodes[2].read().await.unwrap();
            assert_eq!(after.nodes[&target].spec.labels["write"], writes.to_string());
            writes += 1;
        }

        let (past, _) = lab.nodes[lab.leader(0).await].engine().events().subscribe();
        let was_down =
            past.iter().any(|event| event.actor.attributes.get("state.new").is_some_and(|new| new == "down"));
        assert!(!was_down, "{past:?}");
        assert_ne!(worker_token(&before), worker_token(&after));

        // The old token says nothing to this swarm any more; the new one lets a node in.
        let joiner = lab.add_started();
        let refusal = lab.nodes[joiner].join(lab.nodes[0].addr, &worker_token(&before)).await.unwrap_err();
        assert!(refusal.message.starts_with("remote CA does not match fingerprint"), "{refusal}");
        lab.nodes[joiner].join(lab.nodes[0].addr, &worker_token(&after)).await.unwrap();
        lab.settled(1, 3, 3).await;

        // Nobody needs the old root over a restart.
        for node in &mut lab.nodes {
            node.stop();
            node.start();
        }
        lab.settled(1, 3, 3).await;
    }

    #[tokio::test]
    async fn a_node_that_is_away_holds_the_change_open_whoever_leads() {
        let mut lab = Lab::swarm(3, 1);
        let before = lab.settled(0, 3, 1).await;
        let away = lab.nodes[3].id();
        lab.nodes[3].kill();
        lab.health(0, &away, NodeHealth::Down).await;

        ask(&lab, 0, force).await;
        all_but_one(&lab, 0, &away).await;
        let leader = lab.leader(0).await;
        let other = (leader + 1) % 3;
        lab.nodes[leader].kill();
        let next = lab.leader(other).await;
        lab.nodes[leader].start();
        let open = all_but_one(&lab, next, &away).await;
        // Tokens are the old ones until it is over, and let nodes in.
        assert_eq!(worker_token(&open), worker_token(&before));
        let joiner = lab.add_started();
        lab.nodes[joiner].join(lab.nodes[other].addr, &worker_token(&open)).await.unwrap();
        all_but_one(&lab, next, &away).await;

        lab.nodes[3].start();
        let after = lab.until(other, "the change to be complete", is_settled).await;
        assert_eq!(root_ca(&after).root(), root_ca(&open).trusted().first().map(String::as_str));
        lab.settled(other, 3, 2).await;
    }

    #[tokio::test]
    async fn operators_may_change_their_mind_while_a_node_is_away() {
        let mut lab = Lab::swarm(1, 2);
        let before = lab.settled(0, 1, 2).await;
        let away = lab.nodes[2].id();
        lab.nodes[2].kill();
        lab.health(0, &away, NodeHealth::Down).await;

        ask(&lab, 0, force).await;
        let first = all_but_one(&lab, 0, &away).await;
        ask(&lab, 0, force).await;
        let second = all_but_one(&lab, 0, &away).await;
        assert_ne!(root_ca(&first).rotation, root_ca(&second).rotation);

        let present = root_ca(&before);
        ask(&lab, 0, |settings| {
            present.root().unwrap().clone_into(&mut settings.signing_ca_cert);
            settings.signing_ca_key = present.key.clone();
        })
        .await;
        let back = lab.until(0, "the nodes to come back to the present root", is_settled).await;
        assert_eq!(root_ca(&back), present);
        assert_eq!(worker_token(&back), worker_token(&before));

        ask(&lab, 0, force).await;
        all_but_one(&lab, 0, &away).await;
        lab.nodes[2].start();
        let after = lab.until(0, "the change to be complete", is_settled).await;
        assert_ne!(root_ca(&after).root(), present.root());
        lab.settled(0, 1, 2).await;
    }
}
