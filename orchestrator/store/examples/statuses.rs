//! What it costs to bring tasks to run: writes a line of JSON a case to the file named.
//!
//! ```text
//! cargo run --release -p store --example statuses -- /dev/stdout [TASKS]
//! ```
//! One raft member with its log on disk. 30,000 tasks of three services, or as many as are asked for, are made, get a
//! node, and are reported on until they run, in transactions as large as the managers make them. `bytes` is what all entries
//! have together: what goes to the disk, and to each follower. Watchers as many as a leader has read along.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use model::{
    ContainerSpec, ContainerStatus, NodeId, RaftId, Service, ServiceId, ServiceSpec, SwarmError, Task, TaskId,
    TaskSpec, TaskState, TaskStatus,
};
use raft::{Committed, DataKey, Peer, ProposeError, Raft, RaftCallKind, RaftSettings, Transport, TransportError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use store::{Clock, Proposer, Store, WatchError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The goal of the whole: so many tasks on so many nodes.
const TASKS: &str = "30000";
const NODES: usize = 1_000;
/// Changes of a transaction of the orchestrators and of the scheduler, and reports of one of the dispatcher.
const CHANGES: usize = 200;
const REPORTS: usize = 30;
/// Transactions that wait at a time: as many nodes report at once.
const AT_ONCE: usize = 64;
/// Components of a term that watch.
const WATCHERS: usize = 8;

/// There is no other member.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Transport for Nobody {
    async fn call(&self, _: &Peer, _: RaftCallKind, _: Bytes, _: Duration) -> Result<Bytes, TransportError> {
        Err(TransportError::Unreachable("there is one member".to_owned()))
    }
}

/// Counts what is proposed.
#[derive(Debug)]
struct Counted {
    raft: Raft,
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

#[async_trait]
impl Proposer for Counted {
    async fn prepare(&self) -> Result<u64, ProposeError> {
        self.raft.prepare().await
    }

    fn term(&self) -> Option<u64> {
        self.raft.term()
    }

    async fn propose(&self, entry: Bytes) -> Result<Committed, ProposeError> {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(entry.len(), Ordering::Relaxed);
        Proposer::propose(&self.raft, entry).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("the file to write to is expected as the only argument")?;
    let count: usize = std::env::args().nth(2).as_deref().unwrap_or(TASKS).parse()?;
    let mut output = OpenOptions::new().create(true).append(true).open(path)?;
    let dir = tempfile::tempdir()?;
    let store = Store::new(Clock::system());
    let mut rng = StdRng::seed_from_u64(1);
    let peer = Peer {
        raft_id: RaftId(1),
        node_id: NodeId::generate(&mut rng),
        addr: "127.0.0.1:2377".parse()?,
        hostname: "node-1".to_owned(),
    };
    let key = DataKey::load_or_create(dir.path(), None, &mut rng)?;
    let (settings, machine) = (RaftSettings::default(), store.state_machine());
    let raft = Raft::open(settings, dir.path(), key, peer.clone(), Arc::new(Nobody), machine, StdRng::seed_from_u64(2))
        .await?;
    let mut running = JoinSet::new();
    let member = raft.clone();
    running.spawn(async move { drop(member.run(CancellationToken::new()).await) });
    raft.form([(RaftId(1), peer)].into()).await?;
    raft.status().wait_for(|status| status.is_leader).await?;
    let counted = Arc::new(Counted { raft, entries: AtomicUsize::new(0), bytes: AtomicUsize::new(0) });
    let (of_writer, proposer) = (store.clone(), Arc::clone(&counted));
    running.spawn(async move { of_writer.run(proposer, CancellationToken::new()).await });
    for _ in 0..WATCHERS {
        running.spawn(watch(store.clone()));
    }

    let tasks = tasks(count, &mut rng);
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
    let nodes: Vec<NodeId> = (0..NODES).map(|_| NodeId::generate(&mut rng)).collect();
    let mut line = |what: &str, began: Instant| {
        let (entries, bytes) = (counted.entries.swap(0, Ordering::Relaxed), counted.bytes.swap(0, Ordering::Relaxed));
        let milliseconds = began.elapsed().as_millis();
        let line = json!({
            "case": what, "tasks": count, "entries": entries, "bytes": bytes, "ms": milliseconds,
            "bytes_per_task": bytes / count, "resident_mib": resident_mib(),
        });
        writeln!(output, "{line}")
    };

    let began = Instant::now();
    // Given away as they are made known: what is resident is the store's.
    let mut tasks = tasks.into_iter();
    while tasks.len() > 0 {
        let some: Vec<Task> = tasks.by_ref().take(CHANGES).collect();
        store.update(move |tx| some.into_iter().try_for_each(|task| tx.create_task(task))).await?;
    }
    line("make", began)?;
    let began = Instant::now();
    change(&store, &ids, CHANGES, |_, task| note(task, TaskState::Pending)).await?;
    change(&store, &ids, CHANGES, move |number, task| {
        task.state.node_id = Some(nodes[number % NODES].clone());
        note(task, TaskState::Assigned);
    })
    .await?;
    line("assign", began)?;
    let began = Instant::now();
    for state in [TaskState::Accepted, TaskState::Preparing, TaskState::Starting, TaskState::Running] {
        change(&store, &ids, REPORTS, move |_, task| note(task, state)).await?;
    }
    line("report until running", began)?;
    Ok(())
}

/// Memory of this process now, the log's caches with it; 0 where the kernel does not tell.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) >> 10
}

/// Reads all events, as a component does.
async fn watch(store: Store) {
    let mut events = store.view_and_watch().1;
    loop {
        match events.recv().await {
            Ok(_) => {}
            Err(WatchError::Lagged(_)) => events = store.view_and_watch().1,
            Err(WatchError::Closed) => return,
        }
    }
}

/// Changes all tasks, some in a transaction, some transactions at a time.
async fn change(
    store: &Store,
    ids: &[TaskId],
    together: usize,
    change: impl Fn(usize, &mut Task) + Clone + Send + 'static,
) -> Result<(), SwarmError> {
    let mut under_way = JoinSet::new();
    for (part, some) in ids.chunks(together).enumerate() {
        if under_way.len() == AT_ONCE {
            under_way.join_next().await.expect("as many as that are under way").expect("no update panics")?;
        }
        let (store, some, change) = (store.clone(), some.to_vec(), change.clone());
        under_way.spawn(async move {
            let all = move |tx: &mut store::Transaction| {
                let mut numbered = some.iter().enumerate();
                numbered.try_for_each(|(number, id)| tx.update_task(id, |task| change(part * together + number, task)))
            };
            store.update(all).await
        });
    }
    while let Some(done) = under_way.join_next().await {
        done.expect("no update panics")?;
    }
    Ok(())
}

fn note(task: &mut Task, state: TaskState) {
    let status = TaskStatus::new(state, "started", Timestamp::now());
    let container_id = "c0ffee".repeat(11);
    let container = (state >= TaskState::Starting).then_some(ContainerStatus { container_id, pid: 4711, exit_code: 0 });
    task.state.status = TaskStatus { container, ..status };
}

/// Tasks as an ordinary compose file makes them: an image by digest, some variables and labels.
fn tasks(count: usize, rng: &mut StdRng) -> Vec<Task> {
    let pairs = |what: &'static str| {
        (0..8).map(move |number| (format!("com.example.{what}.{number}"), "some value".to_owned()))
    };
    let container = ContainerSpec {
        image: format!("registry.example.com/team/web:1@sha256:{}", "0".repeat(64)),
        env: pairs("variable").map(|(name, value)| format!("{name}={value}")).collect(),
        labels: pairs("label").collect(),
        ..ContainerSpec::default()
    };
    let task_template = TaskSpec { container_spec: Some(container), ..TaskSpec::default() };
    let spec = ServiceSpec { name: "web".to_owned(), task_template, ..ServiceSpec::default() };
    let services: Vec<Service> = (0..3).map(|_| Service::new(ServiceId::generate(rng), spec.clone())).collect();
    let task =
        |number: usize| Task::of(&services[number % 3], TaskId::generate(rng), number as u64 / 3 + 1, Timestamp::now());
    (0..count).map(task).collect()
}
