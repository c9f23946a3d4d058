//! A place of a service and the tasks in it: a numbered slot, or a node.
//!
//! ```text
//! vacant ──make──> live ──ends──> ended, wanted still ──restart──> live, with the former one as history
//!                   │                    └── not to be restarted ──> given up: occupied by history alone
//!                   └── one more lives ──> updated start-first, until the new one runs
//! ```
//! Who wants a task no more makes what follows it in the same transaction. So a place shows by itself where it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{NodeId, Task, TaskState};

/// Where a task of a service belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A numbered one, from 1.
    Slot(u64),
    /// A node, where each node has a task of its own.
    Node(NodeId),
}

impl Place {
    /// The place of a task.
    pub(crate) fn of(task: &Task) -> Self {
        match &task.state.node_id {
            Some(node) if task.state.slot == 0 => Self::Node(node.clone()),
            Some(_) | None => Self::Slot(task.state.slot),
        }
    }

    /// The number of a slot; 0 for a node.
    pub(crate) fn slot(&self) -> u64 {
        match self {
            Self::Slot(slot) => *slot,
            Self::Node(_) => 0,
        }
    }

    /// The node that the place is.
    pub(crate) fn node(&self) -> Option<&NodeId> {
        match self {
            Self::Slot(_) => None,
            Self::Node(node) => Some(node),
        }
    }
}

/// Whether a task is wanted: to run, to complete, or to wait for its start.
pub(crate) fn is_wanted(task: &Task) -> bool {
    task.state.desired < TaskState::Shutdown
}

/// Whether a task is wanted and has not ended.
pub(crate) fn is_live(task: &Task) -> bool {
    is_wanted(task) && !task.state.status.state.is_terminal()
}

/// Whether a task ended in a way in which tasks end that were not told to.
pub(crate) fn has_finished(task: &Task) -> bool {
    matches!(task.state.status.state, TaskState::Complete | TaskState::Failed | TaskState::Rejected)
}

/// The tasks of one place that are not to be forgotten or have not stopped, the oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Occupants<'s>(pub(crate) Vec<&'s Task>);

impl<'s> Occupants<'s> {
    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &'s Task> {
        self.0.iter().copied()
    }

    /// Those that are wanted and have not ended.
    pub(crate) fn live(&self) -> impl DoubleEndedIterator<Item = &'s Task> {
        self.all().filter(|task| is_live(task))
    }

    /// Those that ended and were not replaced yet.
    pub(crate) fn ended(&self) -> impl DoubleEndedIterator<Item = &'s Task> {
        self.all().filter(|task| is_wanted(task) && !is_live(task))
    }

    /// The newest one that is not to be forgotten.
    pub(crate) fn latest(&self) -> Option<&'s Task> {
        self.all().rfind(|task| task.state.desired < TaskState::Remove)
    }

    /// Whether nothing is here that counts: all tasks are to be forgotten.
    pub(crate) fn is_vacant(&self) -> bool {
        self.latest().is_none()
    }

    /// Whether a task ended without having been told to: it was wanted until it had, so nothing newer was made before.
    pub(crate) fn has_ended_by_itself(&self, task: &Task) -> bool {
        let newer = self.all().skip_while(|other| other.id != task.id).nth(1);
        let was_replaced = newer.is_some_and(|newer| newer.meta.created_at < task.state.status.applied_at);
        has_finished(task) && (is_wanted(task) || !was_replaced)
    }

    /// Those that are older than a task, the newest first.
    pub(crate) fn before(&self, task: &Task) -> impl Iterator<Item = &'s Task> {
        let position = self.0.iter().position(|other| other.id == task.id).unwrap_or(self.0.len());
        self.0[..position].iter().rev().copied().collect::<Vec<_>>().into_iter()
    }
}

/// Sorts tasks by place and age.
pub(crate) fn places(tasks: &[Arc<Task>]) -> BTreeMap<Place, Occupants<'_>> {
    let mut places: BTreeMap<Place, Occupants<'_>> = BTreeMap::new();
    for task in tasks {
        places.entry(Place::of(task)).or_default().0.push(task);
    }
    for occupants in places.values_mut() {
        occupants.0.sort_by_key(|task| (task.meta.created_at, task.state.status.applied_at, task.id.clone()));
    }
    places
}
