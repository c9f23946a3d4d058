//! An executor without containers: what each would do is told by the test, and what was asked of it is kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::stream;
use model::{ContainerStatus, LogEntry, PortConfig, SwarmError, Task, TaskId};
use tokio::sync::watch;

use crate::{Controller, Executor, KeptTask, LogQuery, TaskFailure, TaskKeeper, TaskLog};

/// How a container is, and how it is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Container {
    None,
    Made,
    Running,
    Ended(i32),
}

/// Containers by task; shared by all controllers, as the containers of a machine are.
#[derive(Debug, Default)]
pub(super) struct Machine {
    containers: Mutex<BTreeMap<TaskId, watch::Sender<Container>>>,
    /// What each has written.
    written: Mutex<BTreeMap<TaskId, watch::Sender<Vec<LogEntry>>>>,
    /// What preparing fails with.
    pub(super) refusal: Mutex<Option<TaskFailure>>,
    /// How often it failed so.
    pub(super) refused: AtomicU32,
    /// What was done, in order.
    pub(super) done: Mutex<Vec<&'static str>>,
}

impl Machine {
    pub(super) fn container(&self, task: &TaskId) -> watch::Sender<Container> {
        let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        containers.entry(task.clone()).or_insert_with(|| watch::Sender::new(Container::None)).clone()
    }

    pub(super) fn written(&self, task: &TaskId) -> watch::Sender<Vec<LogEntry>> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.entry(task.clone()).or_default().clone()
    }

    fn note(&self, what: &'static str) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// Hands out controllers of a machine.
#[derive(Debug)]
pub(super) struct MachineExecutor(pub(super) Arc<Machine>);

impl Executor for MachineExecutor {
    fn controller(&self, task: &Task) -> Arc<dyn Controller> {
        let (container, written) = (self.0.container(&task.id), self.0.written(&task.id));
        Arc::new(MachineController { machine: Arc::clone(&self.0), container, written })
    }
}

#[derive(Debug)]
struct MachineController {
    machine: Arc<Machine>,
    container: watch::Sender<Container>,
    written: watch::Sender<Vec<LogEntry>>,
}

#[async_trait]
impl Controller for MachineController {
    async fn prepare(&self) -> Result<(), TaskFailure> {
        if let Some(failure) = self.machine.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            self.machine.refused.fetch_add(1, Ordering::Relaxed);
            return Err(failure);
        }
        self.machine.note("prepare");
        self.container.send_replace(Container::Made);
        Ok(())
    }

    async fn start(&self) -> Result<(), TaskFailure> {
        self.machine.note("start");
        self.container.send_replace(Container::Running);
        Ok(())
    }

    async fn wait(&self) -> Result<(), TaskFailure> {
        let mut container = self.container.subscribe();
        let ended = container.wait_for(|container| *container != Container::Running).await;
        match *ended.expect("the sender lives as long as this controller") {
            Container::Ended(0) => Ok(()),
            Container::Ended(code) => Err(TaskFailure::fatal(format!("task: non-zero exit ({code})"))),
            Container::None | Container::Made | Container::Running => Err(TaskFailure::fatal("there is no container")),
        }
    }

    async fn shutdown(&self) -> Result<(), TaskFailure> {
        self.machine.note("shutdown");
        self.container.send_if_modified(|container| {
            let is_running = *container == Container::Running;
            if is_running {
                *container = Container::Ended(143);
            }
            is_running
        });
        Ok(())
    }

    async fn remove(&self) -> Result<(), TaskFailure> {
        self.machine.note("remove");
        self.container.send_replace(Container::None);
        Ok(())
    }

    async fn observe(&self) -> (Option<ContainerStatus>, Vec<PortConfig>) {
        let container = self.container.borrow().clone();
        let status = |exit_code| ContainerStatus { container_id: "c".to_owned(), pid: 0, exit_code };
        let status = match container {
            Container::None => None,
            Container::Made | Container::Running => Some(status(0)),
            Container::Ended(code) => Some(status(code)),
        };
        (status, Vec::new())
    }

    async fn logs(&self, query: LogQuery) -> Result<TaskLog, TaskFailure> {
        let (mut container, mut written) = (self.container.subscribe(), self.written.subscribe());
        let is_unstarted = |container: &Container| *container == Container::Made;
        if query.follow {
            container.wait_for(|container| !is_unstarted(container)).await.expect("the sender lives as long as this");
        }
        let length = written.borrow_and_update().len();
        let first = query.tail.map_or(0, |tail| length - length.min(usize::try_from(tail).unwrap()));
        let reading = (first, container, written);
        Ok(Box::pin(stream::unfold(reading, move |(mut at, mut container, mut written)| async move {
            loop {
                let is_over = !query.follow || *container.borrow_and_update() != Container::Running;
                let entry = written.borrow_and_update().get(at).cloned();
                if let Some(entry) = entry {
                    at += 1;
                    if query.since.is_none_or(|since| entry.time >= since) {
                        return Some((Ok(entry), (at, container, written)));
                    }
                    continue;
                }
                if is_over {
                    return None;
                }
                tokio::select! {
                    changed = written.changed() => changed.ok()?,
                    changed = container.changed() => changed.ok()?,
                }
            }
        })))
    }
}

/// Keeps tasks in memory, as a disk would over restarts of the agent.
#[derive(Debug, Default)]
pub(super) struct MemoryKeeper(Mutex<BTreeMap<TaskId, KeptTask>>);

impl MemoryKeeper {
    pub(super) fn tasks(&self) -> Vec<TaskId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

#[async_trait]
impl TaskKeeper for MemoryKeeper {
    async fn load(&self) -> Vec<KeptTask> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    async fn keep(&self, task: &KeptTask) -> Result<(), SwarmError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task.task.id.clone(), task.clone());
        Ok(())
    }

    async fn forget(&self, task: &TaskId) -> Result<(), SwarmError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
        Ok(())
    }
}
