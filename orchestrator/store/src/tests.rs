//! The store over a consensus of one, and over real raft.

mod amendments;
mod group;
mod lookups;
mod properties;
mod services;
mod transactions;
mod watching;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use model::{Cluster, ClusterId, ClusterState, JoinSecrets, Node, NodeId, NodeSpec, NodeState, RootCa, SwarmSpec};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Clock, MemoryProposer, Store};

/// A running store with its own consensus; ends when dropped.
struct Running {
    store: Store,
    proposer: Arc<MemoryProposer>,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    fn new() -> Self {
        Self::with_clock(Clock::new(|| Timestamp::from_second(1_000).unwrap()))
    }

    fn with_clock(clock: Clock) -> Self {
        let store = Store::new(clock);
        let proposer = Arc::new(MemoryProposer::new(&store));
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (store, proposer, cancel) = (store.clone(), Arc::clone(&proposer), cancel.clone());
            async move { store.run(proposer, cancel).await }
        });
        Self { store, proposer, cancel, tasks }
    }

    async fn create(&self, number: u64) -> NodeId {
        let node = node(number);
        let id = node.id.clone();
        self.store.update(|tx| tx.create_node(node)).await.unwrap();
        id
    }

    async fn stop(&mut self) {
        self.cancel.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

fn node_id(number: u64) -> NodeId {
    NodeId::generate(&mut StdRng::seed_from_u64(number))
}

fn node(number: u64) -> Node {
    Node { id: node_id(number), meta: model::Meta::default(), spec: NodeSpec::default(), state: NodeState::default() }
}

fn cluster() -> Cluster {
    let secret = || model::Secret::new("secret");
    Cluster {
        id: ClusterId::generate(&mut StdRng::seed_from_u64(1)),
        meta: model::Meta::default(),
        spec: SwarmSpec::default(),
        state: ClusterState {
            root_ca: RootCa::new("", secret()),
            join_secrets: JoinSecrets { worker: secret(), manager: secret() },
            unlock_key: None,
            gossip_keys: Vec::new(),
            client_ca: None,
            removed_nodes: Vec::new(),
            removed_raft_ids: Vec::new(),
            data_path_port: 4789,
            default_addr_pool: Vec::new(),
            subnet_size: 24,
        },
    }
}

fn label(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}
