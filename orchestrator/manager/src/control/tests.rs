//! Control over a real store: what is committed, and what is not.

use model::{ErrorKind, NodeHealth, NodeStatus, Role};
use rand::SeedableRng;

use super::*;
use crate::seed;
use crate::testing::{NoMembers, RunningStore, genesis, running_store};

struct Swarm {
    running: RunningStore,
    control: Control,
    manager: NodeId,
    worker: NodeId,
}

async fn swarm() -> Swarm {
    let (running, genesis) = (running_store(), genesis(1));
    let (manager, worker) = (genesis.roster[0].node_id.clone(), genesis.roster[1].node_id.clone());
    seed::commit(&running.store, genesis).await.unwrap();
    let rng = StdRng::seed_from_u64(7);
    let control = Control::new(running.store.clone(), Arc::new(NoMembers), Clock::system(), rng);
    Swarm { running, control, manager, worker }
}

impl Swarm {
    async fn execute(&self, request: ControlRequest) -> Result<ControlResponse, SwarmError> {
        let caller = Caller::Client { name: "admin".to_owned() };
        self.control.execute(&caller, request).await
    }

    fn version(&self, id: &NodeId) -> Version {
        self.running.store.view().node(id).unwrap().meta.version
    }
}

#[tokio::test]
async fn of_two_updates_that_saw_the_same_version_one_is_refused() {
    let swarm = swarm().await;
    let version = swarm.version(&swarm.worker);
    let update = || ControlRequest::UpdateNode { id: swarm.worker.clone(), version, spec: NodeSpec::default() };
    let promote = ControlRequest::UpdateNode {
        id: swarm.worker.clone(),
        version,
        spec: NodeSpec { role: Role::Manager, ..NodeSpec::default() },
    };

    swarm.execute(promote).await.unwrap();
    let error = swarm.execute(update()).await.unwrap_err();

    assert_eq!(error, SwarmError::out_of_sequence());
    assert_eq!(swarm.running.store.view().node(&swarm.worker).unwrap().spec.role, Role::Manager);
}

#[tokio::test]
async fn of_two_demotions_at_once_the_last_manager_stays() {
    let swarm = swarm().await;
    let role = |id: &NodeId, role: Role| ControlRequest::UpdateNode {
        id: id.clone(),
        version: swarm.version(id),
        spec: NodeSpec { role, ..NodeSpec::default() },
    };
    swarm.execute(role(&swarm.worker, Role::Manager)).await.unwrap();

    let outcomes = tokio::join!(
        swarm.execute(role(&swarm.manager, Role::Worker)),
        swarm.execute(role(&swarm.worker, Role::Worker))
    );

    let refused = [outcomes.0, outcomes.1].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].message.ends_with("attempting to demote the last manager of the swarm"));
}

#[tokio::test]
async fn a_removed_node_goes_to_the_list_of_those_that_are_refused() {
    let swarm = swarm().await;
    let id = swarm.worker.clone();
    let down = NodeStatus { state: NodeHealth::Down, ..NodeStatus::default() };
    let worker = id.clone();
    swarm.running.store.update(move |tx| tx.update_node(&worker, None, |node| node.state.status = down)).await.unwrap();

    swarm.execute(ControlRequest::RemoveNode { id: id.clone(), force: false }).await.unwrap();
    let view = swarm.running.store.view();
    let error = swarm.execute(ControlRequest::RemoveNode { id: id.clone(), force: false }).await.unwrap_err();

    assert_eq!(view.node(&id), None);
    assert_eq!(view.cluster().unwrap().state.removed_nodes[0].id, id);
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(error.message, format!("rpc error: code = NotFound desc = node {id} not found"));
}

#[tokio::test]
async fn a_rotation_renews_the_secret_that_is_named_and_no_other() {
    let swarm = swarm().await;
    let before = swarm.running.store.view().cluster().cloned().unwrap();
    let rotation = Rotation { manager_token: true, ..Rotation::default() };
    let (version, spec) = (before.meta.version, before.spec.clone());

    swarm.execute(ControlRequest::UpdateSwarm { version, spec, rotation }).await.unwrap();

    let after = swarm.running.store.view().cluster().cloned().unwrap();
    assert_eq!(after.state.join_secrets.worker, before.state.join_secrets.worker);
    assert_ne!(after.state.join_secrets.manager, before.state.join_secrets.manager);
}

#[tokio::test]
async fn locking_managers_makes_a_key_that_stays_until_it_is_rotated_or_locking_ends() {
    let swarm = swarm().await;
    let update = async |is_on: bool, unlock_key: bool| {
        let before = swarm.running.store.view().cluster().cloned().unwrap();
        let mut spec = before.spec.clone();
        spec.encryption_config.auto_lock_managers = is_on;
        let rotation = Rotation { unlock_key, ..Rotation::default() };
        let request = ControlRequest::UpdateSwarm { version: before.meta.version, spec, rotation };
        swarm.execute(request).await.unwrap();
        swarm.running.store.view().cluster().unwrap().state.unlock_key.clone()
    };

    let on = update(true, false).await;
    let same = update(true, false).await;
    let rotated = update(true, true).await;
    let off = update(false, true).await;

    let key: UnlockKey = on.as_ref().unwrap().expose().parse().unwrap();
    assert_eq!(Some(key.to_secret()), on);
    assert_eq!(same, on);
    assert!(rotated.is_some() && rotated != on);
    assert_eq!(off, None);
}
