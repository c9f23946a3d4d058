//! Objects for the tests of this crate.

use std::net::SocketAddr;
use std::sync::Arc;

use ca::Authority;
use jiff::Timestamp;
use model::{
    Availability, Cluster, ClusterId, ClusterState, JoinSecrets, Meta, NodeId, RaftId, Role, RootCa, RosterEntry, Seed,
    Service, ServiceId, ServiceSpec, SwarmSpec, Task, TaskId, TaskState, TaskStatus,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::{Clock, MemoryProposer, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Genesis;
pub(crate) use crate::lone::NoMembers;

/// A store of its own that answers for as long as this is held.
#[derive(Debug)]
pub(crate) struct RunningStore {
    pub(crate) store: Store,
    _tasks: JoinSet<()>,
}

/// Starts an empty store whose only member leads.
pub(crate) fn running_store() -> RunningStore {
    let store = Store::new(Clock::system());
    let proposer = Arc::new(MemoryProposer::new(&store));
    let mut tasks = JoinSet::new();
    let running = store.clone();
    tasks.spawn(async move { running.run(proposer, CancellationToken::new()).await });
    RunningStore { store, _tasks: tasks }
}

/// The beginning of a swarm of one manager and one worker.
pub(crate) fn genesis(seed: u64) -> Genesis {
    let mut rng = StdRng::seed_from_u64(seed);
    let Cluster { id, spec, state, .. } = cluster(seed);
    let entry = |number: u8, role: Role, rng: &mut StdRng| RosterEntry {
        node_id: NodeId::generate(rng),
        hostname: format!("node-{number}"),
        role,
        raft_id: (role == Role::Manager).then(|| RaftId::generate(rng)),
        addr: SocketAddr::from(([10, 0, 0, number], 2377)),
    };
    Genesis {
        cluster_id: id,
        seed: Seed {
            spec,
            created_at: Timestamp::UNIX_EPOCH,
            root_ca: state.root_ca,
            join_secrets: state.join_secrets,
            unlock_key: None,
            client_ca: None,
            data_path_port: 4789,
            default_addr_pool: state.default_addr_pool,
            subnet_size: 24,
        },
        gossip_key: state.gossip_keys[0].clone(),
        roster: vec![entry(1, Role::Manager, &mut rng), entry(2, Role::Worker, &mut rng)],
        availability: Availability::Active,
    }
}

/// A swarm of its own for each seed.
pub(crate) fn cluster(seed: u64) -> Cluster {
    let mut rng = StdRng::seed_from_u64(seed);
    let authority = Authority::generate("swarm-ca", Timestamp::now()).unwrap();
    Cluster {
        id: ClusterId::generate(&mut rng),
        meta: Meta::default(),
        spec: SwarmSpec::default(),
        state: ClusterState {
            root_ca: RootCa::new(authority.certificate_pem(), authority.key_pem()),
            join_secrets: JoinSecrets {
                worker: ca::generate_join_secret(&mut rng),
                manager: ca::generate_join_secret(&mut rng),
            },
            unlock_key: None,
            gossip_keys: vec![ca::generate_gossip_key(&mut rng, 1)],
            client_ca: None,
            removed_nodes: Vec::new(),
            removed_raft_ids: Vec::new(),
            data_path_port: 4789,
            default_addr_pool: vec!["10.0.0.0/8".to_owned()],
            subnet_size: 24,
        },
    }
}

/// A node's id, another one for each number.
pub(crate) fn node_id(number: u64) -> NodeId {
    NodeId::generate(&mut StdRng::seed_from_u64(number))
}

/// A task that is assigned and wanted to run, without a node, of one and the same service.
pub(crate) fn task(number: u64) -> Task {
    let spec = ServiceSpec { name: "web".to_owned(), ..ServiceSpec::default() };
    let service = Service::new(ServiceId::generate(&mut StdRng::seed_from_u64(0)), spec);
    let mut task =
        Task::of(&service, TaskId::generate(&mut StdRng::seed_from_u64(number)), number, Timestamp::UNIX_EPOCH);
    task.state.status = TaskStatus::new(TaskState::Assigned, "", Timestamp::UNIX_EPOCH);
    task
}
