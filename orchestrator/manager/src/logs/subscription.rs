//! What one reader reads: which tasks, on which nodes, how far each has come, and when there is no more. Pure: the
//! state and the time are handed in.
//!
//! ```text
//! task of the target ──> untold ──told to its node──> told ──its node says so──> ended
//!                           └────its node stops listening──┘
//! node ──> missed, where the state has it as down or gone, where it has not listened for 5 s, or where it has been
//!          silent for 15 s about what is to end by itself; it is missed no more once it is heard
//! ```
//! A node that listens again goes on behind the last line that came of each task. Without "follow" it is over once each
//! task has ended or its node is missed; with it, the target must be gone besides. A task that is followed ends with its
//! container.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::{
    LogBatch, LogLine, LogOrder, LogRequest, LogSubscriptionId, LogTarget, NodeHealth, NodeId, ServiceId, Task, TaskId,
    TaskLogOrder, TaskState,
};
use store::Snapshot;
use tokio::time::Instant;

use super::merge::{Merge, Next};

/// How long a node that is not down may take to listen: a session that is found again takes a second or two.
const LISTEN_GRACE: Duration = Duration::from_secs(5);
/// How long a node may say nothing about what it reads to the end.
const SILENCE: Duration = Duration::from_secs(15);
/// Bytes of the lines that a reader is given at once, about.
const TOGETHER: usize = 64 << 10;
/// Reasons that a warning names at most.
const REASONS: usize = 20;

/// What one reader reads.
#[derive(Debug)]
pub(super) struct Subscription {
    id: LogSubscriptionId,
    request: LogRequest,
    is_target_there: bool,
    readings: BTreeMap<TaskId, Reading>,
    nodes: BTreeMap<NodeId, Part>,
    merge: Merge,
    errors: BTreeSet<String>,
}

/// A task that is read.
#[derive(Debug)]
struct Reading {
    node: NodeId,
    service: ServiceId,
    progress: Progress,
    tail: Option<u64>,
    /// The moment of the last line that came.
    seen: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Untold,
    Told,
    Ended,
}

/// A node that keeps some of what is read.
#[derive(Debug)]
struct Part {
    /// In which of its listenings it was told; absent while it does not listen.
    listening: Option<u64>,
    /// When it was last heard, or lost.
    since: Instant,
    /// Calls of it that wait for room.
    waiting: usize,
    is_missed: bool,
}

/// What a reader can be given.
#[derive(Debug)]
pub(super) enum Given {
    /// Lines.
    Lines(Vec<LogLine>),
    /// Nothing now: at that moment at the latest something will have changed, if there is one.
    Nothing(Option<Instant>),
    /// Nothing any more, and what was missed.
    Over(Option<String>),
}

/// Why a node's batch is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untaken {
    /// It is of a former listening, or the node was asked nothing.
    Stale,
    /// It speaks of a task that the node was not told to read.
    Foreign,
    /// Later.
    Full,
}

impl Subscription {
    /// Begins to read what the state shows.
    pub(super) fn new(id: LogSubscriptionId, request: LogRequest, view: &Snapshot, now: Instant) -> Self {
        let mut subscription = Self {
            id,
            request,
            is_target_there: true,
            readings: BTreeMap::new(),
            nodes: BTreeMap::new(),
            merge: Merge::default(),
            errors: BTreeSet::new(),
        };
        subscription.look(view, now);
        for reading in subscription.readings.values_mut() {
            // What joins later has written nothing that could be left out.
            reading.tail = subscription.request.selection.tail;
        }
        subscription.follow_target(view);
        subscription
    }

    /// Whether a task may belong to it.
    pub(super) fn concerns(&self, task: &TaskId, service: &ServiceId) -> bool {
        match &self.request.target {
            LogTarget::Service(target) => target == service,
            LogTarget::Task(target) => target == task,
        }
    }

    /// Whether the end of a service may end it.
    pub(super) fn concerns_service(&self, service: &ServiceId) -> bool {
        matches!(&self.request.target, LogTarget::Service(target) if target == service)
    }

