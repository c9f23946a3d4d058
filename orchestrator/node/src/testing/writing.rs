//! Tasks that run without containers: each runs until it is told to stop, and writes what a test has it write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use agent::{Controller, Executor, LogQuery, TaskFailure, TaskLog};
use async_trait::async_trait;
use futures_util::stream;
use jiff::Timestamp;
use model::{Caller, ContainerStatus, LogEntry, LogRequest, LogStream, PortConfig, SwarmError, Task, TaskId};
use tokio::sync::watch;

use super::{Lab, LabNode};
use crate::LogMessages;

/// The tasks of one node.
#[derive(Debug, Clone, Default)]
pub struct WritingTasks(Arc<Mutex<BTreeMap<TaskId, watch::Sender<Written>>>>);

/// A task, and what it has written.
#[derive(Debug, Clone, Default)]
struct Written {
    is_running: bool,
    entries: Vec<LogEntry>,
}

impl WritingTasks {
    /// The tasks that run.
    pub fn running(&self) -> Vec<TaskId> {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().filter(|(_, task)| task.borrow().is_running).map(|(id, _)| id.clone()).collect()
    }

    /// A task writes a line now.
    pub fn write(&self, task: &TaskId, text: &str) {
        let entry = LogEntry { time: Timestamp::now(), stream: LogStream::Stdout, text: text.to_owned() };
        self.task(task).send_modify(|task| task.entries.push(entry));
    }

    fn task(&self, task: &TaskId) -> watch::Sender<Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(task.clone()).or_default().clone()
    }
}

impl Executor for WritingTasks {
    fn controller(&self, task: &Task) -> Arc<dyn Controller> {
        Arc::new(WritingTask(self.task(&task.id)))
    }
}

#[derive(Debug)]
struct WritingTask(watch::Sender<Written>);

#[async_trait]
impl Controller for WritingTask {
    async fn prepare(&self) -> Result<(), TaskFailure> {
        Ok(())
    }

    async fn start(&self) -> Result<(), TaskFailure> {
        self.0.send_modify(|task| task.is_running = true);
        Ok(())
    }

    async fn wait(&self) -> Result<(), TaskFailure> {
        let mut task = self.0.subscribe();
        let ended = task.wait_for(|task| !task.is_running).await;
        ended.map(drop).map_err(|error| TaskFailure::fatal(error.to_string()))
    }

    async fn shutdown(&self) -> Result<(), TaskFailure> {
        self.0.send_modify(|task| task.is_running = false);
        Ok(())
    }

    async fn remove(&self) -> Result<(), TaskFailure> {
        self.shutdown().await
    }

    async fn observe(&self) -> (Option<ContainerStatus>, Vec<PortConfig>) {
        (None, Vec::new())
    }

    async fn logs(&self, query: LogQuery) -> Result<TaskLog, TaskFailure> {
        let mut task = self.0.subscribe();
        let length = task.borrow_and_update().entries.len();
        let tail = query.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(length);
        let reading = (length.saturating_sub(tail), task);
        Ok(Box::pin(stream::unfold(reading, move |(mut at, mut task)| async move {
            loop {
                let (entry, is_running) = {
                    let task = task.borrow_and_update();
                    (task.entries.get(at).cloned(), task.is_running)
                };
                match entry {
                    Some(entry) => {
                        at += 1;
                        if query.since.is_none_or(|since| entry.time >= since) {
                            return Some((Ok(entry), (at, task)));
                        }
                    }
                    None if query.follow && is_running => task.changed().await.ok()?,
                    None => return None,
                }
            }
        })))
    }
}

impl Lab {
    /// A swarm of `managers` and `workers` from bootstrap files, all started at once, whose tasks write.
    pub fn writing(managers: usize, workers: usize) -> (Self, Vec<WritingTasks>) {
        let tasks: Vec<_> = (0..managers + workers).map(|_| WritingTasks::default()).collect();
        let executors = tasks.clone();
        let lab = Self::swarm_with(managers, workers, |number| Some(Arc::new(executors[number].clone())));
        (lab, tasks)
    }
}

impl LabNode {
    /// `docker service logs` through this node.
    ///
    /// # Errors
    /// The swarm's refusal.
    pub async fn logs(&self, request: LogRequest) -> Result<LogMessages, SwarmError> {
        let node = self.node();
        let caller = Caller::Client { name: "laboratory".to_owned() };
        self.on_its_own_thread(async move { node.manager()?.logs(caller, request).await }).await
    }
}
