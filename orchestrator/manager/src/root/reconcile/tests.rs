//! A change of the root over a real store, with time paused: it waits for the last node, and any leader completes it.

use std::sync::Arc;
use std::time::Duration;

use ca::Authority;
use jiff::Timestamp;
use model::{
    CaConfig, Caller, Cluster, ControlRequest, Meta, Node, NodeDescription, NodeHealth, NodeId, NodeSpec, NodeState,
    Rotation, SwarmSpec, TlsInfo,
};
use rand::SeedableRng;
use store::Clock;
use tokio::task::JoinSet;

use super::*;
use crate::control::Control;
use crate::seed;
use crate::testing::{NoMembers, RunningStore, genesis, running_store};

/// A swarm of a manager and a worker.
struct Swarm {
    running: RunningStore,
    control: Control,
    nodes: [NodeId; 2],
    term: CancellationToken,
    tasks: JoinSet<()>,
}

async fn swarm() -> Swarm {
    let (running, genesis) = (running_store(), genesis(1));
    let nodes = [genesis.roster[0].node_id.clone(), genesis.roster[1].node_id.clone()];
    seed::commit(&running.store, genesis).await.unwrap();
    let rng = StdRng::seed_from_u64(7);
    let control = Control::new(running.store.clone(), Arc::new(NoMembers), Clock::system(), rng);
    let mut swarm = Swarm { running, control, nodes, term: CancellationToken::new(), tasks: JoinSet::new() };
    swarm.lead();
    for node in swarm.nodes.clone() {
        let cluster = swarm.cluster();
        swarm.tells(&node, cluster.state.root_ca.root().unwrap(), &cluster.state.root_ca.trusted()).await;
    }
    swarm
}

impl Swarm {
    /// Another leader begins, with nothing but the store.
    fn lead(&mut self) {
        self.term.cancel();
        self.term = CancellationToken::new();
        let reconciler = RootReconciler::new(self.running.store.clone(), StdRng::seed_from_u64(8));
        let running = reconciler.run(self.term.clone());
        self.tasks.spawn(async move { running.await.unwrap() });
    }

    fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(self.running.store.view().cluster().unwrap())
    }

    async fn ask(&self, change: impl FnOnce(&mut CaConfig)) {
        let cluster = self.cluster();
        let mut spec: SwarmSpec = cluster.spec.clone();
        change(&mut spec.ca_config);
        let version = cluster.meta.version;
        let request = ControlRequest::UpdateSwarm { version, spec, rotation: Rotation::default() };
        self.control.execute(&Caller::Client { name: "admin".to_owned() }, request).await.unwrap();
    }

    /// A node says who signed its certificate, and whom it trusts.
    async fn tells(&self, node: &NodeId, issuer: &str, roots: &[String]) {
        let issuer = ca::swarm_tls_info(&[issuer.to_owned()]).unwrap();
        let tls = TlsInfo { trust_root: roots.concat(), ..issuer };
        let (node, description) = (node.clone(), NodeDescription { tls, ..NodeDescription::default() });
        let write =
            move |tx: &mut Transaction| tx.update_node(&node, None, |node| node.state.description = Some(description));
        self.running.store.update(write).await.unwrap();
    }

    /// A node has changed over to what the swarm wants now.
    async fn changes_over(&self, node: &NodeId) {
        let roots = self.cluster().state.root_ca.trusted();
        self.tells(node, &roots[0], &roots).await;
    }

    /// The swarm, once all that could be done has been done.
    async fn settled(&self) -> Arc<Cluster> {
        // Time is paused: it goes on only when nobody has anything to do.
        tokio::time::sleep(Duration::from_hours(1)).await;
        self.cluster()
    }
}

