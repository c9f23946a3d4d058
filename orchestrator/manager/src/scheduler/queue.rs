//! The tasks that wait for a node, in groups that are decided at once.
//!
//! A group for which there is nothing now is left alone until something became better: on any node for tasks that may
//! go anywhere, on their own node for those that are bound to one.

use std::collections::{BTreeMap, HashSet};

use model::{NodeId, ServiceId, TaskId};

use super::node_set::NodeSet;

/// Tasks that ask for the same: a service, and the revision of its spec.
pub(super) type GroupKey = (ServiceId, u64);

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    anywhere: BTreeMap<GroupKey, Group>,
    bound: BTreeMap<NodeId, Group>,
    unwanted: Vec<TaskId>,
}

/// Tasks that are looked at together.
#[derive(Debug, Default)]
struct Group {
    tasks: HashSet<TaskId>,
    /// The moment when they found nothing; none while some of them were never tried.
    tried: Option<u64>,
}

impl Group {
    fn is_worth_a_try(&self, improved: u64) -> bool {
        self.tried.is_none_or(|tried| tried < improved)
    }

    fn add(&mut self, task: TaskId) {
        self.tasks.insert(task);
        self.tried = None;
    }
}

impl Queue {
    /// A task that may go anywhere.
    pub(super) fn add_anywhere(&mut self, key: GroupKey, task: TaskId) {
        self.anywhere.entry(key).or_default().add(task);
    }

    /// A task whose node was chosen by whoever made it.
    pub(super) fn add_bound(&mut self, node: NodeId, task: TaskId) {
        self.bound.entry(node).or_default().add(task);
    }

    /// A task that nobody wants any more before it had a node.
    pub(super) fn add_unwanted(&mut self, task: TaskId) {
        self.unwanted.push(task);
    }

    /// Takes a task out that may go anywhere.
    pub(super) fn remove_anywhere(&mut self, key: &GroupKey, task: &TaskId) {
        remove(&mut self.anywhere, key, task);
    }

    /// Takes a task out that is bound to a node.
    pub(super) fn remove_bound(&mut self, node: &NodeId, task: &TaskId) {
        remove(&mut self.bound, node, task);
    }

    /// Takes all tasks that nobody wants any more.
    pub(super) fn take_unwanted(&mut self) -> Vec<TaskId> {
        std::mem::take(&mut self.unwanted)
    }

    /// Takes the groups that may go anywhere and are worth a try now.
    pub(super) fn take_anywhere(&mut self, nodes: &NodeSet) -> BTreeMap<GroupKey, HashSet<TaskId>> {
        take(&mut self.anywhere, |_, group| group.is_worth_a_try(nodes.moment()))
    }

    /// Takes the tasks of every node that is worth a try now.
    pub(super) fn take_bound(&mut self, nodes: &NodeSet) -> BTreeMap<NodeId, HashSet<TaskId>> {
        take(&mut self.bound, |node, group| nodes.get(node).is_some_and(|info| group.is_worth_a_try(info.improved)))
    }

    /// Puts those back that found no node, until something became better after `moment`.
    pub(super) fn park_anywhere(&mut self, key: GroupKey, tasks: HashSet<TaskId>, moment: u64) {
        self.anywhere.insert(key, Group { tasks, tried: Some(moment) });
    }

    /// Puts those back that their node has no room for, until something became better on it after `moment`.
    pub(super) fn park_bound(&mut self, node: NodeId, tasks: HashSet<TaskId>, moment: u64) {
        self.bound.insert(node, Group { tasks, tried: Some(moment) });
    }
}

fn remove<K: Ord>(groups: &mut BTreeMap<K, Group>, key: &K, task: &TaskId) {
    if let Some(group) = groups.get_mut(key) {
        group.tasks.remove(task);
        if group.tasks.is_empty() {
            groups.remove(key);
        }
    }
}

fn take<K: Ord>(groups: &mut BTreeMap<K, Group>, is_due: impl Fn(&K, &Group) -> bool) -> BTreeMap<K, HashSet<TaskId>> {
    groups.extract_if(.., |key, group| is_due(key, group)).map(|(key, group)| (key, group.tasks)).collect()
}
