//! What runs where and what waits, and the decisions that follow: pure, the same for the same seed and history.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use model::{Node, NodeId, Task, TaskId, TaskState};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::filter::Tally;
use super::node_set::NodeSet;
use super::queue::{GroupKey, Queue};
use super::rank::Rank;
use super::requirements::Requirements;
use super::spread::{Leaf, SpreadLabel, Tree};

/// A decision about a task that was Pending.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The task as it was when it was decided about.
    pub task: Arc<Task>,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What becomes of a task.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It goes to this node.
    Assigned(Arc<Node>),
    /// It fits nowhere, or not on the node it is bound to; why, in Docker's words. It stays Pending.
    Unplaced(Arc<str>),
    /// It was given up before it had a node, and ends.
    Ended,
}

/// Where a task stands with the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// It waits for a node, any.
    Anywhere,
    /// It waits for its node.
    Bound(NodeId),
    /// It has a node.
    On { node: NodeId, is_wanted: bool },
    /// It had no node, and needs none any more.
    Unwanted,
}

impl Place {
    /// The place of a task; none where it is not the scheduler's business, yet or any more.
    fn of(task: &Task) -> Option<Self> {
        let record = &task.state;
        let is_wanted = is_wanted(task);
        match (record.status.state, &record.node_id) {
            (TaskState::Pending, _) if record.desired == TaskState::Shutdown => Some(Self::Unwanted),
            (TaskState::Pending, None) => is_wanted.then_some(Self::Anywhere),
            (TaskState::Pending, Some(node)) => is_wanted.then(|| Self::Bound(node.clone())),
            (state, Some(node)) if TaskState::Pending < state && !state.is_terminal() => {
                Some(Self::On { node: node.clone(), is_wanted })
            }
            _ => None,
        }
    }
}

/// Whether a task is to run, or to run to its end.
pub(super) fn is_wanted(task: &Task) -> bool {
    task.state.desired <= TaskState::Complete
}

#[derive(Debug)]
struct Tracked {
    task: Arc<Task>,
    place: Place,
}

/// The pure half of the scheduler: takes note of nodes and tasks as they change, and decides.
///
/// What it decides counts at once; whoever cannot carry a decision out takes note of the task as it is then.
#[derive(Debug)]
pub struct Ledger {
    nodes: NodeSet,
    tasks: HashMap<TaskId, Tracked>,
    queue: Queue,
    /// Breaks ties.
    rng: StdRng,
}

