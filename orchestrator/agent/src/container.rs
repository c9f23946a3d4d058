//! Runs tasks in the containers of this node: the executor that nodes have.
//!
//! A task finds its container by its name and by the label that holds its id, so that every step can be repeated, by
//! another process too. An image that is here is used as it is; one that is not comes from its registry or from another
//! node (`task_image`).

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use engine::{
    ContainerError, ContainerState, Containers, CreateRequest, Engine, HealthStatus, InvalidSettings, PublishedPort,
    StopRequest, TaskNode, task_container,
};
use futures_util::stream;
use image::Credentials;
use model::{ContainerStatus, LogEntry, LogStream, PortConfig, Task, with_causes};
use runtime::{LogReader, Stream};

use crate::controller::{Controller, Executor, LogQuery, TaskFailure, TaskLog};
use crate::peers::PeerImages;
use crate::task_image::TaskImage;

/// Docker's words for a container that does not answer well.
const UNHEALTHY: &str = "dockerexec: unhealthy container";

/// Runs tasks in the containers of this node.
#[derive(Debug)]
pub struct ContainerExecutor {
    engine: Arc<Engine>,
    /// The other nodes of the swarm that this one is in.
    peers: Arc<Mutex<Option<PeerImages>>>,
}

impl ContainerExecutor {
    /// Runs tasks in the containers of this engine. Starts nothing.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, peers: Arc::default() }
    }
}

impl Executor for ContainerExecutor {
    fn controller(&self, task: &Task) -> Arc<dyn Controller> {
        let (engine, peers) = (Arc::clone(&self.engine), Arc::clone(&self.peers));
        Arc::new(ContainerController { engine, peers, name: task.container_name(), task: task.clone() })
    }

    fn meet(&self, peers: PeerImages) {
        *self.peers.lock().unwrap_or_else(PoisonError::into_inner) = Some(peers);
    }
}

/// Runs the container of one task.
#[derive(Debug)]
struct ContainerController {
    engine: Arc<Engine>,
    peers: Arc<Mutex<Option<PeerImages>>>,
    name: String,
    task: Task,
}

impl ContainerController {
    fn containers(&self) -> &Containers {
        self.engine.containers()
    }

    fn request(&self) -> Result<CreateRequest, TaskFailure> {
        let node = self.task.state.node_id.clone().ok_or_else(|| TaskFailure::fatal("the task has no node"))?;
        let platform = self.engine.facts().platform;
        let node = TaskNode { id: node, hostname: self.engine.hostname().to_owned(), platform };
        task_container(&self.task, &node).map_err(|InvalidSettings(reason)| TaskFailure::fatal(reason))
    }

    fn credentials(&self) -> Result<Credentials, TaskFailure> {
        let header = self.task.state.registry_auth.as_ref().map_or("", |auth| auth.expose());
        Credentials::from_header(header).map_err(|error| TaskFailure::fatal(error.to_string()))
    }

    /// Waits until the container has come to a state, or is gone, and gives the last one.
    async fn until(&self, is_met: impl FnMut(&ContainerState) -> bool) -> Result<ContainerState, TaskFailure> {
        let mut states = self.containers().watch(&self.name).map_err(|error| failure(&error))?;
        // Closed where the container is gone: its last state stays.
        let _ = states.wait_for(is_met).await;
        let state = states.borrow().clone();
        Ok(state)
    }

    async fn end_unhealthy(&self) -> TaskFailure {
        match self.containers().stop(&self.name, &StopRequest::default()).await {
            Ok(_) | Err(ContainerError::NoSuchContainer(_)) => TaskFailure::fatal(UNHEALTHY),
            Err(error) => TaskFailure::temporary(with_causes(&error)),
        }
    }
}

#[async_trait]
impl Controller for ContainerController {
    async fn prepare(&self) -> Result<(), TaskFailure> {
        let request = self.request()?;
        let image = TaskImage {
            images: self.engine.images(),
            peers: self.peers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            task: &self.task.id,
            name: &request.config.image,
        };
        Box::pin(image.ensure(&self.credentials()?)).await?;
        self.containers().ensure(&self.name, request).await.map(drop).map_err(|error| failure(&error))
    }

