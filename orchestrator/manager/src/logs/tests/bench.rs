//! A term of the log broker over a store of its own, and nodes that do as the test says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use model::{
    LogBatch, LogEntry, LogMessage, LogOrder, LogRequest, LogSelection, LogStream, LogSubscriptionId, LogTarget, Meta,
    Node, NodeHealth, NodeId, NodeSpec, NodeState, NodeStatus, Service, ServiceId, ServiceSpec, ServiceState,
    SwarmError, TaskId, TaskLogEnd, TaskLogOrder, TaskState,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::{LogMessages, LogOrderMessages, LogTerm};
use crate::testing::{RunningStore, node_id, running_store, task};

/// How long a test waits for what must come, in paused time.
const PATIENCE: Duration = Duration::from_mins(2);

/// The service of all tasks.
pub(super) fn service_id() -> ServiceId {
    task(1).state.service_id
}

/// The id of the task of a number.
pub(super) fn id(number: u64) -> TaskId {
    task(number).id
}

/// A line that was written in a second.
pub(super) fn line(second: i64, text: &str) -> LogEntry {
    let time = Timestamp::from_second(second).unwrap();
    LogEntry { time, stream: LogStream::Stdout, text: text.to_owned() }
}

/// Both streams from the beginning.
pub(super) fn all() -> LogSelection {
    LogSelection { stdout: true, stderr: true, ..LogSelection::default() }
}

/// Both streams, and what comes.
pub(super) fn follow() -> LogSelection {
    LogSelection { follow: true, ..all() }
}

/// A term, its store, and what runs.
pub(super) struct Bench {
    pub(super) term: Arc<LogTerm>,
    pub(super) store: RunningStore,
    pub(super) cancel: CancellationToken,
    _running: JoinSet<()>,
}

impl Bench {
    /// A service, and nodes of the numbers 1 to 3 that are ready.
    pub(super) async fn start() -> Self {
        let (store, cancel) = (running_store(), CancellationToken::new());
        store
            .store
            .update(|tx| {
                let spec = ServiceSpec { name: "web".to_owned(), ..ServiceSpec::default() };
                let state = ServiceState::default();
                tx.create_service(Service { id: service_id(), meta: Meta::default(), spec, state })?;
                (1..=3).try_for_each(|number| tx.create_node(node(number)))
            })
            .await
            .unwrap();
        let term = Arc::new(LogTerm::new(store.store.clone(), StdRng::seed_from_u64(1), cancel.clone()));
        let mut running = JoinSet::new();
        let runs = Arc::clone(&term);
        running.spawn(async move { runs.run().await.unwrap() });
        Self { term, store, cancel, _running: running }
    }

    /// Makes a task of the service on a node.
    pub(super) async fn add(&self, number: u64, node: u64, state: TaskState) {
        let mut task = task(number);
        task.state.node_id = Some(node_id(node));
        task.state.status.state = state;
        self.store.store.update(move |tx| tx.create_task(task)).await.unwrap();
    }

    /// Brings a task to a state.
    pub(super) async fn reach(&self, number: u64, state: TaskState) {
        let change = move |task: &mut model::Task| task.state.status.state = state;
        self.store.store.update(move |tx| tx.update_task(&id(number), change)).await.unwrap();
    }

    /// A node is down.
    pub(super) async fn lose(&self, node: u64) {
        let down = |node: &mut Node| node.state.status.state = NodeHealth::Down;
        self.store.store.update(move |tx| tx.update_node(&node_id(node), None, down)).await.unwrap();
    }

    /// Reads the service.
    pub(super) fn read(&self, selection: LogSelection) -> Output {
        self.try_read(LogTarget::Service(service_id()), selection).unwrap()
    }

    pub(super) fn try_read(&self, target: LogTarget, selection: LogSelection) -> Result<Output, SwarmError> {
        self.term.read(LogRequest { target, selection, seen: BTreeMap::new() }).map(Output)
    }

    /// A node listens.
    pub(super) fn listen(&self, node: u64) -> Listens {
        Listens { term: Arc::clone(&self.term), node: node_id(node), orders: self.term.listen(&node_id(node)).unwrap() }
    }
}

fn node(number: u64) -> Node {
    let status = NodeStatus { state: NodeHealth::Ready, ..NodeStatus::default() };
    let state = NodeState { status, ..NodeState::default() };
    Node { id: node_id(number), meta: Meta::default(), spec: NodeSpec::default(), state }
}

/// What a reader is given.
pub(super) struct Output(LogMessages);

impl Output {
    /// The texts of the next lines; nothing at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<String>, String>> {
        match timeout(PATIENCE, self.0.next()).await.expect("the reader hangs")? {
            Ok(LogMessage::Lines(lines)) => Some(Ok(lines.into_iter().map(|line| line.entry.text).collect())),
            Ok(LogMessage::Incomplete(words)) => Some(Err(words)),
            Err(error) => Some(Err(error.message)),
        }
    }

    /// So many lines.
    pub(super) async fn lines(&mut self, number: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < number {
            texts.extend(self.next().await.expect("more lines come").expect("lines come"));
        }
        texts
    }

    /// All lines to the end, and what was missed.
    pub(super) async fn rest(mut self) -> (Vec<String>, Option<String>) {
        let mut texts = Vec::new();
        while let Some(next) = self.next().await {
            match next {
                Ok(more) => texts.extend(more),
                Err(words) => return (texts, Some(words)),
            }
        }
        (texts, None)
    }
}

/// A node that listens.
pub(super) struct Listens {
    pub(super) term: Arc<LogTerm>,
    pub(super) node: NodeId,
    orders: LogOrderMessages,
}

/// What a node was told to read, and whom to answer.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) subscription: LogSubscriptionId,
    pub(super) listening: u64,
    pub(super) tasks: Vec<TaskLogOrder>,
}

impl Listens {
    /// The next order; nothing at the end.
    pub(super) async fn order(&mut self) -> Option<LogOrder> {
        timeout(PATIENCE, self.orders.next()).await.expect("no order comes").map(Result::unwrap)
    }

    /// The next order to read.
    pub(super) async fn told(&mut self) -> Told {
        match self.order().await {
            Some(LogOrder::Read { subscription, listening, tasks, .. }) => Told { subscription, listening, tasks },
            other => panic!("{other:?}"),
        }
    }

    /// Publishes lines of tasks, and ends of tasks.
    pub(super) async fn publish(
        &self,
        told: &Told,
        entries: &[(u64, LogEntry)],
        ended: &[u64],
    ) -> Result<(), SwarmError> {
        let entries = entries.iter().map(|(number, entry)| (id(*number), entry.clone())).collect();
        let ended = ended.iter().map(|number| TaskLogEnd { task: id(*number), error: None }).collect();
        let batch = LogBatch { subscription: told.subscription, listening: told.listening, entries, ended };
        self.term.publish(&self.node, batch).await
    }
}
