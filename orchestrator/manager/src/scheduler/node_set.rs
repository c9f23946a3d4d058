//! The nodes as the scheduler knows them: what they are, what is taken of them, what failed on them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use model::{Node, NodeId, Task, TaskState};

use super::failures::Failures;
use super::usage::Usage;

/// A node, and what the scheduler knows of it.
#[derive(Debug)]
pub(super) struct NodeInfo {
    pub(super) node: Arc<Node>,
    pub(super) usage: Usage,
    pub(super) failures: Failures,
    /// Tells nodes apart that rank alike.
    pub(super) tie: u64,
    /// The moment, in [`NodeSet::moment`]'s counting, in which something became better last.
    pub(super) improved: u64,
}

/// All nodes. Their places in the list hold until a node is added or removed.
#[derive(Debug, Default)]
pub(super) struct NodeSet {
    nodes: Vec<NodeInfo>,
    places: HashMap<NodeId, usize>,
    /// What tasks take of nodes that are gone, or were never seen.
    strays: HashMap<NodeId, Usage>,
    moment: u64,
}

impl NodeSet {
    /// Takes note of a node as it is now.
    pub(super) fn set(&mut self, node: &Arc<Node>) {
        if let Some(place) = self.places.get(&node.id) {
            let info = &mut self.nodes[*place];
            let is_news = differs(&info.node, node);
            info.node = Arc::clone(node);
            if is_news {
                self.moment += 1;
                info.improved = self.moment;
            }
        } else {
            self.moment += 1;
            self.places.insert(node.id.clone(), self.nodes.len());
            self.nodes.push(NodeInfo {
                node: Arc::clone(node),
                usage: self.strays.remove(&node.id).unwrap_or_default(),
                failures: Failures::default(),
                tie: hash(&node.id),
                improved: self.moment,
            });
        }
    }

    /// Takes note that a node is gone. What its tasks take is remembered until they are gone too.
    pub(super) fn remove(&mut self, id: &NodeId) {
        let Some(place) = self.places.remove(id) else { return };
        let gone = self.nodes.swap_remove(place);
        if let Some(moved) = self.nodes.get(place) {
            self.places.insert(moved.node.id.clone(), place);
        }
        if !gone.usage.is_empty() {
            self.strays.insert(id.clone(), gone.usage);
        }
    }

    /// A task begins to take its share of a node.
    pub(super) fn add_task(&mut self, id: &NodeId, task: &Task, is_wanted: bool) {
        match self.place(id) {
            Some(place) => self.nodes[place].usage.add(task, is_wanted),
            None => self.strays.entry(id.clone()).or_default().add(task, is_wanted),
        }
    }

    /// A task gives its share of a node back.
    pub(super) fn remove_task(&mut self, id: &NodeId, task: &Task, is_wanted: bool) {
        if let Some(place) = self.place(id) {
            self.moment += 1;
            let info = &mut self.nodes[place];
            info.usage.remove(task, is_wanted);
            info.improved = self.moment;
        } else if let Some(usage) = self.strays.get_mut(id) {
            usage.remove(task, is_wanted);
            if usage.is_empty() {
                self.strays.remove(id);
            }
        }
    }

    /// Takes note of a task that failed on its node, if this is one.
    pub(super) fn note_failure(&mut self, task: &Task, now: Timestamp) {
        let record = &task.state;
        if !matches!(record.status.state, TaskState::Failed | TaskState::Rejected) {
            return;
        }
        if let Some(place) = record.node_id.as_ref().and_then(|node| self.place(node)) {
            let spec = (record.service_id.clone(), record.spec_revision);
            self.nodes[place].failures.note(spec, task.id.clone(), record.status.applied_at, now);
        }
    }

    /// Counts up whenever something becomes better for tasks that found no node.
    pub(super) fn moment(&self) -> u64 {
        self.moment
    }

    /// Where a node stands in the list.
    pub(super) fn place(&self, id: &NodeId) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// A node by its id.
    pub(super) fn get(&self, id: &NodeId) -> Option<&NodeInfo> {
        self.place(id).map(|place| &self.nodes[place])
    }

    /// All nodes.
    pub(super) fn all(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// A node at a place of the list, to be given a task.
    pub(super) fn at_mut(&mut self, place: usize) -> &mut NodeInfo {
        &mut self.nodes[place]
    }
}

/// Whether two states of a node differ in something that a task may ask for.
fn differs(before: &Node, after: &Node) -> bool {
    let status = |node: &Node| (node.state.status.state, node.state.role);
    status(before) != status(after)
        || before.spec != after.spec
        || before.state.status.addr != after.state.status.addr
        || before.state.description != after.state.description
}

fn hash(id: &NodeId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