    async fn start(&self) -> Result<(), TaskFailure> {
        // What has run is not run again: its end is what the next step finds.
        self.containers().start_once(&self.name).await.map_err(|error| failure(&error))?;
        let is_settled = |state: &ContainerState| {
            let is_starting = state.health.as_ref().is_some_and(|health| health.status == HealthStatus::Starting);
            !(state.status.is_running() && is_starting)
        };
        let state = self.until(is_settled).await?;
        if is_unhealthy(&state) {
            return Err(self.end_unhealthy().await);
        }
        Ok(())
    }

    async fn wait(&self) -> Result<(), TaskFailure> {
        let state = self.until(|state| !state.status.is_running() || is_unhealthy(state)).await?;
        if state.status.is_running() {
            return Err(self.end_unhealthy().await);
        }
        match (state.exit_code, state.error.as_str()) {
            (0, "") => Ok(()),
            (_, error) if !error.is_empty() => Err(TaskFailure::fatal(error)),
            (code, _) if state.oom_killed => {
                Err(TaskFailure::fatal(format!("task: non-zero exit ({code}): out of memory")))
            }
            (code, _) => Err(TaskFailure::fatal(format!("task: non-zero exit ({code})"))),
        }
    }

    async fn shutdown(&self) -> Result<(), TaskFailure> {
        match self.containers().stop(&self.name, &StopRequest::default()).await {
            Ok(_) | Err(ContainerError::NoSuchContainer(_)) => Ok(()),
            Err(error) => Err(failure(&error)),
        }
    }

    async fn remove(&self) -> Result<(), TaskFailure> {
        match self.containers().remove(&self.name, true, true).await {
            Ok(()) | Err(ContainerError::NoSuchContainer(_)) => Ok(()),
            Err(error) => Err(failure(&error)),
        }
    }

    async fn observe(&self) -> (Option<ContainerStatus>, Vec<PortConfig>) {
        let Ok(view) = self.containers().find(&self.name) else { return (None, Vec::new()) };
        let status = ContainerStatus {
            container_id: view.record.id.clone(),
            pid: view.state.pid,
            exit_code: view.state.exit_code,
        };
        let is_running = view.state.status.is_running();
        (Some(status), view.state.ports().filter(|_| is_running).map(published).collect())
    }

    async fn logs(&self, query: LogQuery) -> Result<TaskLog, TaskFailure> {
        if query.follow && self.containers().find(&self.name).is_ok() {
            self.until(|state| state.status != engine::ContainerStatus::Created).await?;
        }
        match self.containers().logs(&self.name, part(query)) {
            Ok(Some(reader)) => Ok(entries(reader)),
            Ok(None) | Err(ContainerError::NoSuchContainer(_)) => Ok(Box::pin(stream::empty())),
            Err(error) => Err(failure(&error)),
        }
    }
}

/// A port as managers are told of it.
fn published(port: &PublishedPort) -> PortConfig {
    PortConfig {
        name: String::new(),
        protocol: port.protocol.as_str().to_owned(),
        target_port: port.target_port.into(),
        published_port: port.host_port.into(),
        publish_mode: "host".to_owned(),
    }
}

/// The part of a log in the runtime's words.
fn part(query: LogQuery) -> runtime::LogQuery {
    let stream = match (query.stdout, query.stderr) {
        (true, false) => Some(Stream::Stdout),
        (false, true) => Some(Stream::Stderr),
        (true, true) | (false, false) => None,
    };
    let tail = query.tail.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX));
    runtime::LogQuery { tail, since: query.since, until: None, stream, follow: query.follow }
}

/// What a reader reads, up to its first failure.
fn entries(reader: LogReader) -> TaskLog {
    Box::pin(stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await? {
            Ok(entry) => {
                let stream = match entry.stream {
                    Stream::Stdout => LogStream::Stdout,
                    Stream::Stderr => LogStream::Stderr,
                };
                Some((Ok(LogEntry { time: entry.time, stream, text: entry.text }), Some(reader)))
            }
            Err(error) => Some((Err(TaskFailure::fatal(with_causes(&error))), None)),
        }
    }))
}

fn is_unhealthy(state: &ContainerState) -> bool {
    state.health.as_ref().is_some_and(|health| health.status == HealthStatus::Unhealthy)
}

/// A failure of the engine: one that is about the machine rather than the task may pass.
fn failure(error: &ContainerError) -> TaskFailure {
    let is_temporary = matches!(error, ContainerError::Closed);
    TaskFailure { message: with_causes(error), is_temporary }
}
