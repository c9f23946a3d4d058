//! A task: one attempt at a slot of a service, bound to one node for its life, and never run again.
//!
//! ```text
//! new ─> pending ─> assigned ─> accepted ─> preparing ─> ready ─> starting ─> running ─> complete | shutdown | failed
//!  │        │          └──────────── the node's agent ──────────────────────────────────────────┘     or rejected
//!  orchestrator, allocator, scheduler                                  remove: wanted only;   orphaned: its node is lost
//! ```
//! The observed state never goes back, and neither does the wanted one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Driver, Meta, NodeId, PortConfig, Secret, Service, ServiceId, TaskId, TaskSpec};

/// A task as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Version and times.
    pub meta: Meta,
    /// What it is, copied from its service; never changed.
    pub spec: TaskSpec,
    /// Where it comes from and where it belongs; never changed but for the node that is chosen once.
    pub state: TaskRecord,
}

/// What the managers know of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Its service.
    pub service_id: ServiceId,
    /// The service's name when the task was made: containers are named by it.
    pub service_name: String,
    /// The service's labels when the task was made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_labels: BTreeMap<String, String>,
    /// Which of the service's specs it was made of.
    pub spec_revision: u64,
    /// Its numbered place, from 1; 0 where places are nodes, as in a global service.
    pub slot: u64,
    /// The iteration of its job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_iteration: Option<u64>,
    /// Its node, once one is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
    /// The state that is wanted.
    pub desired: TaskState,
    /// What was observed last.
    pub status: TaskStatus,
    /// The ports that its service publishes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
    /// Who keeps its logs: its spec's driver, or the swarm's default when the task was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<Driver>,
    /// What its image is pulled with: its service's, when the task was made. Nobody is shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_auth: Option<Secret>,
}

impl Task {
    /// A task of a service's spec as it is now, for a numbered place (0 where places are nodes): New at that moment, without
    /// a node, wanted to run, or to complete where the service is a job. Version and times are the store's to set.
    pub fn of(service: &Service, id: TaskId, slot: u64, at: Timestamp) -> Self {
        let spec = service.spec.task_template.clone();
        let job_iteration = service.job_iteration();
        let state = TaskRecord {
            service_id: service.id.clone(),
            service_name: service.spec.name.clone(),
            service_labels: service.spec.labels.clone(),
            spec_revision: service.state.spec_revision,
            slot,
            job_iteration,
            node_id: None,
            desired: if job_iteration.is_some() { TaskState::Complete } else { TaskState::Running },
            status: TaskStatus::new(TaskState::New, "created", at),
            ports: service.spec.ports().to_vec(),
            log_driver: spec.log_driver.clone(),
            registry_auth: service.state.registry_auth.clone(),
        };
        Self { id, meta: Meta::default(), spec, state }
    }

    /// The name of its container: `service.slot.task`, or `service.node.task` where places are nodes.
    pub fn container_name(&self) -> String {
        let TaskRecord { service_name, slot, node_id, .. } = &self.state;
        match node_id {
            Some(node) if *slot == 0 => format!("{service_name}.{node}.{}", self.id),
            Some(_) | None => format!("{service_name}.{slot}.{}", self.id),
        }
    }
}

/// How far a task has come; the order is the meaning, and the names are Docker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// Made by an orchestrator.
    New,
    /// It has what it needs, but no node.
    Pending,
    /// A node is chosen.
    Assigned,
    /// The node has it.
    Accepted,
    /// The node fetches the image and makes the container.
    Preparing,
    /// The container waits to be started.
    Ready,
    /// It is being started; where it is asked for its health, until it is well.
    Starting,
    /// It runs.
    Running,
    /// It ended well by itself.
    Complete,
    /// It was ended.
    Shutdown,
    /// It ended badly.
    Failed,
    /// The node cannot run it.
    Rejected,
    /// It is to be forgotten; a wish only.
    Remove,
    /// Its node was lost for too long.
    Orphaned,
}

impl TaskState {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Remove => "remove",
            Self::Orphaned => "orphaned",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [TaskState; 14] = [
            TaskState::New,
            TaskState::Pending,
            TaskState::Assigned,
            TaskState::Accepted,
            TaskState::Preparing,
            TaskState::Ready,
            TaskState::Starting,
            TaskState::Running,
            TaskState::Complete,
            TaskState::Shutdown,
            TaskState::Failed,
            TaskState::Rejected,
            TaskState::Remove,
            TaskState::Orphaned,
        ];
        ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether it has ended, whichever way.
    pub fn is_terminal(self) -> bool {
        self > Self::Running
    }
}

/// What was observed of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// How far it has come.
    pub state: TaskState,
    /// When that was observed, by the observer's clock.
    pub timestamp: Timestamp,
    /// When the leader took note of it, by the leader's clock: what histories go by.
    pub applied_at: Timestamp,
    /// When the leader took note that it runs, by its clock; it stays when the task has ended. Set by the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// Docker's words for it ("started", "preparing").
    pub message: String,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub err: String,
    /// Its container, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerStatus>,
    /// The ports that its node published for it alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
}

impl TaskStatus {
    /// A state with its words, observed and noted at one moment.
    pub fn new(state: TaskState, message: impl Into<String>, at: Timestamp) -> Self {
        Self {
            state,
            timestamp: at,
            applied_at: at,
            running_since: None,
            message: message.into(),
            err: String::new(),
            container: None,
            ports: Vec::new(),
        }
    }
}

/// The container of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its id.
    pub container_id: String,
    /// Its first process; 0 when it does not run.
    pub pid: u32,
    /// What that process said at its end; -1 where nobody knows.
    pub exit_code: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_ordered_and_read_back_by_name() {
        let check = |earlier: TaskState, later: TaskState| assert!(earlier < later, "{earlier:?} {later:?}");
        check(TaskState::New, TaskState::Pending);
        check(TaskState::Running, TaskState::Complete);
        check(TaskState::Shutdown, TaskState::Failed);
        check(TaskState::Failed, TaskState::Rejected);
        check(TaskState::Remove, TaskState::Orphaned);
        for state in [TaskState::Starting, TaskState::Orphaned] {
            assert_eq!(TaskState::from_name(state.as_str()), Some(state));
        }
        assert_eq!(TaskState::from_name("dead"), None);
    }
}
