//! Takes one task through its states: the one place that performs what [`next_step`] decides.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::{Task, TaskState, TaskStatus};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::controller::{Controller, KeptTask, TaskFailure, TaskKeeper};
use crate::statuses::Statuses;
use crate::task::{Step, next_step, words};

/// Before a step that failed for a passing reason is tried again (SwarmKit's); it doubles.
const RETRY: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// What is wanted of a task on its node; the order is the meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// This state.
    State(TaskState),
    /// That nothing is left of it.
    Gone,
}

impl Wish {
    fn desired(self) -> TaskState {
        match self {
            Self::State(desired) => desired,
            Self::Gone => TaskState::Remove,
        }
    }
}

/// Takes one task through its states.
pub(crate) struct TaskRunner {
    pub(crate) kept: KeptTask,
    pub(crate) controller: Arc<dyn Controller>,
    pub(crate) wish: watch::Receiver<Wish>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) keeper: Arc<dyn TaskKeeper>,
    pub(crate) clock: gossip::Clock,
    /// Failures of the present step in a row.
    pub(crate) failures: u32,
}

/// How a step ended.
enum Outcome {
    Done(Result<(), TaskFailure>),
    /// Something else is wanted now.
    Interrupted,
    /// The agent ends; the container does not.
    Cancelled,
}

impl TaskRunner {
    /// Runs until the task is gone from this node, or until the agent ends, which leaves the container as it is.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        self.keep().await;
        // A step that fails at once, again and again, must not keep the agent from ending.
        while !cancel.is_cancelled() {
            let wish = *self.wish.borrow_and_update();
            if self.kept.task.state.desired < wish.desired() {
                self.kept.task.state.desired = wish.desired();
                self.keep().await;
            }
            let step = next_step(self.kept.status.state, wish.desired());
            let outcome = match step {
                Step::Rest if wish == Wish::State(wish.desired()) => self.rest(&cancel).await,
                Step::Advance(_) => Outcome::Done(Ok(())),
                Step::Rest | Step::Prepare | Step::Start | Step::Wait | Step::Shutdown => {
                    self.perform(step, &cancel).await
                }
            };
            match (step, outcome) {
                (_, Outcome::Cancelled) => return,
                (_, Outcome::Interrupted) => {}
                (Step::Rest, Outcome::Done(Ok(()))) => return self.forget().await,
                (step, Outcome::Done(result)) => self.arrived(step, wish, result, &cancel).await,
            }
        }
    }

    async fn rest(&mut self, cancel: &CancellationToken) -> Outcome {
        tokio::select! {
            () = cancel.cancelled() => Outcome::Cancelled,
            changed = self.wish.changed() => match changed {
                Ok(()) => Outcome::Interrupted,
                // Nobody wishes any more: the agent ends.
                Err(_) => Outcome::Cancelled,
            },
        }
    }

    /// Performs a step, unless something else is wanted before it is done. What ends the task is not interrupted.
    async fn perform(&mut self, step: Step, cancel: &CancellationToken) -> Outcome {
        let controller = Arc::clone(&self.controller);
        let work = async move {
            match step {
                Step::Prepare => controller.prepare().await,
                Step::Start => controller.start().await,
                Step::Wait => controller.wait().await,
                Step::Shutdown => controller.shutdown().await,
                Step::Rest => controller.remove().await,
                Step::Advance(_) => Ok(()),
            }
        };
        let can_be_interrupted = matches!(step, Step::Prepare | Step::Start | Step::Wait);
        tokio::select! {
            // An end that was seen is noted before anything else.
            biased;
            result = work => Outcome::Done(result),
            () = cancel.cancelled() => Outcome::Cancelled,
            Ok(()) = self.wish.changed(), if can_be_interrupted => Outcome::Interrupted,
        }
    }

    /// Notes where a step has led.
    async fn arrived(&mut self, step: Step, wish: Wish, result: Result<(), TaskFailure>, cancel: &CancellationToken) {
        let observed = self.kept.status.state;
        let Err(failure) = result else {
            self.failures = 0;
            let next = match step {
                Step::Advance(state) => state,
                Step::Prepare => TaskState::Ready,
                Step::Start => TaskState::Running,
                Step::Wait => TaskState::Complete,
                Step::Shutdown => TaskState::Shutdown,
                Step::Rest => observed,
            };
            return self.arrive(next, String::new()).await;
        };
        if failure.is_temporary || wish.desired() >= TaskState::Shutdown {
            warn!(task = %self.kept.task.id, error = %failure, "a step of the task is tried again");
            self.arrive(observed, failure.message).await;
            let pause = RETRY.saturating_mul(1 << self.failures.min(8)).min(LONGEST_RETRY);
            self.failures += 1;
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                _ = self.wish.changed() => {}
            }
        } else {
            let end = if observed < TaskState::Starting { TaskState::Rejected } else { TaskState::Failed };
            self.arrive(end, failure.message).await;
        }
    }

    /// Takes a state as observed: on disk first, then told.
    async fn arrive(&mut self, state: TaskState, err: String) {
        let (container, ports) = self.controller.observe().await;
        let now: Timestamp = (self.clock)();
        let mut status = TaskStatus::new(state, words(state), now);
        status.container = container.or_else(|| self.kept.status.container.take());
        status.ports = ports;
        status.err = err;
        if state != self.kept.status.state {
            info!(task = %self.kept.task.id, state = state.as_str(), err = status.err, "task changed its state");
        }
        self.kept.status = status;
        self.keep().await;
    }

    async fn keep(&self) {
        if let Err(error) = self.keeper.keep(&self.kept).await {
            // The managers are told all the same; after a restart they name the task again.
            warn!(task = %self.kept.task.id, %error, "failed to keep the task's record");
        }
        self.statuses.note(&self.kept.task.id, self.kept.status.clone());
    }

    async fn forget(&self) {
        let task = &self.kept.task.id;
        if let Err(error) = self.keeper.forget(task).await {
            warn!(%task, %error, "failed to forget the task's record");
        }
        self.statuses.forget(task);
        info!(%task, "task is gone");
    }
}

/// A task that was assigned just now.
pub(crate) fn assigned(task: Task) -> KeptTask {
    let status = task.state.status.clone();
    KeptTask { task, status }
}
