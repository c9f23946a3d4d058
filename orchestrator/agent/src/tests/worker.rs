//! What becomes of tasks that are assigned, wished away, interrupted, and found again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use model::{
    AssignmentChange, AssignmentsMessage, Service, ServiceId, ServiceSpec, Task, TaskId, TaskState, TaskStatus,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::executor::{Container, Machine, MachineExecutor, MemoryKeeper};
use crate::TaskFailure;
use crate::controllers::Controllers;
use crate::statuses::Statuses;
use crate::worker::{MESSAGES, Worker};

/// How long a test waits for what must come, in paused time.
const PATIENCE: Duration = Duration::from_mins(1);

/// An agent's worker, its machine and its disk.
struct Bench {
    machine: Arc<Machine>,
    keeper: Arc<MemoryKeeper>,
    statuses: Arc<Statuses>,
    work: mpsc::Sender<AssignmentsMessage>,
    cancel: CancellationToken,
    running: JoinSet<()>,
}

impl Bench {
    fn start() -> Self {
        Self::on(Arc::default(), Arc::default(), false)
    }

    fn on(machine: Arc<Machine>, keeper: Arc<MemoryKeeper>, leaves: bool) -> Self {
        let statuses = Arc::new(Statuses::default());
        let (work, messages) = mpsc::channel(MESSAGES);
        let worker = Worker {
            executor: Arc::new(MachineExecutor(Arc::clone(&machine))),
            keeper: Arc::<MemoryKeeper>::clone(&keeper),
            controllers: Arc::new(Controllers::new()),
            statuses: Arc::clone(&statuses),
            messages,
            clock: Arc::new(|| Timestamp::UNIX_EPOCH),
        };
        let cancel = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(worker.run(cancel.clone(), move || leaves));
        Self { machine, keeper, statuses, work, cancel, running }
    }

    async fn assign(&self, applies_to: u64, changes: Vec<AssignmentChange>) {
        let message = AssignmentsMessage { applies_to, results_in: applies_to + 1, is_continued: false, changes };
        self.work.send(message).await.unwrap();
    }

