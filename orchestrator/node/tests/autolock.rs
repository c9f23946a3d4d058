//! Managers that lock themselves: on, off and rotated, with nodes that are killed, away, promoted and demoted.

#[cfg(test)]
mod tests {
    use std::fs;

    use model::{ControlRequest, ErrorKind, Role, Rotation, Secret, SwarmError};
    use node::SwarmCondition;
    use node::testing::{Lab, LabNode, PATIENCE};
    use tokio::time::Instant;

    async fn until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// `docker swarm update --autolock=…`, or a rotation; gives the unlock key after it.
    async fn update(node: &LabNode, is_on: bool, unlock_key: bool) -> Option<Secret> {
        loop {
            let read = node.read().await.unwrap();
            let mut spec = read.cluster.spec.clone();
            spec.encryption_config.auto_lock_managers = is_on;
            let rotation = Rotation { unlock_key, ..Rotation::default() };
            let request = ControlRequest::UpdateSwarm { version: read.cluster.meta.version, spec, rotation };
            match node.control(request).await {
                // The swarm itself has changed its object in between.
                Err(error) if error == SwarmError::out_of_sequence() => {}
                outcome => {
                    outcome.unwrap();
                    return node.read().await.unwrap().cluster.state.unlock_key.clone();
                }
            }
        }
    }

    async fn all_locked_on_disk(lab: &Lab, is_locked: bool) {
        let nodes = || lab.nodes.iter().filter(|node| node.is_running());
        until("the keys on disk", || nodes().all(|node| node.is_locked_on_disk() == is_locked)).await;
    }

    /// Kills a node, starts it again and waits until it is locked.
    async fn restart_locked(lab: &mut Lab, node: usize) {
        lab.nodes[node].kill();
        lab.nodes[node].start();
        until("the node to be locked", || lab.nodes[node].view().condition == SwarmCondition::Locked).await;
    }

    fn kind(outcome: Result<(), SwarmError>) -> ErrorKind {
        outcome.unwrap_err().kind
    }

    fn key_text(node: &LabNode) -> String {
        fs::read_to_string(node.data_dir().join("swarm/identity.json")).unwrap()
    }

    #[tokio::test]
    async fn a_restarted_manager_is_locked_until_it_has_the_key() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        assert_eq!(kind(lab.nodes[0].unlock(&Secret::new("SWMKEY-1-x")).await), ErrorKind::AlreadyExists);
        let key = update(&lab.nodes[0], true, false).await.unwrap();
        all_locked_on_disk(&lab, true).await;
        let id = lab.nodes[2].id();

        restart_locked(&mut lab, 2).await;

        let node = &lab.nodes[2];
        assert!(!key_text(node).contains("PRIVATE KEY"));
        assert!(node.api_tls().borrow().is_some(), "it can be unlocked over 2376");
        let locked = "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm \
                      unlock\" to unlock it.";
        assert_eq!((node.view().error.as_str(), node.view().node_id), (locked, None));
        assert_eq!(node.read().await.unwrap_err(), SwarmError::unavailable(locked));
        assert_eq!(kind(node.init().await.map(drop)), ErrorKind::Unavailable);
        assert_eq!(kind(node.leave(false).await), ErrorKind::Unavailable);
        assert_eq!(kind(node.unlock(&Secret::new("open")).await), ErrorKind::InvalidArgument);
        let other = Secret::new(format!("SWMKEY-1-{}", "A".repeat(43)));
        assert_eq!(kind(node.unlock(&other).await), ErrorKind::Unauthenticated);
        let read = lab.until(0, "the node to be missed", |read| !read.managers[&id].is_reachable).await;
        assert!(read.managers.values().any(|manager| manager.is_leader));

        lab.nodes[2].unlock(&key).await.unwrap();

