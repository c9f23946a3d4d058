//! How long scheduling takes: writes a line of JSON a case, with the median, to the file named.
//!
//! ```text
//! cargo run --release -p manager --example scheduling -- /dev/stdout
//! ```
//! A case begins with an empty ledger and ends with a decision about every task: taking note of nodes and tasks counts,
//! making them does not. `services` tells over how many services the tasks are divided. Where `store` is true, the
//! whole component runs over a store in memory, from its start until the last task is Assigned.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use manager::{Ledger, Outcome, Scheduler};
use model::{
    Meta, Node, NodeDescription, NodeHealth, NodeId, NodeSpec, NodeState, Placement, Resources, Service, ServiceId,
    ServiceSpec, SwarmError, Task, TaskId, TaskSpec, TaskState, TaskStatus,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use store::{Clock, MemoryProposer, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Every case has as many nodes.
const NODES: usize = 1_000;
/// Tasks that are made in one transaction.
const BATCH: usize = 200;

/// What is measured.
#[derive(Debug, Clone, Copy)]
struct Case {
    tasks: usize,
    services: usize,
    /// Whether the tasks may only run on every second node.
    is_constrained: bool,
    /// How often it is measured.
    runs: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("the file to write to is expected as the only argument")?;
    let mut output = OpenOptions::new().create(true).append(true).open(path)?;
    let case = |tasks: usize, services: usize, is_constrained: bool, runs: usize| Case {
        tasks,
        services,
        is_constrained,
        runs,
    };
    let cases = [
        case(1_000, 1, false, 21),
        case(10_000, 1, false, 11),
        case(100_000, 1, false, 7),
        case(1_000, 1, true, 21),
        case(10_000, 1, true, 11),
        case(1_000, 1_000, false, 11),
        case(1_000, 1_000, true, 11),
        case(10_000, 1_000, true, 11),
    ];
    for case in cases {
        let (nodes, tasks) = (nodes(), tasks(case));
        let times = (0..case.runs).map(|run| decide(&nodes, &tasks, run as u64)).collect();
        writeln!(output, "{}", line(case, false, median(times)))?;
    }
    for case in [case(10_000, 1, false, 5), case(10_000, 1, true, 5)] {
        let mut times = Vec::new();
        for _ in 0..case.runs {
            times.push(run_component(case).await?);
        }
        writeln!(output, "{}", line(case, true, median(times)))?;
    }
    Ok(())
}

fn line(case: Case, has_store: bool, median: Duration) -> serde_json::Value {
    let median = (median.as_secs_f64() * 1e6).round() / 1e3;
    json!({
        "nodes": NODES, "tasks": case.tasks, "services": case.services, "constrained": case.is_constrained,
        "store": has_store, "runs": case.runs, "median_ms": median,
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn decide(nodes: &[Arc<Node>], tasks: &[Arc<Task>], seed: u64) -> Duration {
    let now = Timestamp::UNIX_EPOCH;
    let begin = Instant::now();
    let mut ledger = Ledger::new(seed);
    for node in nodes {
        ledger.note_node(node);
    }
    for task in tasks {
        ledger.note_task(task, now);
    }
    let decisions = ledger.decide(now);
    let took = begin.elapsed();
    assert_eq!(decisions.len(), tasks.len(), "every task is decided about");
    assert!(decisions.iter().all(|decision| matches!(decision.outcome, Outcome::Assigned(_))), "and gets a node");
    took
}

async fn run_component(case: Case) -> Result<Duration, SwarmError> {
    let store = Store::new(Clock::system());
    let mut running = JoinSet::new();
    let (of_writer, proposer) = (store.clone(), Arc::new(MemoryProposer::new(&store)));
    running.spawn(async move { of_writer.run(proposer, CancellationToken::new()).await });
    let nodes = nodes();
    store.update(move |tx| nodes.iter().try_for_each(|node| tx.create_node(Node::clone(node)))).await?;
    for batch in tasks(case).chunks(BATCH) {
        let batch = batch.to_vec();
        store.update(move |tx| batch.iter().try_for_each(|task| tx.create_task(Task::clone(task)))).await?;
    }
    let cancel = CancellationToken::new();
    let begin = Instant::now();
    let (_, mut events) = store.view_and_watch();
    let scheduler = Scheduler::new(store.clone(), Clock::system(), StdRng::seed_from_u64(7)).run(cancel.clone());
    let mut components = JoinSet::new();
    components.spawn(scheduler);
    while store.view().tasks().any(|task| task.state.status.state == TaskState::Pending) {
        events.recv().await.map_err(|error| SwarmError::internal(error.to_string()))?;
        // The view is looked through once an entry, not once an event.
        while !matches!(events.recv().await, Ok(store::Event::Committed { .. }) | Err(_)) {}
    }
    let took = begin.elapsed();
    cancel.cancel();
    while components.join_next().await.is_some() {}
    Ok(took)
}

fn nodes() -> Vec<Arc<Node>> {
    let mut rng = StdRng::seed_from_u64(1);
    let node = |number: usize| {
        let description = NodeDescription {
            hostname: format!("node-{number}"),
            resources: Resources { nano_cpus: 64_000_000_000, memory_bytes: 256 << 30 },
            ..NodeDescription::default()
        };
        let mut state = NodeState { description: Some(description), ..NodeState::default() };
        state.status.state = NodeHealth::Ready;
        let tier = if number.is_multiple_of(2) { "front" } else { "back" };
        let labels = BTreeMap::from([("tier".to_owned(), tier.to_owned())]);
        let spec = NodeSpec { labels, ..NodeSpec::default() };
        Arc::new(Node { id: NodeId::generate(&mut rng), meta: Meta::default(), spec, state })
    };
    (0..NODES).map(node).collect()
}

fn tasks(case: Case) -> Vec<Arc<Task>> {
    let mut rng = StdRng::seed_from_u64(2);
    let constraints = if case.is_constrained {
        vec!["node.labels.tier==front".to_owned(), "node.role==worker".to_owned()]
    } else {
        Vec::new()
    };
    let placement = Placement { constraints, ..Placement::default() };
    let task_template = TaskSpec { placement: Some(placement), ..TaskSpec::default() };
    let spec = ServiceSpec { name: "web".to_owned(), task_template, ..ServiceSpec::default() };
    let service = |_| Service::new(ServiceId::generate(&mut rng), spec.clone());
    let services: Vec<Service> = (0..case.services).map(service).collect();
    let task = |number: usize| {
        let service = &services[number % services.len()];
        let mut task = Task::of(service, TaskId::generate(&mut rng), number as u64 + 1, Timestamp::UNIX_EPOCH);
        task.state.status = TaskStatus::new(TaskState::Pending, "pending task scheduling", Timestamp::UNIX_EPOCH);
        Arc::new(task)
    };
    (0..case.tasks).map(task).collect()
}