    /// The nodes that keep some of it.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.keys()
    }

    /// The state has changed: with "follow", more tasks join, and the target may be gone.
    pub(super) fn changed(&mut self, view: &Snapshot, now: Instant) {
        if self.request.selection.follow && self.is_target_there {
            self.look(view, now);
            self.follow_target(view);
        }
    }

    fn follow_target(&mut self, view: &Snapshot) {
        self.is_target_there = match &self.request.target {
            LogTarget::Service(id) => view.service(id).is_some_and(|service| !service.state.is_removed),
            LogTarget::Task(id) => view.task(id).is_some(),
        };
    }

    fn look(&mut self, view: &Snapshot, now: Instant) {
        match self.request.target.clone() {
            LogTarget::Service(id) => view.tasks_of_service(&id).for_each(|task| self.join(task, now)),
            LogTarget::Task(id) => view.task(&id).into_iter().for_each(|task| self.join(task, now)),
        }
    }

    /// A task joins once it has a container.
    fn join(&mut self, task: &Task, now: Instant) {
        let Some(node) = &task.state.node_id else { return };
        if task.state.status.state < TaskState::Ready || self.readings.contains_key(&task.id) {
            return;
        }
        let reading = Reading {
            node: node.clone(),
            service: task.state.service_id.clone(),
            progress: Progress::Untold,
            tail: None,
            seen: self.request.seen.get(&task.id).copied(),
        };
        self.readings.insert(task.id.clone(), reading);
        let unheard = || Part { listening: None, since: now, waiting: 0, is_missed: false };
        self.nodes.entry(node.clone()).or_insert_with(unheard);
    }

    /// What a node that listens is to be told, if there is anything.
    pub(super) fn tell(&mut self, node: &NodeId, listening: u64, now: Instant) -> Option<LogOrder> {
        let part = self.nodes.get_mut(node)?;
        let selection = self.request.selection;
        let mut tasks = Vec::new();
        let untold = |reading: &Reading| reading.node == *node && reading.progress == Progress::Untold;
        for (task, reading) in self.readings.iter_mut().filter(|(_, reading)| untold(reading)) {
            reading.progress = Progress::Told;
            self.merge.begin(task, node);
            tasks.push(match reading.seen {
                Some(seen) => TaskLogOrder { task: task.clone(), tail: None, since: Some(after(seen)) },
                None => TaskLogOrder { task: task.clone(), tail: reading.tail, since: selection.since },
            });
        }
        if tasks.is_empty() {
            return None;
        }
        (part.listening, part.since, part.is_missed) = (Some(listening), now, false);
        let (subscription, follow) = (self.id, selection.follow);
        let (stdout, stderr) = (selection.stdout, selection.stderr);
        Some(LogOrder::Read { subscription, listening, follow, stdout, stderr, tasks })
    }

    /// A node listens no more.
    pub(super) fn lost(&mut self, node: &NodeId, now: Instant) {
        let Some(part) = self.nodes.get_mut(node) else { return };
        (part.listening, part.since) = (None, now);
        let told = |reading: &Reading| reading.node == *node && reading.progress == Progress::Told;
        for (task, reading) in self.readings.iter_mut().filter(|(_, reading)| told(reading)) {
            reading.progress = Progress::Untold;
            self.merge.end(task);
        }
    }

    /// Takes what a node has read: all of it, or nothing.
    pub(super) fn take(&mut self, node: &NodeId, batch: &mut LogBatch, now: Instant) -> Result<(), Untaken> {
        let part = self.nodes.get_mut(node).filter(|part| part.listening == Some(batch.listening));
        let part = part.ok_or(Untaken::Stale)?;
        let mut named = batch.entries.iter().map(|(task, _)| task).chain(batch.ended.iter().map(|end| &end.task));
        let is_told = |task: &TaskId| {
            let reading = self.readings.get(task);
            reading.is_some_and(|reading| reading.node == *node && reading.progress == Progress::Told)
        };
        if !named.all(is_told) {
            return Err(Untaken::Foreign);
        }
        if !self.merge.has_room(node) {
            return Err(Untaken::Full);
        }
        (part.since, part.is_missed) = (now, false);
        for (task, entry) in std::mem::take(&mut batch.entries) {
            if let Some(reading) = self.readings.get_mut(&task) {
                reading.seen = Some(entry.time);
            }
            self.merge.add(&task, entry, now);
        }
        for end in std::mem::take(&mut batch.ended) {
            if let Some(reading) = self.readings.get_mut(&end.task) {
                reading.progress = Progress::Ended;
            }
            self.merge.end(&end.task);
            if let Some(error) = end.error {
                self.errors.insert(format!("task {}: {error}", end.task));
            }
        }
        Ok(())
    }

    /// A call of a node begins or ceases to wait for room.
    pub(super) fn waits(&mut self, node: &NodeId, begins: bool, now: Instant) {
        if let Some(part) = self.nodes.get_mut(node) {
            part.waiting = if begins { part.waiting + 1 } else { part.waiting.saturating_sub(1) };
            part.since = now;
        }
    }

    /// Finds the nodes that nobody is to wait for any longer.
    pub(super) fn judge(&mut self, view: &Snapshot, now: Instant) {
        let ends_by_itself = !self.request.selection.follow;
        if !ends_by_itself && self.is_target_there {
            return;
        }
        for (id, part) in &mut self.nodes {
            let silent = now.duration_since(part.since);
            let is_there = view.node(id).is_some_and(|node| node.state.status.state != NodeHealth::Down);
            part.is_missed |= match part.listening {
                None => !is_there || silent >= LISTEN_GRACE,
                Some(_) => ends_by_itself && part.waiting == 0 && silent >= SILENCE,
            };
        }
    }

    /// Gives out what there is.
    pub(super) fn give(&mut self, now: Instant) -> Given {
        let mut lines = Vec::new();
        let mut bytes = 0;
        loop {
            let next = self.merge.next(now);
            match next {
                Next::Line(task, node, entry) => {
                    bytes += entry.text.len();
                    if let Some(reading) = self.readings.get(&task) {
                        lines.push(LogLine { node, service: reading.service.clone(), task, entry });
                    }
                    if bytes >= TOGETHER {
                        return Given::Lines(lines);
                    }
                }
                Next::At(_) | Next::Nothing if !lines.is_empty() => return Given::Lines(lines),
                Next::At(moment) => return Given::Nothing(Some(moment)),
                Next::Nothing if self.is_over() => return Given::Over(self.warning()),
                Next::Nothing => return Given::Nothing(None),
            }
        }
    }

    fn is_over(&self) -> bool {
        let has_ended = |reading: &Reading| reading.progress == Progress::Ended;
        let is_done =
            |reading: &Reading| has_ended(reading) || self.nodes.get(&reading.node).is_some_and(|part| part.is_missed);
        let is_followed = self.request.selection.follow && self.is_target_there;
        match &self.request.target {
            LogTarget::Task(task) if is_followed => self.readings.get(task).is_some_and(has_ended),
            LogTarget::Service(_) if is_followed => false,
            LogTarget::Service(_) | LogTarget::Task(_) => self.readings.values().all(is_done),
        }
    }

    /// Why it is not whole, in Docker's words.
    fn warning(&self) -> Option<String> {
        let unread = self.readings.values().filter(|reading| reading.progress != Progress::Ended);
        let missed: BTreeSet<_> = unread.map(|reading| &reading.node).collect();
        let reasons: Vec<_> = missed.into_iter().map(|node| format!("node {node} is not available")).collect();
        let reasons: Vec<_> = reasons.iter().chain(&self.errors).map(String::as_str).collect();
        let (shown, more) = reasons.split_at(reasons.len().min(REASONS));
        let more = if more.is_empty() { String::new() } else { format!(", and {} more", more.len()) };
        let words = "warning: incomplete log stream. some logs could not be retrieved for the following reasons:";
        (!shown.is_empty()).then(|| format!("{words} {}{more}", shown.join(", ")))
    }
}

/// The moment behind one: clocks of nodes tell nanoseconds.
fn after(moment: Timestamp) -> Timestamp {
    moment.checked_add(SignedDuration::from_nanos(1)).unwrap_or(moment)
}