    async fn reaches(&self, task: &TaskId, state: TaskState) -> TaskStatus {
        let reached = async {
            loop {
                if let Some(status) = self.statuses.status(task).filter(|status| status.state == state) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap()
    }

    async fn forgets(&self, task: &TaskId) {
        let forgotten = async {
            while self.keeper.tasks().contains(task) || self.statuses.status(task).is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, forgotten).await.unwrap();
    }

    async fn end(mut self) {
        self.cancel.cancel();
        while self.running.join_next().await.is_some() {}
    }
}

fn task(number: u64, desired: TaskState) -> Task {
    let spec = ServiceSpec { name: "web".to_owned(), ..ServiceSpec::default() };
    let service = Service::new(ServiceId::generate(&mut StdRng::seed_from_u64(0)), spec);
    let mut task =
        Task::of(&service, TaskId::generate(&mut StdRng::seed_from_u64(number)), number, Timestamp::UNIX_EPOCH);
    task.state.desired = desired;
    task.state.status = TaskStatus::new(TaskState::Assigned, "", Timestamp::UNIX_EPOCH);
    task
}

fn update(number: u64, desired: TaskState) -> AssignmentChange {
    AssignmentChange::Update(Box::new(task(number, desired)))
}

fn id(number: u64) -> TaskId {
    task(number, TaskState::Running).id
}

#[tokio::test(start_paused = true)]
async fn a_task_waits_when_ready_and_runs_when_that_is_wanted() {
    let bench = Bench::start();

    bench.assign(0, vec![update(1, TaskState::Ready)]).await;
    bench.reaches(&id(1), TaskState::Ready).await;
    assert_eq!(*bench.machine.container(&id(1)).borrow(), Container::Made);
    bench.assign(1, vec![update(1, TaskState::Running)]).await;

    let running = bench.reaches(&id(1), TaskState::Running).await;
    assert_eq!(running.message, "started");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn how_a_container_ended_is_how_its_task_ended() {
    let bench = Bench::start();
    bench.assign(0, vec![update(1, TaskState::Running), update(2, TaskState::Running)]).await;
    for number in [1, 2] {
        bench.reaches(&id(number), TaskState::Running).await;
    }

    bench.machine.container(&id(1)).send_replace(Container::Ended(0));
    bench.machine.container(&id(2)).send_replace(Container::Ended(137));

    bench.reaches(&id(1), TaskState::Complete).await;
    let failed = bench.reaches(&id(2), TaskState::Failed).await;
    assert_eq!(failed.err, "task: non-zero exit (137)");
    assert_eq!(failed.container.unwrap().exit_code, 137);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_prepared_is_rejected_and_what_may_be_mended_is_tried_again() {
    let bench = Bench::start();
    *bench.machine.refusal.lock().unwrap() = Some(TaskFailure::fatal("No such image: x"));
    bench.assign(0, vec![update(1, TaskState::Running)]).await;
    let rejected = bench.reaches(&id(1), TaskState::Rejected).await;
    assert_eq!(rejected.err, "No such image: x");

    *bench.machine.refusal.lock().unwrap() = Some(TaskFailure::temporary("the registry does not answer"));
    bench.assign(1, vec![update(2, TaskState::Running)]).await;
    let waiting = bench.reaches(&id(2), TaskState::Preparing).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    *bench.machine.refusal.lock().unwrap() = None;

    bench.reaches(&id(2), TaskState::Running).await;
    drop(waiting);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_tries_grow_and_stay_bounded() {
    let bench = Bench::start();
    *bench.machine.refusal.lock().unwrap() = Some(TaskFailure::temporary("the registry does not answer"));
    let begun = tokio::time::Instant::now();

    bench.assign(0, vec![update(1, TaskState::Running)]).await;
    // 1 + 2 + 4 + 8 + 16 s, and then 30 s each.
    for (tries, seconds) in [(1, 0), (2, 1), (3, 3), (6, 31), (8, 91)] {
        while bench.machine.refused.load(Ordering::Relaxed) < tries {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let elapsed = begun.elapsed().as_secs_f64();
        assert!((elapsed - f64::from(seconds)).abs() < 0.5, "try {tries} after {elapsed} s");
    }

    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_no_longer_wanted_is_shut_down_and_then_forgotten() {
    let bench = Bench::start();
    bench.assign(0, vec![update(1, TaskState::Running)]).await;
    bench.reaches(&id(1), TaskState::Running).await;

    bench.assign(1, vec![update(1, TaskState::Shutdown)]).await;
    let ended = bench.reaches(&id(1), TaskState::Shutdown).await;
    assert_eq!(ended.container.unwrap().exit_code, 143);
    assert_eq!(bench.keeper.tasks(), [id(1)]);
    bench.assign(2, vec![AssignmentChange::Remove(id(1))]).await;

    bench.forgets(&id(1)).await;
    assert_eq!(*bench.machine.done.lock().unwrap(), ["prepare", "start", "shutdown", "remove"]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_preparation_that_goes_on_for_ever_is_interrupted() {
    let bench = Bench::start();
    *bench.machine.refusal.lock().unwrap() = Some(TaskFailure::temporary("the registry does not answer"));
    bench.assign(0, vec![update(1, TaskState::Running)]).await;
    bench.reaches(&id(1), TaskState::Preparing).await;

    bench.assign(1, vec![update(1, TaskState::Remove)]).await;

    bench.reaches(&id(1), TaskState::Shutdown).await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_complete_set_takes_the_place_of_all_that_was_known() {
    let bench = Bench::start();
    bench.assign(0, vec![update(1, TaskState::Running), update(2, TaskState::Running)]).await;
    for number in [1, 2] {
        bench.reaches(&id(number), TaskState::Running).await;
    }

    // Another session; its set comes in two pieces.
    let mut pieces = [update(2, TaskState::Running), update(3, TaskState::Running)].into_iter();
    for (applies_to, is_continued) in [(0, true), (1, false)] {
        let changes = pieces.by_ref().take(1).collect();
        let message = AssignmentsMessage { applies_to, results_in: applies_to + 1, is_continued, changes };
        bench.work.send(message).await.unwrap();
    }

    bench.forgets(&id(1)).await;
    bench.reaches(&id(2), TaskState::Running).await;
    bench.reaches(&id(3), TaskState::Running).await;
    assert_eq!(*bench.machine.container(&id(1)).borrow(), Container::None);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn another_agent_goes_on_with_the_containers_of_the_one_before() {
    let bench = Bench::start();
    bench.assign(0, vec![update(1, TaskState::Running), update(2, TaskState::Ready)]).await;
    bench.reaches(&id(1), TaskState::Running).await;
    bench.reaches(&id(2), TaskState::Ready).await;
    let (machine, keeper) = (Arc::clone(&bench.machine), Arc::clone(&bench.keeper));
    bench.end().await;
    assert_eq!(*machine.container(&id(1)).borrow(), Container::Running);

    let next = Bench::on(Arc::clone(&machine), keeper, false);
    next.reaches(&id(1), TaskState::Running).await;
    machine.container(&id(1)).send_replace(Container::Ended(1));

    next.reaches(&id(1), TaskState::Failed).await;
    next.reaches(&id(2), TaskState::Ready).await;
    assert_eq!(*machine.done.lock().unwrap(), ["prepare", "start", "prepare"]);
    next.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_the_swarm_leaves_no_container() {
    let bench = Bench::on(Arc::default(), Arc::default(), true);
    bench.assign(0, vec![update(1, TaskState::Running)]).await;
    bench.reaches(&id(1), TaskState::Running).await;
    let (machine, keeper) = (Arc::clone(&bench.machine), Arc::clone(&bench.keeper));

    bench.end().await;

    assert_eq!(*machine.container(&id(1)).borrow(), Container::None);
    assert!(keeper.tasks().is_empty());
}
