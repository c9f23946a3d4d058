//! Tasks: by id, by service and by node.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use model::{Meta, NodeId, ServiceId, SwarmError, Task, TaskId, TaskRecord, TaskState, TaskStatus};
use serde::{Deserialize, Serialize};

use crate::table::{Amendment, Table, remove_from};
use crate::{Event, Snapshot, TaskPhase, Transaction, WorkEvent};

/// The tasks and their indexes.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskTable {
    tasks: OrdMap<TaskId, Arc<Task>>,
    by_service: OrdMap<ServiceId, OrdSet<TaskId>>,
    by_node: OrdMap<NodeId, OrdSet<TaskId>>,
}

impl Table for TaskTable {
    type Key = TaskId;
    type Object = Task;
    type Amendment = TaskAmendment;

    const KIND: &'static str = "task";

    fn key(task: &Task) -> TaskId {
        task.id.clone()
    }

    fn meta(task: &Task) -> &Meta {
        &task.meta
    }

    fn meta_mut(task: &mut Task) -> &mut Meta {
        &mut task.meta
    }

    fn get(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(id)
    }

    fn put(&mut self, task: Arc<Task>) {
        // Most changes are of the state alone, which no index goes by.
        if !self.tasks.get(&task.id).is_some_and(|known| is_indexed_alike(known, &task)) {
            self.remove(&task.id);
            self.by_service.entry(task.state.service_id.clone()).or_default().insert(task.id.clone());
            if let Some(node) = &task.state.node_id {
                self.by_node.entry(node.clone()).or_default().insert(task.id.clone());
            }
        }
        self.tasks.insert(task.id.clone(), task);
    }

    fn remove(&mut self, id: &TaskId) -> Option<Arc<Task>> {
        let task = self.tasks.remove(id)?;
        remove_from(&mut self.by_service, &task.state.service_id, id);
        if let Some(node) = &task.state.node_id {
            remove_from(&mut self.by_node, node, id);
        }
        Some(task)
    }

    fn objects(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    fn changed(task: &Task, known: Option<&Arc<Task>>) -> Event {
        let TaskRecord { service_id, node_id, .. } = &task.state;
        Event::Work(WorkEvent::TaskChanged {
            task: task.id.clone(),
            service: service_id.clone(),
            node: node_id.clone(),
            before: known.map(|known| phase(known)),
            now: phase(task),
        })
    }

    fn removed(task: Arc<Task>) -> Event {
        Event::Work(WorkEvent::TaskRemoved(task))
    }
}

/// What changes of a task: all else is copied from its service when it is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskAmendment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_id: Option<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    desired: Option<TaskState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<TaskStatus>,
}

impl Amendment<Task> for TaskAmendment {
    fn between(known: &Task, task: &Task) -> Option<Self> {
        let (before, now) = (&known.state, &task.state);
        let is_taken_back = now.node_id.is_none() && before.node_id.is_some();
        let is_small = is_made_alike(known, task) && !is_taken_back;
        is_small.then(|| Self {
            node_id: now.node_id.clone().filter(|_| now.node_id != before.node_id),
            desired: (now.desired != before.desired).then_some(now.desired),
            status: (now.status != before.status).then(|| now.status.clone()),
        })
    }

    fn apply(self, task: &mut Task) {
        let record = &mut task.state;
        record.node_id = self.node_id.or_else(|| record.node_id.take());
        record.desired = self.desired.unwrap_or(record.desired);
        if let Some(status) = self.status {
            record.status = status;
        }
    }
}

/// Whether all is the same that an amendment does not name.
fn is_made_alike(known: &Task, task: &Task) -> bool {
    let TaskRecord {
        service_id,
        service_name,
        service_labels,
        spec_revision,
        slot,
        job_iteration,
        node_id: _,
        desired: _,
        status: _,
        ports,
        log_driver,
        registry_auth,
    } = &known.state;
    let now = &task.state;
    (service_id, service_name, service_labels) == (&now.service_id, &now.service_name, &now.service_labels)
        && (spec_revision, slot, job_iteration) == (&now.spec_revision, &now.slot, &now.job_iteration)
        && (ports, log_driver, registry_auth) == (&now.ports, &now.log_driver, &now.registry_auth)
        && known.spec == task.spec
}

fn phase(task: &Task) -> TaskPhase {
    TaskPhase { observed: task.state.status.state, desired: task.state.desired }
}

/// Looking tasks up.
impl Snapshot {
    /// A task by its id.
    pub fn task(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.tables().tasks.tasks.get(id)
    }

    /// All tasks, in the order of their ids.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tables().tasks.tasks.values()
    }

    /// The tasks of a service, those that have ended too.
    pub fn tasks_of_service(&self, service: &ServiceId) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks_in(self.tables().tasks.by_service.get(service))
    }

    /// The tasks of a node, those that have ended too.
    pub fn tasks_of_node(&self, node: &NodeId) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks_in(self.tables().tasks.by_node.get(node))
    }

    fn tasks_in<'s>(&'s self, ids: Option<&'s OrdSet<TaskId>>) -> impl Iterator<Item = &'s Arc<Task>> {
        ids.into_iter().flatten().filter_map(|id| self.task(id))
    }
}

/// Changing tasks.
impl Transaction {
    /// Adds a task. Version and times are set by the store.
    ///
    /// # Errors
    /// There is a task of this id.
    pub fn create_task(&mut self, task: Task) -> Result<(), SwarmError> {
        self.create::<TaskTable>(task)
    }

    /// Changes a task. A change that changes nothing is none. Neither the observed nor the wanted state goes back: such a
    /// change is refused. Since when the task runs is noted here, whatever the change says of it.
    ///
    /// # Errors
    /// There is no such task, or one of its states would go back.
    pub fn update_task(&mut self, id: &TaskId, change: impl FnOnce(&mut Task)) -> Result<(), SwarmError> {
        let now = self.time();
        self.update_checked::<TaskTable>(id, |task| {
            let before = (task.state.status.state, task.state.desired);
            let known = task.state.status.running_since;
            change(task);
            let began =
                || (task.state.status.state == TaskState::Running && before.0 < TaskState::Running).then_some(now);
            task.state.status.running_since = known.or_else(began);
            let after = (task.state.status.state, task.state.desired);
            if after.0 < before.0 || after.1 < before.1 {
                return Err(SwarmError::internal(format!("task {id} cannot go back from {before:?} to {after:?}")));
            }
            Ok(())
        })
    }

    /// Removes a task.
    ///
    /// # Errors
    /// There is no such task.
    pub fn remove_task(&mut self, id: &TaskId) -> Result<(), SwarmError> {
        self.remove::<TaskTable>(id)
    }
}

fn is_indexed_alike(known: &Task, task: &Task) -> bool {
    known.state.service_id == task.state.service_id && known.state.node_id == task.state.node_id
}
