//! What an agent asks of whoever runs containers, and where it keeps its tasks: the contracts.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::Stream;
use jiff::Timestamp;
use model::{ContainerStatus, LogEntry, PortConfig, SwarmError, Task, TaskId, TaskStatus};
use serde::{Deserialize, Serialize};

use crate::peers::PeerImages;

/// Runs the containers of tasks.
pub trait Executor: Debug + Send + Sync {
    /// What runs this task's container, whether or not there is one already. Starts nothing.
    fn controller(&self, task: &Task) -> Arc<dyn Controller>;

    /// From now on images may be had from these nodes as well. One that needs no images does nothing of it.
    fn meet(&self, _peers: PeerImages) {}
}

/// Runs the container of one task.
///
/// Every method may be dropped before it is done, and called again, also by another process after this one was killed:
/// what is done already is not done twice.
#[async_trait]
pub trait Controller: Debug + Send + Sync {
    /// Fetches the image and makes the container; on return it can be started.
    async fn prepare(&self) -> Result<(), TaskFailure>;

    /// Starts the container; returns once it runs, and is well where it is asked for its health.
    async fn start(&self) -> Result<(), TaskFailure>;

    /// Waits until the container has ended: well, or with the reason why it has not.
    async fn wait(&self) -> Result<(), TaskFailure>;

    /// Ends the container, if there is one: by the signal it asks for, and by force once its grace is over.
    async fn shutdown(&self) -> Result<(), TaskFailure>;

    /// Removes the container and all that came with it; on return nothing is left of the task here.
    async fn remove(&self) -> Result<(), TaskFailure>;

    /// The container, once there is one, and the ports that are published for it on this node alone.
    async fn observe(&self) -> (Option<ContainerStatus>, Vec<PortConfig>);

    /// Reads what the container has written; nothing where there is no container. With `follow`, waits until it was
    /// started, and goes on until it has ended. Dropping what is returned ends the reading; not reading on holds up
    /// nobody else.
    async fn logs(&self, query: LogQuery) -> Result<TaskLog, TaskFailure>;
}

/// Which part of a task's output is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// What is written later, too.
    pub follow: bool,
    /// What was written to standard output, or to a terminal.
    pub stdout: bool,
    /// What was written to standard error.
    pub stderr: bool,
    /// Only so many lines from the end; all if absent.
    pub tail: Option<u64>,
    /// Only what was written then or later.
    pub since: Option<Timestamp>,
}

/// What a task has written, in its order; long lines may come in pieces of at least 16 KiB. An error is the last item.
pub type TaskLog = Pin<Box<dyn Stream<Item = Result<LogEntry, TaskFailure>> + Send>>;

/// Why a step of a task failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TaskFailure {
    /// What operators read in `docker service ps`.
    pub message: String,
    /// Another try may help: the task is not lost by it.
    pub is_temporary: bool,
}

impl TaskFailure {
    /// A failure that ends the task.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_temporary: false }
    }

    /// A failure after which the step is tried again.
    pub fn temporary(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_temporary: true }
    }
}

/// A task as a node keeps it: what it is, and how far it has come here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptTask {
    /// The task, with what was wanted of it last.
    pub task: Task,
    /// What was observed last.
    pub status: TaskStatus,
}

/// Keeps a node's tasks over restarts of the agent, so that it goes on with them before any manager answers.
///
/// A record that is lost or damaged is as if the task had never been here: the managers name it again.
#[async_trait]
pub trait TaskKeeper: Debug + Send + Sync {
    /// All tasks that are kept.
    async fn load(&self) -> Vec<KeptTask>;

    /// Keeps a task, in place of what was kept of it; a crash leaves the one or the other.
    async fn keep(&self, task: &KeptTask) -> Result<(), SwarmError>;

    /// Keeps nothing of a task any more.
    async fn forget(&self, task: &TaskId) -> Result<(), SwarmError>;
}
