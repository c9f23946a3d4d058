//! Decides which node runs each pending task.
//!
//! ```text
//! events mark ──> the ledger takes note of what is marked, from one view ──> decides ──> writes, a few hundred a
//!    ▲            (nodes, what runs on them, what waits; pure)                             transaction
//!    └──────────────────────── what was written, and what could not be, is marked ────────────┘
//! ```
//! Filters turn nodes away, spread preferences deal tasks out over branches, ranks choose among what remains. Tasks of
//! one service and revision are decided about together. What comes while it is busy is one next look: no timer.
//!
//! Reads nodes, tasks. Writes tasks that are Pending: Assigned with their node; why there is none; Shutdown where nobody
//! wants them any more. Never creates a task, never moves one.

mod failures;
mod filter;
mod ledger;
mod node_set;
mod queue;
mod rank;
mod requirements;
mod spread;
#[cfg(test)]
pub(crate) mod testing;
mod usage;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use model::{NodeId, SwarmError, Task, TaskId, TaskState, TaskStatus};
use rand::RngExt;
use rand::rngs::StdRng;
use store::{Clock, Event, Snapshot, Store, Transaction, Watch, WatchError, WorkEvent};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use ledger::{Decision, Ledger, Outcome};

/// How many decisions one transaction carries (SwarmKit's limit of changes).
const BATCH: usize = 200;
/// How many transactions are in line at once: the next ones are made ready while one is committed.
const IN_LINE: usize = 4;
/// Docker's words for a task that got a node.
const ASSIGNED: &str = "scheduler assigned task to node";
/// Docker's words for a task whose node was chosen before.
const CONFIRMED: &str = "scheduler confirmed task can run on preassigned node";

/// The scheduler of one term.
#[derive(Debug)]
pub struct Scheduler {
    store: Store,
    clock: Clock,
    ledger: Ledger,
    rng: StdRng,
    marked: Marked,
}

/// What changed since the ledger took note.
#[derive(Debug, Default)]
struct Marked {
    nodes: BTreeSet<NodeId>,
    tasks: BTreeSet<TaskId>,
}

impl Scheduler {
    /// A scheduler that knows nothing yet. Statuses get their times from `clock`; ties are broken by `rng`.
    pub fn new(store: Store, clock: Clock, mut rng: StdRng) -> Self {
        Self { store, clock, ledger: Ledger::new(rng.random()), rng, marked: Marked::default() }
    }

    /// Schedules until cancelled.
    ///
    /// # Errors
    /// This member leads no more, or the store has stopped.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let mut events = self.begin();
        loop {
            self.schedule().await?;
            let event = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                event = events.recv() => event,
            };
            self.note(event, &mut events)?;
            while let Some(event) = events.recv().now_or_never() {
                self.note(event, &mut events)?;
            }
        }
    }

    /// Takes note of everything.
    fn begin(&mut self) -> Watch {
        let (view, events) = self.store.view_and_watch();
        self.ledger = Ledger::new(self.rng.random());
        self.marked = Marked::default();
        let now = self.clock.now();
        view.nodes().for_each(|node| self.ledger.note_node(node));
        view.tasks().for_each(|task| self.ledger.note_task(task, now));
        events
    }

    fn note(&mut self, event: Result<Event, WatchError>, events: &mut Watch) -> Result<(), SwarmError> {
        match event {
            Ok(Event::NodeChanged(node)) => drop(self.marked.nodes.insert(node)),
            Ok(Event::NodeRemoved(node)) => drop(self.marked.nodes.insert(node.id.clone())),
            Ok(Event::Work(WorkEvent::TaskChanged { task, .. })) => drop(self.marked.tasks.insert(task)),
            Ok(Event::Work(WorkEvent::TaskRemoved(task))) => drop(self.marked.tasks.insert(task.id.clone())),
            Ok(
                Event::ClusterChanged
                | Event::Committed { .. }
                | Event::Work(WorkEvent::ServiceChanged(_) | WorkEvent::ServiceRemoved(_)),
            ) => {}
            Err(WatchError::Lagged(missed)) => {
                warn!(missed, "fell behind the store; starting from a new snapshot");
                *events = self.begin();
            }
            Err(WatchError::Closed) => return Err(SwarmError::unavailable("the store has stopped")),
        }
        Ok(())
    }

    /// Decides and writes until there is nothing more to decide.
    async fn schedule(&mut self) -> Result<(), SwarmError> {
        loop {
            let now = self.clock.now();
            self.take_note(now);
            let decisions = self.ledger.decide(now);
            if decisions.is_empty() {
                return Ok(());
            }
            debug!(decisions = decisions.len(), "decided about pending tasks");
            self.marked.mark(&decisions);
            self.write(decisions, now).await?;
        }
    }

    fn take_note(&mut self, now: Timestamp) {
        let view = self.store.view();
        let Marked { nodes, tasks } = std::mem::take(&mut self.marked);
        for id in nodes {
            match view.node(&id) {
                Some(node) => self.ledger.note_node(node),
                None => self.ledger.forget_node(&id),
            }
        }
        for id in tasks {
            match view.task(&id) {
                Some(task) => self.ledger.note_task(task, now),
                None => self.ledger.forget_task(&id),
            }
        }
    }

    /// Writes decisions, so many a transaction: of a task only what is decided is written, however large it is.
    async fn write(&self, decisions: Vec<Decision>, now: Timestamp) -> Result<(), SwarmError> {
        let decisions: Arc<[Decision]> = decisions.into();
        let batches = (0..decisions.len()).step_by(BATCH);
        let mut written = stream::iter(batches)
            .map(|start| {
                let decisions = Arc::clone(&decisions);
                let end = decisions.len().min(start + BATCH);
                self.store.update(move |tx| carry_out(tx, &decisions[start..end], now))
            })
            .buffer_unordered(IN_LINE);
        while let Some(outcome) = written.next().await {
            outcome?;
        }
        Ok(())
    }
}