#[tokio::test(start_paused = true)]
async fn the_old_root_goes_when_the_last_node_has_changed_over_and_tokens_are_new() {
    let swarm = swarm().await;
    let before = swarm.cluster();

    swarm.ask(|settings| settings.force_rotate += 1).await;
    swarm.changes_over(&swarm.nodes[0]).await;
    let waiting = swarm.settled().await;
    swarm.changes_over(&swarm.nodes[1]).await;
    let after = swarm.settled().await;

    let rotation = waiting.state.root_ca.rotation.clone().unwrap();
    assert_eq!(waiting.state.root_ca.root(), before.state.root_ca.root());
    assert_eq!(waiting.state.join_secrets, before.state.join_secrets);
    assert_eq!(after.state.root_ca.trusted(), [rotation.certificate]);
    assert_eq!(after.state.root_ca.key, rotation.key);
    assert_ne!(after.state.join_secrets.worker, before.state.join_secrets.worker);
    assert_ne!(after.state.join_secrets.manager, before.state.join_secrets.manager);
}

#[tokio::test(start_paused = true)]
async fn another_leader_goes_on_from_the_store_alone() {
    let mut swarm = swarm().await;
    swarm.ask(|settings| settings.force_rotate += 1).await;
    swarm.changes_over(&swarm.nodes[0]).await;
    swarm.term.cancel();
    swarm.changes_over(&swarm.nodes[1]).await;
    assert!(swarm.settled().await.state.root_ca.rotation.is_some());

    swarm.lead();

    assert_eq!(swarm.settled().await.state.root_ca.rotation, None);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_joins_meanwhile_is_waited_for_and_one_that_is_removed_is_not() {
    let swarm = swarm().await;
    let id = NodeId::generate(&mut StdRng::seed_from_u64(9));
    let mut state = NodeState::default();
    state.status.state = NodeHealth::Down;
    let joined = Node { id: id.clone(), meta: Meta::default(), spec: NodeSpec::default(), state };

    swarm.ask(|settings| settings.force_rotate += 1).await;
    swarm.running.store.update(move |tx| tx.create_node(joined)).await.unwrap();
    swarm.changes_over(&swarm.nodes[0]).await;
    swarm.changes_over(&swarm.nodes[1]).await;
    assert!(swarm.settled().await.state.root_ca.rotation.is_some());
    swarm.running.store.update(move |tx| tx.remove_node(&id)).await.unwrap();

    assert_eq!(swarm.settled().await.state.root_ca.rotation, None);
}

#[tokio::test(start_paused = true)]
async fn another_root_during_a_change_is_the_one_that_counts() {
    let swarm = swarm().await;
    swarm.ask(|settings| settings.force_rotate += 1).await;
    swarm.changes_over(&swarm.nodes[0]).await;
    let given = Authority::generate("example", Timestamp::now()).unwrap();

    swarm
        .ask(|settings| {
            given.certificate_pem().clone_into(&mut settings.signing_ca_cert);
            settings.signing_ca_key = given.key_pem();
        })
        .await;
    swarm.changes_over(&swarm.nodes[1]).await;
    assert!(swarm.settled().await.state.root_ca.rotation.is_some());
    swarm.changes_over(&swarm.nodes[0]).await;

    let after = swarm.settled().await;
    assert_eq!(after.state.root_ca.trusted(), [given.certificate_pem()]);
    assert!(after.spec.ca_config.signing_ca_cert.is_empty() && after.spec.ca_config.signing_ca_key.is_empty());
}

#[tokio::test(start_paused = true)]
async fn going_back_to_the_present_root_leaves_the_tokens_as_they_are() {
    let swarm = swarm().await;
    let before = swarm.cluster();
    swarm.ask(|settings| settings.force_rotate += 1).await;
    swarm.changes_over(&swarm.nodes[0]).await;

    let root_ca = &before.state.root_ca;
    swarm
        .ask(|settings| {
            root_ca.root().unwrap().clone_into(&mut settings.signing_ca_cert);
            settings.signing_ca_key = root_ca.key.clone();
        })
        .await;
    swarm.changes_over(&swarm.nodes[0]).await;

    let after = swarm.settled().await;
    assert_eq!(after.state.root_ca, before.state.root_ca);
    assert_eq!(after.state.join_secrets, before.state.join_secrets);
}
