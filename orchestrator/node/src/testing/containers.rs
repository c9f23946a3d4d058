//! Containers of the laboratory: none runs, but each is made, started and ended as a real one would be, and all of it
//! stays in one history, in the order in which it happened on all nodes.
//!
//! They belong to the machine: they live on when its agent is killed, and the next agent has them. What a container
//! does is said by its image: `exit` ends at once, all others run until they are told to stop.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent::{Controller, Executor, LogQuery, TaskFailure, TaskLog};
use async_trait::async_trait;
use futures_util::stream;
use model::{ContainerStatus, PortConfig, ServiceId, Task, TaskId};
use tokio::sync::watch;
use tokio::time::Instant;

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// It came to run.
    Started,
    /// It runs no more.
    Ended,
    /// Nothing is left of it.
    Removed,
}

/// Something that happened to a container.
#[derive(Debug, Clone)]
pub struct Happened {
    /// The host.
    pub host: String,
    /// Its task.
    pub task: TaskId,
    /// The task's service.
    pub service: ServiceId,
    /// The task's slot.
    pub slot: u64,
    /// What it was.
    pub what: Happening,
    /// When it was.
    pub at: Instant,
}

/// What happened to all containers of a laboratory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<Vec<Happened>>>);

impl History {
    /// All of it, the oldest first.
    pub fn all(&self) -> Vec<Happened> {
        lock(&self.0).clone()
    }

    /// The containers that run now, with their hosts.
    pub fn running(&self) -> Vec<Happened> {
        let mut running = BTreeMap::new();
        for happened in self.all() {
            match happened.what {
                Happening::Started => drop(running.insert((happened.host.clone(), happened.task.clone()), happened)),
                Happening::Ended | Happening::Removed => drop(running.remove(&(happened.host, happened.task))),
            }
        }
        running.into_values().collect()
    }

    /// Every breach of what holds in any history: a task's container is started once, on one node; and, unless nodes were
    /// lost, one slot never has two that run.
    pub fn breaches(&self, were_nodes_lost: bool) -> Vec<String> {
        let mut breaches = Vec::new();
        let mut started: BTreeMap<TaskId, String> = BTreeMap::new();
        let mut slots: BTreeMap<(ServiceId, u64), TaskId> = BTreeMap::new();
        for Happened { host, task, service, slot, what, .. } in self.all() {
            let place = (service, slot);
            if what != Happening::Started {
                if slots.get(&place) == Some(&task) {
                    slots.remove(&place);
                }
                continue;
            }
            if let Some(former) = started.insert(task.clone(), host.clone()) {
                breaches.push(format!("task {task} was started on {former} and again on {host}"));
            }
            if let Some(other) = slots.insert(place, task.clone()).filter(|_| !were_nodes_lost) {
                breaches.push(format!("task {task} was started while {other} ran in slot {slot}"));
            }
        }
        breaches
    }

    fn note(&self, host: &str, task: &Task, what: Happening) {
        let (task, service, slot) = (task.id.clone(), task.state.service_id.clone(), task.state.slot);
        lock(&self.0).push(Happened { host: host.to_owned(), task, service, slot, what, at: Instant::now() });
    }
}

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    None,
    Made,
    Running,
    Ended(i32),
}

/// The containers of one machine.
pub(super) struct Machine {
    host: String,
    history: History,
    containers: Mutex<BTreeMap<TaskId, watch::Sender<Phase>>>,
}

impl Machine {
    /// A machine without containers.
    pub(super) fn new(host: String, history: History) -> Arc<Self> {
        Arc::new(Self { host, history, containers: Mutex::default() })
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Machine").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Hands out the containers of a machine.
#[derive(Debug)]
pub(super) struct MachineExecutor(pub(super) Arc<Machine>);

impl Executor for MachineExecutor {
    fn controller(&self, task: &Task) -> Arc<dyn Controller> {
        let mut containers = lock(&self.0.containers);
        let phase = containers.entry(task.id.clone()).or_insert_with(|| watch::Sender::new(Phase::None)).clone();
        drop(containers);
        Arc::new(MachineController { machine: Arc::clone(&self.0), task: task.clone(), phase })
    }
}

#[derive(Debug)]
struct MachineController {
    machine: Arc<Machine>,
    task: Task,
    phase: watch::Sender<Phase>,
}

impl MachineController {
    /// Takes the container from one phase to another and notes it while nobody else can.
    fn step(&self, from: Phase, to: Phase, what: Happening) {
        self.phase.send_if_modified(|phase| {
            let is_there = *phase == from;
            if is_there {
                *phase = to;
                self.machine.history.note(&self.machine.host, &self.task, what);
            }
            is_there
        });
    }

    fn ends_at_once(&self) -> bool {
        self.task.spec.container_spec.as_ref().is_some_and(|container| container.image == "exit")
    }
}

#[async_trait]
impl Controller for MachineController {
    async fn prepare(&self) -> Result<(), TaskFailure> {
        self.phase.send_if_modified(|phase| {
            let is_new = *phase == Phase::None;
            if is_new {
                *phase = Phase::Made;
            }
            is_new
        });
        Ok(())
    }

    async fn start(&self) -> Result<(), TaskFailure> {
        self.step(Phase::Made, Phase::Running, Happening::Started);
        if self.ends_at_once() {
            self.step(Phase::Running, Phase::Ended(1), Happening::Ended);
        }
        Ok(())
    }

    async fn wait(&self) -> Result<(), TaskFailure> {
        let mut phase = self.phase.subscribe();
        let ended = *phase.wait_for(|phase| *phase != Phase::Running).await.expect("this controller holds the sender");
        match ended {
            Phase::Ended(0) => Ok(()),
            Phase::Ended(code) => Err(TaskFailure::fatal(format!("task: non-zero exit ({code})"))),
            Phase::None | Phase::Made | Phase::Running => Err(TaskFailure::fatal("there is no container")),
        }
    }

    async fn shutdown(&self) -> Result<(), TaskFailure> {
        self.step(Phase::Running, Phase::Ended(143), Happening::Ended);
        Ok(())
    }

    async fn remove(&self) -> Result<(), TaskFailure> {
        self.step(Phase::Running, Phase::Ended(137), Happening::Ended);
        let was_there = self.phase.send_replace(Phase::None) != Phase::None;
        if was_there {
            self.machine.history.note(&self.machine.host, &self.task, Happening::Removed);
        }
        lock(&self.machine.containers).remove(&self.task.id);
        Ok(())
    }

    async fn observe(&self) -> (Option<ContainerStatus>, Vec<PortConfig>) {
        let container_id = self.task.id.to_string();
        let status = |exit_code| Some(ContainerStatus { container_id, pid: 0, exit_code });
        let status = match *self.phase.borrow() {
            Phase::None => None,
            Phase::Made | Phase::Running => status(0),
            Phase::Ended(code) => status(code),
        };
        (status, Vec::new())
    }

    async fn logs(&self, _: LogQuery) -> Result<TaskLog, TaskFailure> {
        Ok(Box::pin(stream::empty()))
    }
}

/// Takes a lock; what it guards is valid after every change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