impl Ledger {
    /// Without nodes and tasks.
    pub fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { nodes: NodeSet::default(), tasks: HashMap::new(), queue: Queue::default(), rng }
    }

    /// Takes note of a node as it is now.
    pub fn note_node(&mut self, node: &Arc<Node>) {
        self.nodes.set(node);
    }

    /// Takes note that there is no such node any more.
    pub fn forget_node(&mut self, id: &NodeId) {
        self.nodes.remove(id);
    }

    /// Takes note of a task as it is now.
    pub fn note_task(&mut self, task: &Arc<Task>, now: Timestamp) {
        self.nodes.note_failure(task, now);
        let place = Place::of(task);
        if let Some(known) = self.tasks.get_mut(&task.id)
            && Some(&known.place) == place.as_ref()
        {
            known.task = Arc::clone(task);
            return;
        }
        self.forget_task(&task.id);
        if let Some(place) = place {
            self.enter(Tracked { task: Arc::clone(task), place });
        }
    }

    /// Takes note that there is no such task any more.
    pub fn forget_task(&mut self, id: &TaskId) {
        let Some(Tracked { task, place }) = self.tasks.remove(id) else { return };
        match place {
            Place::Anywhere => self.queue.remove_anywhere(&group_of(&task), id),
            Place::Bound(node) => self.queue.remove_bound(&node, id),
            Place::On { node, is_wanted } => self.nodes.remove_task(&node, &task, is_wanted),
            // Whoever takes it from the queue finds that it is gone.
            Place::Unwanted => {}
        }
    }

    /// Decides about all tasks that wait and for which there may be something now. A task for which there is nothing is
    /// decided about only where its record says something else. Reasons come last.
    pub fn decide(&mut self, now: Timestamp) -> Vec<Decision> {
        let mut decisions = Vec::new();
        self.end_unwanted(&mut decisions);
        for (node, tasks) in self.queue.take_bound(&self.nodes) {
            self.confirm(&node, &tasks, &mut decisions);
        }
        for (key, tasks) in self.queue.take_anywhere(&self.nodes) {
            self.deal(key, &tasks, now, &mut decisions);
        }
        // Nobody with a node waits for the reasons of others to be written.
        decisions.sort_by_key(|decision| matches!(decision.outcome, Outcome::Unplaced(_)));
        decisions
    }

    fn enter(&mut self, tracked: Tracked) {
        let Tracked { task, place } = &tracked;
        match place {
            Place::Anywhere => self.queue.add_anywhere(group_of(task), task.id.clone()),
            Place::Bound(node) => self.queue.add_bound(node.clone(), task.id.clone()),
            Place::On { node, is_wanted } => self.nodes.add_task(node, task, *is_wanted),
            Place::Unwanted => self.queue.add_unwanted(task.id.clone()),
        }
        self.tasks.insert(task.id.clone(), tracked);
    }

    fn end_unwanted(&mut self, decisions: &mut Vec<Decision>) {
        for id in self.queue.take_unwanted() {
            let unwanted = self.tasks.get(&id).filter(|tracked| tracked.place == Place::Unwanted);
            decisions
                .extend(unwanted.map(|tracked| Decision { task: Arc::clone(&tracked.task), outcome: Outcome::Ended }));
        }
    }

    /// Checks the tasks that are bound to a node.
    fn confirm(&mut self, node: &NodeId, tasks: &HashSet<TaskId>, decisions: &mut Vec<Decision>) {
        let Some(place) = self.nodes.place(node) else { return };
        let mut asked: BTreeMap<GroupKey, Requirements> = BTreeMap::new();
        let mut left = HashSet::new();
        for task in self.in_order(tasks) {
            let asked = asked.entry(group_of(&task)).or_insert_with(|| Requirements::of(&task));
            match asked.check(&self.nodes.all()[place]) {
                Ok(()) => {
                    self.assign(&task, place);
                    let outcome = Outcome::Assigned(Arc::clone(&self.nodes.all()[place].node));
                    decisions.push(Decision { task, outcome });
                }
                Err(filter) => {
                    left.insert(task.id.clone());
                    decisions.extend(unplaced(&task, &filter.explain(1).into()));
                }
            }
        }
        if !left.is_empty() {
            self.queue.park_bound(node.clone(), left, self.nodes.moment());
        }
    }

    /// Deals the tasks of a group out over the nodes.
    fn deal(&mut self, key: GroupKey, tasks: &HashSet<TaskId>, now: Timestamp, decisions: &mut Vec<Decision>) {
        let tasks = self.in_order(tasks);
        let Some(first) = tasks.first() else { return };
        let asked = Requirements::of(first);
        let mut tree = self.grow(first, &asked, tasks.len(), now);
        decisions.reserve(tasks.len());
        let mut left = Vec::new();
        for task in tasks {
            let mut give = |rank: Rank, place: usize| {
                self.assign(&task, place);
                let info = &self.nodes.all()[place];
                asked.has_room(info).then(|| rank.again(info, &asked))
            };
            match tree.deal(&mut give) {
                Some(place) => {
                    let outcome = Outcome::Assigned(Arc::clone(&self.nodes.all()[place].node));
                    decisions.push(Decision { task, outcome });
                }
                None => left.push(task),
            }
        }
        if !left.is_empty() {
            let explanation = self.explain(&asked).into();
            decisions.extend(left.iter().filter_map(|task| unplaced(task, &explanation)));
            let left = left.into_iter().map(|task| task.id.clone()).collect();
            self.queue.park_anywhere(key, left, self.nodes.moment());
        }
    }

    fn grow(&mut self, task: &Task, asked: &Requirements, tasks: usize, now: Timestamp) -> Tree {
        let salt = self.rng.random();
        let leaf = |(place, info)| {
            let info: &super::node_set::NodeInfo = info;
            let rank = asked.check(info).ok().map(|()| Rank::of(info, asked, now, salt));
            Leaf { node: &info.node, place, tasks: info.usage.wanted_of(&asked.spec.0), rank }
        };
        let leaves = self.nodes.all().iter().enumerate().map(leaf).collect();
        Tree::grow(&SpreadLabel::of(task), leaves, tasks, salt)
    }

    fn explain(&self, asked: &Requirements) -> String {
        let mut tally = Tally::default();
        for filter in self.nodes.all().iter().filter_map(|info| asked.check(info).err()) {
            tally.count(filter);
        }
        tally.explain()
    }

    /// The tasks as they are known, in the order of their slots.
    fn in_order(&self, ids: &HashSet<TaskId>) -> Vec<Arc<Task>> {
        let known = ids.iter().filter_map(|id| self.tasks.get(id));
        let mut tasks: Vec<Arc<Task>> = known.map(|tracked| Arc::clone(&tracked.task)).collect();
        tasks.sort_unstable_by(|a, b| (a.state.slot, &a.id).cmp(&(b.state.slot, &b.id)));
        tasks
    }

    fn assign(&mut self, task: &Task, place: usize) {
        let info = self.nodes.at_mut(place);
        info.usage.add(task, true);
        if let Some(tracked) = self.tasks.get_mut(&task.id) {
            tracked.place = Place::On { node: info.node.id.clone(), is_wanted: true };
        }
    }
}

fn group_of(task: &Task) -> GroupKey {
    (task.state.service_id.clone(), task.state.spec_revision)
}

/// The decision that a task fits nowhere, where its record does not say so already.
fn unplaced(task: &Arc<Task>, explanation: &Arc<str>) -> Option<Decision> {
    let is_news = task.state.status.err != **explanation;
    is_news.then(|| Decision { task: Arc::clone(task), outcome: Outcome::Unplaced(Arc::clone(explanation)) })
}

#[cfg(test)]
mod tests;