        assert!(lab.nodes[2].view().is_manager, "unlock returns once the node is a manager again");
        assert_eq!((lab.nodes[2].view().error.as_str(), lab.nodes[2].id()), ("", id));
        lab.settled(2, 3, 0).await;
    }

    #[tokio::test]
    async fn a_manager_that_was_away_opens_with_the_key_it_knew_and_follows() {
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let old = update(&lab.nodes[0], true, false).await.unwrap();
        all_locked_on_disk(&lab, true).await;
        lab.nodes[2].kill();

        let new = update(&lab.nodes[0], true, true).await.unwrap();
        assert_ne!(old, new);
        lab.nodes[2].start();
        until("the node to be locked", || lab.nodes[2].view().condition == SwarmCondition::Locked).await;
        assert_eq!(kind(lab.nodes[2].unlock(&new).await), ErrorKind::Unauthenticated);
        let lock = fs::read(lab.nodes[2].data_dir().join("swarm/lock.json")).unwrap();
        lab.nodes[2].unlock(&old).await.unwrap();
        lab.settled(2, 3, 0).await;
        let path = lab.nodes[2].data_dir().join("swarm/lock.json");
        until("the node to follow", || fs::read(&path).unwrap() != lock).await;
        restart_locked(&mut lab, 2).await;
        assert_eq!(kind(lab.nodes[2].unlock(&old).await), ErrorKind::Unauthenticated);
        lab.nodes[2].unlock(&new).await.unwrap();
        lab.settled(2, 3, 0).await;

        lab.nodes[2].kill();
        assert_eq!(update(&lab.nodes[0], false, false).await, None);
        lab.nodes[2].start();
        until("the node to be locked", || lab.nodes[2].view().condition == SwarmCondition::Locked).await;
        lab.nodes[2].unlock(&new).await.unwrap();
        all_locked_on_disk(&lab, false).await;
        lab.nodes[2].kill();
        lab.nodes[2].start();
        lab.settled(2, 3, 0).await;
    }

    #[tokio::test]
    async fn a_swarm_whose_managers_are_all_locked_comes_back_whole() {
        let mut lab = Lab::swarm(3, 1);
        lab.settled(0, 3, 1).await;
        let key = update(&lab.nodes[0], true, false).await.unwrap();
        all_locked_on_disk_but_workers(&lab, 3).await;
        let before = lab.nodes[0].read().await.unwrap();
        for node in 0..3 {
            lab.nodes[node].kill();
        }
        for node in 0..3 {
            lab.nodes[node].start();
        }
        for node in 0..3 {
            until("the node to be locked", || lab.nodes[node].view().condition == SwarmCondition::Locked).await;
        }

        let unlocked = tokio::join!(lab.nodes[0].unlock(&key), lab.nodes[1].unlock(&key), lab.nodes[2].unlock(&key));

        assert_eq!(unlocked, (Ok(()), Ok(()), Ok(())));
        let after = lab.settled(0, 3, 1).await;
        assert_eq!(after.cluster.state.unlock_key, Some(key));
        assert_eq!(after.cluster.spec, before.cluster.spec);
    }

    async fn all_locked_on_disk_but_workers(lab: &Lab, managers: usize) {
        let is_so = |(number, node): (usize, &LabNode)| node.is_locked_on_disk() == (number < managers);
        until("the managers' keys on disk", || lab.nodes.iter().enumerate().all(is_so)).await;
    }

    #[tokio::test]
    async fn a_promoted_worker_is_locked_before_it_is_a_manager_and_a_demoted_manager_is_not() {
        let mut lab = Lab::swarm(1, 1);
        lab.settled(0, 1, 1).await;
        let key = update(&lab.nodes[0], true, false).await.unwrap();
        let worker = lab.nodes[1].id();
        assert!(!lab.nodes[1].is_locked_on_disk());

        for _ in 0..2 {
            lab.nodes[0].update_node(&worker, |spec| spec.role = Role::Manager).await.unwrap();
            until("the node to be a manager", || lab.nodes[1].view().is_manager).await;
            assert!(lab.nodes[1].is_locked_on_disk() && !key_text(&lab.nodes[1]).contains("PRIVATE KEY"));
            lab.settled(0, 2, 0).await;
            restart_locked(&mut lab, 1).await;
            lab.nodes[1].unlock(&key).await.unwrap();
            lab.settled(0, 2, 0).await;

            lab.nodes[0].update_node(&worker, |spec| spec.role = Role::Worker).await.unwrap();
            lab.settled(0, 1, 1).await;
            until("the lock to be gone", || !lab.nodes[1].data_dir().join("swarm/lock.json").exists()).await;
            assert!(key_text(&lab.nodes[1]).contains("PRIVATE KEY"));
            lab.nodes[1].kill();
            lab.nodes[1].start();
            lab.settled(0, 1, 1).await;
        }
    }

    #[tokio::test]
    async fn a_locked_manager_is_left_by_force() {
        let mut lab = Lab::swarm(1, 0);
        lab.settled(0, 1, 0).await;
        update(&lab.nodes[0], true, false).await.unwrap();
        all_locked_on_disk(&lab, true).await;
        restart_locked(&mut lab, 0).await;

        lab.nodes[0].leave(true).await.unwrap();

        assert_eq!(lab.nodes[0].view().condition, SwarmCondition::Inactive);
        assert_eq!(*lab.nodes[0].api_tls().borrow(), None);
        assert!(!lab.nodes[0].data_dir().join("swarm").exists());
        lab.nodes[0].init().await.unwrap();
        lab.settled(0, 1, 0).await;
    }

    #[tokio::test]
    async fn a_swarm_that_begins_locked_is_locked_when_its_first_node_is_told() {
        let mut lab = Lab::new();
        let first = lab.add_started();

        lab.nodes[first].init_locking().await.unwrap();

        assert!(lab.nodes[first].is_locked_on_disk());
        let read = lab.nodes[first].read().await.unwrap();
        let key = read.cluster.state.unlock_key.clone().unwrap();
        assert!(read.cluster.spec.encryption_config.auto_lock_managers);
        let second = lab.add_started();
        let token = ca::JoinToken::new(&read.cluster.state.root_ca.roots[0], &read.cluster.state.join_secrets.manager);
        let remote = lab.nodes[first].addr;
        lab.nodes[second].join(remote, &token.unwrap().to_string()).await.unwrap();
        assert!(lab.nodes[second].is_locked_on_disk());
        restart_locked(&mut lab, second).await;
        lab.nodes[second].unlock(&key).await.unwrap();
        lab.settled(second, 2, 0).await;
    }
}
