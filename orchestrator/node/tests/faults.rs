//! Leaders and workers that die, freeze and come back.

#[cfg(test)]
mod tests {
    use model::{Availability, NodeHealth};
    use node::testing::Lab;

    #[tokio::test]
    async fn a_write_succeeds_through_another_manager_after_the_leader_was_killed() {
        let mut lab = Lab::swarm(3, 1);
        lab.settled(0, 3, 1).await;
        let leader = lab.leader(0).await;
        let (killed, worker) = (lab.nodes[leader].id(), lab.nodes[3].id());
        let other = (leader + 1) % 3;

        lab.nodes[leader].kill();
        lab.nodes[other].update_node(&worker, |spec| spec.availability = Availability::Drain).await.unwrap();
        let read = lab.health(other, &killed, NodeHealth::Down).await;
        assert_eq!(read.nodes[&worker].spec.availability, Availability::Drain);
        assert_eq!(read.nodes[&worker].state.status.state, NodeHealth::Ready);

        lab.nodes[leader].start();
        let read = lab.settled(other, 3, 1).await;
        assert!(!read.managers[&killed].is_leader);
    }

    #[tokio::test]
    async fn a_write_succeeds_through_another_manager_while_the_leader_is_frozen() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let leader = lab.leader(0).await;
        let frozen = lab.nodes[leader].id();
        let other = (leader + 1) % 3;
        let id = lab.nodes[other].id();

        lab.nodes[leader].freeze();
        lab.nodes[other].update_node(&id, |spec| spec.availability = Availability::Pause).await.unwrap();
        lab.nodes[leader].thaw();

        let read = lab.settled(other, 3, 0).await;
        assert_eq!(read.nodes[&id].spec.availability, Availability::Pause);
        assert!(!read.managers[&frozen].is_leader);
    }

    #[tokio::test]
    async fn a_killed_worker_is_down_and_ready_again_when_it_is_back() {
        let mut lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let worker = lab.nodes[1].id();

        lab.nodes[1].kill();
        let read = lab.health(0, &worker, NodeHealth::Down).await;
        assert_eq!(read.nodes[&worker].state.status.message, "heartbeat failure");

        lab.nodes[1].start();
        let read = lab.health(0, &worker, NodeHealth::Ready).await;
        assert_eq!(read.nodes[&worker].state.status.message, "");
    }

    #[tokio::test]
    async fn a_node_that_stops_in_order_and_starts_again_was_never_down() {
        let mut lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let worker = lab.nodes[1].id();

        lab.nodes[1].stop();
        lab.nodes[1].start();

        lab.settled(0, 1, 1).await;
        let (past, _) = lab.nodes[0].engine().events().subscribe();
        let was_down = |event: &engine::Event| {
            event.actor.id == worker.as_str()
                && event.actor.attributes.get("state.new").is_some_and(|state| state == "down")
        };
        assert!(!past.iter().any(|event| was_down(event)));
    }

    #[tokio::test]
    async fn a_node_that_stops_for_good_is_down_at_once_and_ready_again_when_it_is_started() {
        let mut lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let worker = lab.nodes[1].id();

        lab.nodes[1].stop_for_good();
        let read = lab.health(0, &worker, NodeHealth::Down).await;
        assert_eq!(read.nodes[&worker].state.status.message, "node was stopped");

        lab.nodes[1].start();
        let read = lab.health(0, &worker, NodeHealth::Ready).await;
        assert_eq!(read.nodes[&worker].state.status.message, "");
    }

    #[tokio::test]
    async fn a_leader_that_stops_for_good_hands_over_and_is_down_by_the_word_of_its_own() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let leader = lab.leader(0).await;
        let id = lab.nodes[leader].id();

        lab.nodes[leader].stop_for_good();

        let other = (leader + 1) % 3;
        let read = lab.health(other, &id, NodeHealth::Down).await;
        assert_eq!(read.nodes[&id].state.status.message, "node was stopped");
        assert!(!read.managers[&id].is_leader);
        assert!(!read.managers[&id].is_reachable);
        lab.nodes[leader].start();
        lab.settled(other, 3, 0).await;
    }

    #[tokio::test]
    async fn a_leader_that_stops_in_order_hands_over_and_no_write_fails() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let leader = lab.leader(0).await;
        let id = lab.nodes[leader].id();
        let mut stopping = lab.nodes.remove(leader);
        let target = lab.nodes[0].id();

        let stopped = std::thread::spawn(move || {
            stopping.stop();
            stopping
        });
        let mut writes = 0;
        while !stopped.is_finished() {
            lab.nodes[1]
                .update_node(&target, |spec| drop(spec.labels.insert("zone".to_owned(), writes.to_string())))
                .await
                .unwrap();
            writes += 1;
        }

        drop(stopped.join().unwrap());
        assert!(writes > 0);
        let read = lab.nodes[0].read().await.unwrap();
        assert!(!read.managers[&id].is_leader);
        assert_eq!(read.nodes[&id].state.status.state, NodeHealth::Ready);
    }

    #[tokio::test]
    async fn without_a_quorum_a_read_says_so_in_dockers_words() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;

        lab.nodes[1].kill();
        lab.nodes[2].kill();
        let mut outcome = lab.nodes[0].read().await;
        if outcome.is_ok() {
            // The lease of the former quorum had not run out yet.
            outcome = lab.nodes[0].read().await;
        }

        let error = outcome.expect_err("one of three is no quorum");
        assert!(error.message.contains("The swarm does not have a leader."), "{error}");
    }

    #[tokio::test]
    async fn a_manager_that_cannot_take_its_place_says_why_and_takes_it_once_it_can() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let failing = (lab.leader(0).await + 1) % 3;
        let other = (failing + 1) % 3;
        let (raft, aside) =
            (lab.nodes[failing].data_dir().join("swarm/raft"), lab.nodes[failing].data_dir().join("aside"));

        lab.nodes[failing].stop();
        std::fs::rename(&raft, &aside).unwrap();
        std::fs::write(&raft, "no folder").unwrap();
        lab.nodes[failing].start();
        let node = lab.nodes[failing].node();
        let failed = async {
            // Said while it is tried again and again, and not only in the moment of the failure.
            let mut seen = 0;
            while seen < 100 {
                seen = if node.view().error.starts_with("failed to open the raft log: ") { seen + 1 } else { 0 };
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            node.view()
        };
        let failed = tokio::time::timeout(std::time::Duration::from_secs(30), failed).await.expect("it says why");
        let id = lab.nodes[other].id();
        lab.nodes[other].update_node(&id, |spec| spec.availability = Availability::Pause).await.unwrap();
        std::fs::remove_file(&raft).unwrap();
        std::fs::rename(&aside, &raft).unwrap();

        lab.settled(other, 3, 0).await;
        assert!(!failed.is_manager);
        lab.settled(failing, 3, 0).await;
        assert_eq!(lab.nodes[failing].view().error, "");
    }
}
