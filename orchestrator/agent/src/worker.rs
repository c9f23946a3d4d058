//! The tasks of a node: what the managers assign, and a runner for each.
//!
//! ```text
//! assignments ──> worker ── wish ──> runner, one a task ──> controller (the container)
//!                                       └─ states ──> record on disk ──> statuses ──> the managers
//! ```
//! Tasks go on whether or not there is a session. A complete set takes the place of what was known: what is not in it is
//! ended and forgotten, once all of it has come.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use model::{AssignmentChange, AssignmentsMessage, Task, TaskId};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::controller::{Executor, KeptTask, TaskKeeper};
use crate::controllers::Controllers;
use crate::runner::{TaskRunner, Wish, assigned};
use crate::statuses::Statuses;

/// Messages that wait for the worker: a session has no more than one under way, and one may end while another begins.
pub(crate) const MESSAGES: usize = 4;

/// The tasks of a node.
pub(crate) struct Worker {
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) keeper: Arc<dyn TaskKeeper>,
    /// Who runs the tasks, for those who ask about them.
    pub(crate) controllers: Arc<Controllers>,
    pub(crate) statuses: Arc<Statuses>,
    pub(crate) messages: mpsc::Receiver<AssignmentsMessage>,
    pub(crate) clock: gossip::Clock,
}

/// The runners, and what each is wished.
#[derive(Default)]
struct Runners {
    wishes: BTreeMap<TaskId, watch::Sender<Wish>>,
    running: JoinSet<()>,
    names: BTreeMap<Id, TaskId>,
    /// The tasks of a complete set that is still coming.
    complete: Option<BTreeSet<TaskId>>,
}

impl Worker {
    /// Goes on with the tasks that are kept, and takes what is assigned, until cancelled: containers are left as they
    /// are, for the next agent to go on with. Where `leaves` says so by then, nothing is left of any task.
    pub(crate) async fn run(mut self, cancel: CancellationToken, leaves: impl FnOnce() -> bool) {
        let token = CancellationToken::new();
        let mut runners = Runners::default();
        for kept in self.keeper.load().await {
            self.take_up(&mut runners, kept, &token);
        }
        self.controllers.loaded();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(message) = self.messages.recv() => self.take(&mut runners, message, &token),
                Some(ended) = runners.running.join_next_with_id() => self.ended(&mut runners, ended),
            }
        }
        if leaves() {
            runners.wish_all_gone();
        } else {
            token.cancel();
        }
        while let Some(ended) = runners.running.join_next_with_id().await {
            self.ended(&mut runners, ended);
        }
    }

    fn take(&self, runners: &mut Runners, message: AssignmentsMessage, token: &CancellationToken) {
        if message.applies_to == 0 {
            runners.complete = Some(BTreeSet::new());
        }
        for change in message.changes {
            match change {
                AssignmentChange::Update(task) => self.update(runners, *task, token),
                AssignmentChange::Remove(task) => runners.wish(&task, Wish::Gone),
            }
        }
        if !message.is_continued
            && let Some(complete) = runners.complete.take()
        {
            let gone: Vec<_> = runners.wishes.keys().filter(|task| !complete.contains(*task)).cloned().collect();
            for task in &gone {
                runners.wish(task, Wish::Gone);
            }
        }
    }

    fn update(&self, runners: &mut Runners, task: Task, token: &CancellationToken) {
        if let Some(complete) = &mut runners.complete {
            complete.insert(task.id.clone());
        }
        if runners.wishes.contains_key(&task.id) {
            runners.wish(&task.id, Wish::State(task.state.desired));
        } else {
            self.take_up(runners, assigned(task), token);
        }
    }

    fn take_up(&self, runners: &mut Runners, kept: KeptTask, token: &CancellationToken) {
        let id = kept.task.id.clone();
        let (wish, wishes) = watch::channel(Wish::State(kept.task.state.desired));
        let controller = self.executor.controller(&kept.task);
        self.controllers.add(id.clone(), Arc::clone(&controller));
        let runner = TaskRunner {
            controller,
            kept,
            wish: wishes,
            statuses: Arc::clone(&self.statuses),
            keeper: Arc::clone(&self.keeper),
            clock: Arc::clone(&self.clock),
            failures: 0,
        };
        let handle = runners.running.spawn(runner.run(token.clone()));
        runners.names.insert(handle.id(), id.clone());
        runners.wishes.insert(id, wish);
    }

    fn ended(&self, runners: &mut Runners, ended: Result<(Id, ()), tokio::task::JoinError>) {
        if let Some(task) = runners.ended(ended) {
            self.controllers.remove(&task);
        }
    }
}

impl Runners {
    /// Wishes something else of a task; what was wished before is not taken back.
    fn wish(&self, task: &TaskId, wish: Wish) {
        if let Some(sender) = self.wishes.get(task) {
            sender.send_if_modified(|current| {
                let is_further = *current < wish;
                *current = wish.max(*current);
                is_further
            });
        }
    }

    fn wish_all_gone(&self) {
        for task in self.wishes.keys() {
            self.wish(task, Wish::Gone);
        }
    }

    /// Forgets a runner that has ended, and gives its task.
    fn ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) -> Option<TaskId> {
        let id = match ended {
            Ok((id, ())) => id,
            Err(panic) => {
                error!(error = %panic, "the runner of a task has failed");
                panic.id()
            }
        };
        let task = self.names.remove(&id)?;
        self.wishes.remove(&task);
        Some(task)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Worker").finish_non_exhaustive()
    }
}
