//! Services and tasks of the swarm in memory: the managers' own rules over a store, and tasks that come to run by
//! themselves where a test wants them to.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use manager::LoneControl;
use model::{ContainerStatus, ControlRequest, NodeId, Service, Task, TaskId, TaskState, TaskStatus};
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::{Snapshot, Store, Transaction};
use tokio::task::JoinSet;

use super::{MemoryNode, id};

/// Whether the request is for the store.
pub(super) fn is_of_services(request: &ControlRequest) -> bool {
    match request {
        ControlRequest::CreateService { .. }
        | ControlRequest::UpdateService { .. }
        | ControlRequest::RemoveService { .. } => true,
        ControlRequest::UpdateSwarm { .. } | ControlRequest::UpdateNode { .. } | ControlRequest::RemoveNode { .. } => {
            false
        }
    }
}

impl MemoryNode {
    /// The services and tasks.
    pub(crate) fn store(&self) -> Store {
        self.work().store().clone()
    }

    /// The service of a name.
    pub(crate) fn service(&self, name: &str) -> Arc<Service> {
        Arc::clone(self.store().view().service_by_name(name).unwrap())
    }

    /// Puts a task of a service into a slot of a node, and returns its id.
    pub(crate) async fn add_task(&self, service: &str, slot: u64, node: usize, state: TaskState) -> TaskId {
        let task = task_of(&self.service(service), slot, id(node), state, slot + 100 * node as u64);
        let task_id = task.id.clone();
        self.store().update(move |tx| tx.create_task(task)).await.unwrap();
        task_id
    }

    /// Has a task run in each slot of each replicated service, one made of the present spec, for as long as this is held.
    pub(crate) fn run_services(&self) -> JoinSet<()> {
        let store = self.store();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (_, mut watch) = store.view_and_watch();
            let mut seed = 0;
            loop {
                seed += 1;
                store.update(move |tx| fill_slots(tx, seed)).await.unwrap();
                watch.recv().await.unwrap();
            }
        });
        tasks
    }

    fn work(&self) -> Arc<LoneControl> {
        Arc::clone(&self.state().work)
    }
}

fn task_of(service: &Service, slot: u64, node: NodeId, state: TaskState, seed: u64) -> Task {
    let now = Timestamp::now();
    let container = ContainerStatus { container_id: "c0ffee".to_owned(), pid: 7, exit_code: 0 };
    let status = TaskStatus { container: Some(container), ..TaskStatus::new(state, "started", now) };
    let mut task = Task::of(service, TaskId::generate(&mut StdRng::seed_from_u64(seed)), slot, now);
    task.state.node_id = Some(node);
    task.state.status = status;
    if state > TaskState::Running {
        task.state.desired = TaskState::Shutdown;
    }
    task
}

/// Ends what no slot wants, and fills the slots that have no task.
fn fill_slots(tx: &mut Transaction, seed: u64) -> Result<(), model::SwarmError> {
    let view: Snapshot = tx.view();
    for service in view.services() {
        let slots = service.spec.replicas().filter(|_| !service.state.is_removed).unwrap_or(0);
        let mut filled = BTreeSet::new();
        for task in view.tasks_of_service(&service.id).filter(|task| task.state.desired == TaskState::Running) {
            let is_wanted = task.spec == service.spec.task_template && (1..=slots).contains(&task.state.slot);
            if is_wanted && filled.insert(task.state.slot) {
                continue;
            }
            tx.update_task(&task.id, |task| {
                task.state.desired = TaskState::Shutdown;
                task.state.status.state = TaskState::Shutdown;
            })?;
        }
        for slot in (1..=slots).filter(|slot| !filled.contains(slot)) {
            let node = id(usize::try_from(slot % 5).unwrap() + 1);
            let seed = seed * 1_000_000 + service.meta.version.0 * 1000 + slot;
            tx.create_task(task_of(service, slot, node, TaskState::Running, seed))?;
        }
    }
    Ok(())
}