impl Marked {
    /// Marks what decisions are about: it may have changed before they were carried out.
    fn mark(&mut self, decisions: &[Decision]) {
        let mut explained = None;
        for Decision { task, outcome } in decisions {
            self.tasks.insert(task.id.clone());
            match outcome {
                Outcome::Assigned(node) => drop(self.nodes.insert(node.id.clone())),
                Outcome::Unplaced(explanation) if explained != Some((&task.state.service_id, explanation)) => {
                    let service = &task.state.service_id;
                    info!(%service, task = %task.id, %explanation, "a task has no node");
                    explained = Some((service, explanation));
                }
                Outcome::Unplaced(_) | Outcome::Ended => {}
            }
        }
    }
}

/// Carries decisions out whose tasks, and nodes, are still what was decided about; passes by the others.
fn carry_out(tx: &mut Transaction, decisions: &[Decision], now: Timestamp) -> Result<(), SwarmError> {
    let view = tx.view();
    for decision in decisions.iter().filter(|decision| is_valid(decision, &view)) {
        tx.update_task(&decision.task.id, |task| apply(task, &decision.outcome, now))?;
    }
    Ok(())
}

fn is_valid(decision: &Decision, view: &Snapshot) -> bool {
    let decided = &decision.task.state;
    let is_same = |task: &Task| {
        let task = &task.state;
        task.status.state == TaskState::Pending && task.node_id == decided.node_id
    };
    let Some(task) = view.task(&decision.task.id).filter(|task| is_same(task)) else { return false };
    match &decision.outcome {
        Outcome::Assigned(node) => {
            let is_same_node = view.node(&node.id).is_some_and(|now| now.meta.version == node.meta.version);
            ledger::is_wanted(task) && is_same_node
        }
        Outcome::Unplaced(_) => ledger::is_wanted(task),
        Outcome::Ended => task.state.desired == TaskState::Shutdown,
    }
}

fn apply(task: &mut Task, outcome: &Outcome, now: Timestamp) {
    let record = &mut task.state;
    match outcome {
        Outcome::Assigned(node) => {
            let message = if record.node_id.is_some() { CONFIRMED } else { ASSIGNED };
            record.node_id = Some(node.id.clone());
            record.status = TaskStatus::new(TaskState::Assigned, message, now);
        }
        Outcome::Unplaced(explanation) => {
            record.status.err = explanation.to_string();
            record.status.timestamp = now;
            record.status.applied_at = now;
        }
        Outcome::Ended => {
            record.status.state = TaskState::Shutdown;
            record.status.err = String::new();
            record.status.timestamp = now;
            record.status.applied_at = now;
        }
    }
}

#[cfg(test)]
mod tests;
