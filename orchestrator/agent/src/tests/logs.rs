//! What a node reads for the leader, and what it does when nobody takes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use jiff::Timestamp;
use model::{
    LogBatch, LogEntry, LogOrder, LogStream, LogSubscriptionId, Meta, ServiceId, SwarmError, Task, TaskId, TaskLogEnd,
    TaskLogOrder, TaskRecord, TaskSpec, TaskState, TaskStatus,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::executor::{Container, Machine, MachineExecutor};
use crate::Executor;
use crate::controllers::Controllers;
use crate::logs::{LogSink, Readings};

/// How long a test waits for what must come, in paused time.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where batches go: each waits until the test takes it.
#[derive(Debug)]
struct Desk(BTreeMap<LogSubscriptionId, mpsc::Sender<LogBatch>>);

#[async_trait]
impl LogSink for Desk {
    async fn publish(&self, batch: LogBatch) -> Result<(), Status> {
        match self.0.get(&batch.subscription) {
            Some(reader) if reader.send(batch).await.is_ok() => Ok(()),
            Some(_) => Err(rpc::to_status(SwarmError::not_found("nobody reads this any more"))),
            None => Err(Status::unavailable("the connection broke")),
        }
    }
}

/// A node with tasks 1 to 3, and a leader with readers 1 and 2.
struct Bench {
    machine: Arc<Machine>,
    controllers: Arc<Controllers>,
    orders: mpsc::Sender<Result<LogOrder, Status>>,
    readers: BTreeMap<u64, mpsc::Receiver<LogBatch>>,
    running: JoinSet<Status>,
}

impl Bench {
    fn start() -> Self {
        let bench = Self::without_tasks();
        let executor = MachineExecutor(Arc::clone(&bench.machine));
        for number in 1..=3 {
            let task = task(number);
            bench.controllers.add(task.id.clone(), executor.controller(&task));
            bench.machine.container(&task.id).send_replace(Container::Running);
        }
        bench.controllers.loaded();
        bench
    }

    fn without_tasks() -> Self {
        let (orders, receiver) = mpsc::channel(8);
        let controllers = Arc::new(Controllers::new());
        let (mut desk, mut readers) = (BTreeMap::new(), BTreeMap::new());
        for number in 1..=2 {
            let (sender, reader) = mpsc::channel(1);
            desk.insert(LogSubscriptionId(number), sender);
            readers.insert(number, reader);
        }
        let mut readings = Readings::new(Arc::clone(&controllers), Arc::new(Desk(desk)));
        let mut running = JoinSet::new();
        running.spawn(async move { readings.follow(ReceiverStream::new(receiver).boxed()).await });
        Self { machine: Arc::default(), controllers, orders, readers, running }
    }

    fn write(&self, number: u64, stream: LogStream, text: &str) {
        let entry = LogEntry { time: Timestamp::UNIX_EPOCH, stream, text: text.to_owned() };
        self.machine.written(&id(number)).send_modify(|written| written.push(entry));
    }

    async fn order(&self, subscription: u64, follow: bool, tasks: &[u64]) {
        let tasks = tasks.iter().map(|number| TaskLogOrder { task: id(*number), tail: None, since: None }).collect();
        let subscription = LogSubscriptionId(subscription);
        let order = LogOrder::Read { subscription, listening: 9, follow, stdout: true, stderr: true, tasks };
        self.orders.send(Ok(order)).await.unwrap();
    }

    /// What a reader gets next: texts by task, and the tasks that have ended.
    async fn batch(&mut self, reader: u64) -> LogBatch {
        let reader = self.readers.get_mut(&reader).unwrap();
        timeout(PATIENCE, reader.recv()).await.expect("nothing comes").unwrap()
    }

    /// All that a reader gets until so many tasks have ended.
    async fn until_ended(&mut self, reader: u64, tasks: usize) -> (Vec<(TaskId, String)>, Vec<TaskLogEnd>) {
        let (mut texts, mut ended) = (Vec::new(), Vec::new());
        while ended.len() < tasks {
            let batch = self.batch(reader).await;
            assert_eq!(batch.listening, 9);
            texts.extend(batch.entries.into_iter().map(|(task, entry)| (task, entry.text)));
            ended.extend(batch.ended);
        }
        (texts, ended)
    }
}

fn task(number: u64) -> Task {
    let state = TaskRecord {
        service_id: ServiceId::generate(&mut StdRng::seed_from_u64(0)),
        service_name: "web".to_owned(),
        service_labels: BTreeMap::new(),
        spec_revision: 0,
        slot: number,
        job_iteration: None,
        node_id: None,
        desired: TaskState::Running,
        status: TaskStatus::new(TaskState::Assigned, "", Timestamp::UNIX_EPOCH),
        ports: Vec::new(),
        log_driver: None,
        registry_auth: None,
    };
    Task { id: id(number), meta: Meta::default(), spec: TaskSpec::default(), state }
}

fn id(number: u64) -> TaskId {
    TaskId::generate(&mut StdRng::seed_from_u64(number))
}

fn well(number: u64) -> TaskLogEnd {
    TaskLogEnd { task: id(number), error: None }
}

#[tokio::test(start_paused = true)]
async fn what_a_task_has_written_is_published_with_its_lines_whole_and_its_end() {
    let mut bench = Bench::start();
    let full = "x".repeat(16 << 10);
    for text in ["one\n", &full, "two\n", "three"] {
        bench.write(1, LogStream::Stdout, text);
    }

    bench.order(1, false, &[1]).await;

    let (texts, ended) = bench.until_ended(1, 1).await;
    let expected = ["one\n".to_owned(), format!("{full}two\n"), "three".to_owned()].map(|text| (id(1), text));
    assert_eq!((texts, ended), (expected.to_vec(), vec![well(1)]));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_followed_is_read_from_its_start_to_the_end_of_its_container() {
    let mut bench = Bench::start();
    bench.machine.container(&id(1)).send_replace(Container::Made);
    bench.order(1, true, &[1]).await;
    let early = timeout(Duration::from_secs(10), bench.readers.get_mut(&1).unwrap().recv()).await;
    assert!(early.is_err(), "{early:?}");

    bench.machine.container(&id(1)).send_replace(Container::Running);
    bench.write(1, LogStream::Stderr, "hello\n");
    assert_eq!(bench.batch(1).await.entries[0].1.text, "hello\n");
    bench.write(1, LogStream::Stderr, "bye\n");
    bench.machine.container(&id(1)).send_replace(Container::Ended(0));

    let (texts, ended) = bench.until_ended(1, 1).await;
    assert_eq!((texts, ended), (vec![(id(1), "bye\n".to_owned())], vec![well(1)]));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_takes_nothing_for_one_reader_holds_up_no_other() {
    let mut bench = Bench::start();
    let long = format!("{}\n", "x".repeat(8 << 10));
    (0..1000).for_each(|_| bench.write(1, LogStream::Stdout, &long));
    bench.order(1, false, &[1]).await;
    bench.write(2, LogStream::Stdout, "quick\n");

    bench.order(2, true, &[2]).await;
    assert_eq!(bench.batch(2).await.entries.len(), 1);
    bench.write(2, LogStream::Stdout, "quick\n");
    assert_eq!(bench.batch(2).await.entries.len(), 1);

    let (texts, _) = bench.until_ended(1, 1).await;
    assert_eq!(texts.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_gone_is_read_for_no_more() {
    let mut bench = Bench::start();
    let written = bench.machine.written(&id(1));
    let (kept, readers) = (written.receiver_count(), |more: usize| {
        let written = written.clone();
        async move {
            while written.receiver_count() != more {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    bench.order(1, true, &[1]).await;
    bench.order(2, true, &[1]).await;
    timeout(PATIENCE, readers(kept + 2)).await.unwrap();

    // One is closed by the leader, the other is found to be gone by the next call for it.
    bench.orders.send(Ok(LogOrder::Close { subscription: LogSubscriptionId(1) })).await.unwrap();
    timeout(PATIENCE, readers(kept + 1)).await.unwrap();
    drop(bench.readers.remove(&2));
    bench.write(1, LogStream::Stdout, "late\n");

    timeout(PATIENCE, readers(kept)).await.unwrap();
    assert!(bench.running.try_join_next().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_ends_the_listening_and_all_that_is_read_in_it() {
    let mut bench = Bench::start();
    let written = bench.machine.written(&id(1));
    let kept = written.receiver_count();
    bench.write(1, LogStream::Stdout, "hello\n");
    bench.order(1, true, &[1]).await;
    bench.batch(1).await;

    // There is no such desk: the call for it breaks.
    bench.order(3, true, &[1]).await;

    let ended = timeout(PATIENCE, bench.running.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(ended.message(), "the connection broke");
    assert_eq!(written.receiver_count(), kept);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_not_here_has_left_nothing_once_it_is_known_which_are() {
    let mut bench = Bench::without_tasks();
    bench.order(1, false, &[8]).await;
    let early = timeout(Duration::from_secs(10), bench.readers.get_mut(&1).unwrap().recv()).await;
    assert!(early.is_err(), "{early:?}");

    bench.controllers.loaded();

    assert_eq!(bench.until_ended(1, 1).await, (Vec::new(), vec![well(8)]));
}
