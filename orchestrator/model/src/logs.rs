//! What tasks have written, on its way from the nodes that keep it to whoever reads it.
//!
//! ```text
//! reader ── LogRequest ──> leader ── LogOrder ──> node
//!        <── LogMessage ──        <── LogBatch ──
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{NodeId, ServiceId, TaskId};

/// Whose output is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTarget {
    /// That of all tasks of a service, those that have ended and are still kept too.
    Service(ServiceId),
    /// That of one task.
    Task(TaskId),
}

/// Which part of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSelection {
    /// What is written later, too.
    pub follow: bool,
    /// What was written to standard output, or to a terminal.
    pub stdout: bool,
    /// What was written to standard error.
    pub stderr: bool,
    /// Only so many lines from the end of each task's output; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Only what was written then or later, by the node's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// Asks the leader for output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// Whose.
    pub target: LogTarget,
    /// Which part.
    pub selection: LogSelection,
    /// The moment of the last line that the reader has of a task: it is gone on with behind it. Empty at first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<TaskId, Timestamp>,
}

/// Which stream of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line, with its end where the program wrote one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it was written, by the node's clock.
    pub time: Timestamp,
    /// Where to.
    pub stream: LogStream,
    /// What was written.
    pub text: String,
}

/// One line, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The node that keeps it.
    pub node: NodeId,
    /// The task's service.
    pub service: ServiceId,
    /// The task that wrote it.
    pub task: TaskId,
    /// What it wrote.
    pub entry: LogEntry,
}

/// What a reader is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogMessage {
    /// Lines, in the order in which they are to be shown.
    Lines(Vec<LogLine>),
    /// The last message of output that is not whole: why, in Docker's words.
    Incomplete(String),
}

/// Names one reader's subscription to output, in one term of the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogSubscriptionId(pub u64);

/// What the leader tells a node that listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogOrder {
    /// Read the output of these tasks; more of a subscription may be told later.
    Read {
        /// For whom.
        subscription: LogSubscriptionId,
        /// Which listening of the node it was told in: what is published names it.
        listening: u64,
        /// Whether to go on until the containers have ended, also where they are not started yet.
        follow: bool,
        /// Standard output is wanted.
        stdout: bool,
        /// Standard error is wanted.
        stderr: bool,
        /// The tasks.
        tasks: Vec<TaskLogOrder>,
    },
    /// Nobody reads any more.
    Close {
        /// Who has read.
        subscription: LogSubscriptionId,
    },
}

/// Which part of a task's output a node is to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLogOrder {
    /// The task.
    pub task: TaskId,
    /// Only so many lines from the end; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Only what was written then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What a node publishes for a subscription: lines first, then ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBatch {
    /// For whom.
    pub subscription: LogSubscriptionId,
    /// Which listening of the node it answers to.
    pub listening: u64,
    /// Lines, in each task's order.
    pub entries: Vec<(TaskId, LogEntry)>,
    /// Tasks of which nothing more comes.
    pub ended: Vec<TaskLogEnd>,
}

/// That nothing more comes of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLogEnd {
    /// The task.
    pub task: TaskId,
    /// Why its output could not be read to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
