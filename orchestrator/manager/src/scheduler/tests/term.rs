//! A whole term of a leader: whoever leads schedules, and holds nodes to what they must be.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use engine::Lease;
use gossip::GossipView;
use model::{Meta, NodeHealth, ReplicatedMode, Service, ServiceSpec, ServiceState};
use raft::{DataKey, Peer, Raft, RaftCallKind, RaftSettings, Transport, TransportError};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::dispatcher::Dispatcher;
use crate::leader::Leader;
use crate::logs::LogBroker;
use crate::testing::genesis;

const DEADLINE: Duration = Duration::from_mins(1);

/// Nobody else is there.
#[derive(Debug)]
struct Alone;

#[async_trait]
impl Transport for Alone {
    async fn call(&self, _: &Peer, _: RaftCallKind, _: Bytes, _: Duration) -> Result<Bytes, TransportError> {
        Err(TransportError::Unreachable("nobody is there".to_owned()))
    }
}

/// Waits until the store shows something.
async fn shows<T>(store: &Store, look: impl Fn(&Snapshot) -> Option<T>) -> T {
    let shown = async {
        loop {
            let (view, mut events) = store.view_and_watch();
            if let Some(shown) = look(&view) {
                return shown;
            }
            events.recv().await.unwrap();
        }
    };
    timeout(DEADLINE, shown).await.expect("the store shows what is waited for")
}

/// The service whose only task this is: whoever orchestrates has nothing to do.
fn service_of(task: &Task) -> Service {
    let mut spec = ServiceSpec { name: task.state.service_name.clone(), ..ServiceSpec::default() };
    spec.task_template = task.spec.clone();
    spec.mode.replicated = Some(ReplicatedMode { replicas: Some(1) });
    let state = ServiceState { spec_revision: task.state.spec_revision, ..ServiceState::default() };
    Service { id: task.state.service_id.clone(), meta: Meta::default(), spec, state }
}

/// Waits until a task is in a state.
async fn reaches(store: &Store, task: &TaskId, state: TaskState) -> Arc<Task> {
    shows(store, |view| view.task(task).filter(|task| task.state.status.state == state).cloned()).await
}

#[tokio::test]
async fn a_leader_schedules_and_takes_tasks_from_nodes_that_change() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = genesis(1);
    let (manager, worker) = (genesis.roster[0].clone(), genesis.roster[1].node_id.clone());
    let me = Peer {
        raft_id: manager.raft_id.unwrap(),
        node_id: manager.node_id,
        addr: manager.addr,
        hostname: manager.hostname,
    };
    let store = Store::new(Clock::system());
    let mut rng = StdRng::seed_from_u64(1);
    let key = DataKey::load_or_create(dir.path(), None, &mut rng).unwrap();
    let (settings, machine) = (RaftSettings::default(), store.state_machine());
    let raft = Raft::open(settings, dir.path(), key, me.clone(), Arc::new(Alone), machine, StdRng::seed_from_u64(2))
        .await
        .unwrap();
    let (gossip, view) = watch::channel(GossipView::default());
    let lease = Arc::new(Lease::new(None));
    let leader = Leader {
        me: me.clone(),
        store: store.clone(),
        raft: raft.clone(),
        dispatcher: Arc::new(Dispatcher::new(store.clone(), raft.clone(), lease, StdRng::seed_from_u64(3))),
        logs: Arc::new(LogBroker::new(raft.clone())),
        gossip: view,
        genesis: Some(genesis),
        begins_anew: false,
        clock: Clock::system(),
        rng: Mutex::new(rng),
    };
    let cancel = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (of_store, of_raft, ends) = (store.clone(), raft.clone(), cancel.clone());
    tasks.spawn(async move { of_store.run(Arc::new(of_raft), ends).await });
    let (of_raft, ends) = (raft.clone(), cancel.clone());
    tasks.spawn(async move { of_raft.run(ends).await.unwrap() });
    tasks.spawn(leader.run(cancel.clone()));
    raft.form(BTreeMap::from([(me.raft_id, me)])).await.unwrap();
    raft.status().wait_for(|status| status.is_leader).await.unwrap();
    let waiting = task(1, 1, &constrained(&["node.labels.zone!=east"]));
    let (service, created) = (service_of(&waiting), waiting.clone());
    store.update(|tx| tx.create_service(service).and_then(|()| tx.create_task(created))).await.unwrap();

    let change = |change: fn(&mut Node)| {
        let worker = worker.clone();
        store.update(move |tx| tx.update_node(&worker, None, change))
    };
    shows(&store, |view| view.node(&worker).cloned()).await;
    change(|node| node.state.status.state = NodeHealth::Ready).await.unwrap();
    let assigned = reaches(&store, &waiting.id, TaskState::Assigned).await;
    change(|node| drop(node.spec.labels.insert("zone".to_owned(), "east".to_owned()))).await.unwrap();
    let rejected = reaches(&store, &waiting.id, TaskState::Rejected).await;

    assert_eq!(assigned.state.node_id, Some(worker.clone()));
    assert_eq!(rejected.state.status.err, "assigned node no longer meets constraints");
    cancel.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    drop(gossip);
}
