//! All that a decision about one service looks at: a copy of the store's truth, and the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::{Availability, Driver, Node, NodeHealth, NodeId, Service, ServiceId, Task, TaskState};
use store::Snapshot;

use super::place::is_wanted;

/// What a node means for the tasks on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They stay, and more may come.
    Active,
    /// They stay.
    Paused,
    /// They are to go elsewhere, and stop here.
    Drained,
    /// They are lost for now.
    Down,
    /// They are lost for ever.
    Gone,
}

/// A service, its tasks and the nodes, at one moment.
#[derive(Debug)]
pub(crate) struct Situation {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// Its tasks, in no order.
    pub(crate) tasks: Vec<Arc<Task>>,
    /// The nodes that its tasks are on; all nodes where each has a task.
    pub(crate) nodes: BTreeMap<NodeId, Arc<Node>>,
    /// The log driver of tasks that name none.
    pub(crate) log_driver: Option<Driver>,
    /// The leader's time.
    pub(crate) now: Timestamp,
}

impl Situation {
    /// The situation of a service; none where there is no such service.
    pub(crate) fn of(view: &Snapshot, service: &ServiceId, now: Timestamp) -> Option<Self> {
        let service = Arc::clone(view.service(service)?);
        let tasks: Vec<Arc<Task>> = view.tasks_of_service(&service.id).cloned().collect();
        let nodes = if service.spec.is_global() {
            view.nodes().map(|node| (node.id.clone(), Arc::clone(node))).collect()
        } else {
            let ids = tasks.iter().filter_map(|task| task.state.node_id.as_ref());
            ids.filter_map(|id| view.node(id)).map(|node| (node.id.clone(), Arc::clone(node))).collect()
        };
        Some(Self { service, tasks, nodes, log_driver: default_log_driver(view), now })
    }

    /// A service and the time: enough to make what was decided before.
    pub(crate) fn without_tasks(view: &Snapshot, service: &ServiceId, now: Timestamp) -> Option<Self> {
        let service = Arc::clone(view.service(service)?);
        let log_driver = default_log_driver(view);
        Some(Self { service, tasks: Vec::new(), nodes: BTreeMap::new(), log_driver, now })
    }

    /// What a node means for the tasks on it.
    pub(crate) fn fate(&self, node: &NodeId) -> Fate {
        let Some(node) = self.nodes.get(node) else { return Fate::Gone };
        match (node.state.status.state, node.spec.availability) {
            (NodeHealth::Down, _) => Fate::Down,
            (_, Availability::Drain) => Fate::Drained,
            (_, Availability::Pause) => Fate::Paused,
            (NodeHealth::Unknown | NodeHealth::Ready | NodeHealth::Disconnected, Availability::Active) => Fate::Active,
        }
    }

    /// What the node of a task means for it; none where it has no node yet.
    pub(crate) fn fate_of(&self, task: &Task) -> Option<Fate> {
        task.state.node_id.as_ref().map(|node| self.fate(node))
    }

    /// Whether a task cannot stay where it is.
    pub(crate) fn is_displaced(&self, task: &Task) -> bool {
        matches!(self.fate_of(task), Some(Fate::Drained | Fate::Down | Fate::Gone))
    }

    /// Whether nothing of a task runs any more once it is not wanted, as far as the swarm can know.
    pub(crate) fn has_stopped(&self, task: &Task) -> bool {
        let state = task.state.status.state;
        let has_begun = state >= TaskState::Assigned && !state.is_terminal();
        !has_begun || matches!(self.fate_of(task), None | Some(Fate::Down | Fate::Gone))
    }

    /// Whether a task may still run though it is wanted no more.
    pub(crate) fn is_stopping(&self, task: &Task) -> bool {
        !is_wanted(task) && !self.has_stopped(task)
    }

    /// Whether a task is what the service wants its tasks to be now.
    pub(crate) fn is_current(&self, task: &Task) -> bool {
        let node = task.state.node_id.as_ref().and_then(|node| self.nodes.get(node));
        task.is_current(&self.service, node.map(AsRef::as_ref))
    }

    /// The state that a task is to reach.
    pub(crate) fn goal(&self) -> TaskState {
        if self.service.spec.is_job() { TaskState::Complete } else { TaskState::Running }
    }
}

fn default_log_driver(view: &Snapshot) -> Option<Driver> {
    view.cluster().and_then(|cluster| cluster.spec.task_defaults.log_driver.clone())
}

/// A moment so many nanoseconds after another; none before it.
pub(crate) fn after(moment: Timestamp, nanoseconds: i64) -> Timestamp {
    moment.checked_add(SignedDuration::from_nanos(nanoseconds.max(0))).unwrap_or(Timestamp::MAX)
}
