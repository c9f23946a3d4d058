//! What the managers give a node to do, and what it says of it.
//!
//! A stream begins with a complete set, which may come in several messages; from then on it tells what changed. Each
//! message names the set that it applies to and the one that it makes of it, so that a gap is noticed.

use serde::{Deserialize, Serialize};

use crate::{SessionId, Task, TaskId, TaskStatus};

/// Asks for a node's tasks, as part of its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentsRequest {
    /// The session.
    pub session_id: SessionId,
}

/// A step of a node's set of tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssignmentsMessage {
    /// The set that it applies to; 0 is the empty one before the first message.
    pub applies_to: u64,
    /// The set that it makes.
    pub results_in: u64,
    /// More of the complete set follows: until then nothing may be missed.
    pub is_continued: bool,
    /// The changes.
    pub changes: Vec<AssignmentChange>,
}

/// A change of a node's set of tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssignmentChange {
    /// The task is there, and this is wanted of it.
    Update(Box<Task>),
    /// The task is to be forgotten, with all that is left of it.
    Remove(TaskId),
}

/// What a node observed of its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReports {
    /// The session.
    pub session_id: SessionId,
    /// One a task.
    pub reports: Vec<TaskReport>,
}

/// What a node observed of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// The task.
    pub task_id: TaskId,
    /// What was observed; the leader notes when it heard of it.
    pub status: TaskStatus,
}
