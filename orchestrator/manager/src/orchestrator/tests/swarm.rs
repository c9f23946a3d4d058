//! A swarm in one process: a store, the components of a term, and the world around them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{
    Availability, JobState, Meta, NodeHealth, NodeId, Service, ServiceId, ServiceSpec, ServiceState, SwarmError, Task,
    TaskId, TaskState, TaskStatus, UpdateState, UpdateStatus,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::{Clock, MemoryProposer, Snapshot, Store, Transaction};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::objects::{at, node, node_id};
use super::world::{clock, run_nodes, schedule};
use crate::allocator::Allocator;
use crate::orchestrator::{Deallocator, Orchestrator, TaskReaper};

/// The longest that a test waits for anything, in its own time.
const PATIENCE: Duration = Duration::from_secs(100_000);

/// A swarm.
#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) store: Store,
    pub(super) clock: Clock,
    rng: StdRng,
    /// Nodes that nobody hears.
    silent: Arc<Mutex<BTreeSet<NodeId>>>,
    term: CancellationToken,
    components: JoinSet<Result<(), SwarmError>>,
    _world: JoinSet<()>,
}

impl Swarm {
    /// A swarm of so many nodes whose leader has begun its term. Needs a paused clock.
    pub(super) async fn new(nodes: u64) -> Self {
        let clock = clock();
        let store = Store::new(clock.clone());
        let proposer = Arc::new(MemoryProposer::new(&store));
        let mut world = JoinSet::new();
        let running = store.clone();
        world.spawn(async move { running.run(proposer, CancellationToken::new()).await });
        let silent = Arc::default();
        world.spawn(run_nodes(store.clone(), clock.clone(), Arc::clone(&silent)));
        let mut swarm = Self {
            store,
            clock,
            rng: StdRng::seed_from_u64(1),
            silent,
            term: CancellationToken::new(),
            components: JoinSet::new(),
            _world: world,
        };
        for number in 1..=nodes {
            swarm.change(move |tx| tx.create_node(node(number, NodeHealth::Ready, Availability::Active))).await;
        }
        swarm.begin_term();
        swarm
    }

    /// Begins a term: every component anew, from the store alone.
    pub(super) fn begin_term(&mut self) {
        self.term = CancellationToken::new();
        let (store, clock, term) = (&self.store, &self.clock, &self.term);
        let rng = StdRng::from_rng(&mut self.rng);
        self.components.spawn(Orchestrator::new(store.clone(), clock.clone(), rng).run(term.clone()));
        self.components.spawn(Allocator::new(store.clone(), clock.clone()).run(term.clone()));
        self.components.spawn(TaskReaper::new(store.clone()).run(term.clone()));
        self.components.spawn(Deallocator::new(store.clone()).run(term.clone()));
        self.components.spawn(schedule(store.clone(), clock.clone(), term.clone()));
    }

    /// Ends the term; no component may have failed.
    pub(super) async fn end_term(&mut self) {
        self.term.cancel();
        while let Some(ended) = self.components.join_next().await {
            ended.unwrap().unwrap();
        }
    }

    /// Another leader takes over.
    pub(super) async fn change_leader(&mut self) {
        self.end_term().await;
        self.begin_term();
    }

    pub(super) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Transaction) -> Result<T, SwarmError> + Send + 'static,
    ) -> T {
        self.store.update(change).await.unwrap()
    }

    /// Creates a service as an operator does.
    pub(super) async fn create(&mut self, spec: ServiceSpec) -> ServiceId {
        let id = ServiceId::generate(&mut self.rng);
        let job = spec.is_job().then(|| JobState { iteration: 0, last_execution: self.clock.now() });
        let state = ServiceState { spec_revision: 1, job, ..ServiceState::default() };
        let service = Service { id: id.clone(), meta: Meta::default(), spec, state };
        self.change(|tx| tx.create_service(service)).await;
        id
    }

    /// Updates a service as an operator does.
    pub(super) async fn update(&self, id: &ServiceId, change: impl FnOnce(&mut ServiceSpec) + Send + 'static) {
        let id = id.clone();
        let now = self.clock.now();
        self.change(move |tx| {
            tx.update_service(&id, None, |service| {
                service.state.previous_spec = Some(Box::new(service.spec.clone()));
                change(&mut service.spec);
                service.state.spec_revision += 1;
                service.state.update_status = None;
                if let Some(job) = &mut service.state.job {
                    *job = JobState { iteration: job.iteration + 1, last_execution: now };
                }
            })
        })
        .await;
    }

    /// Rolls a service back as an operator does.
    pub(super) async fn roll_back(&self, id: &ServiceId) {
        let (id, now) = (id.clone(), self.clock.now());
        self.change(move |tx| {
            tx.update_service(&id, None, |service| {
                let Some(previous) = service.state.previous_spec.take() else { return };
                service.spec = *previous;
                service.state.spec_revision += 1;
                service.state.update_status = Some(UpdateStatus {
                    state: UpdateState::RollbackStarted,
                    started_at: now,
                    completed_at: None,
                    message: "manually requested rollback".to_owned(),
                });
            })
        })
        .await;
    }

    /// Removes a service as an operator does.
    pub(super) async fn remove(&self, id: &ServiceId) {
        let id = id.clone();
        self.change(move |tx| tx.update_service(&id, None, |service| service.state.is_removed = true)).await;
    }

    /// Sets what an operator wants of a node.
    pub(super) async fn set_availability(&self, number: u64, availability: Availability) {
        self.change(move |tx| tx.update_node(&node_id(number), None, |node| node.spec.availability = availability))
            .await;
    }

    /// A node is lost: nobody hears it, and it is down.
    pub(super) async fn lose(&self, number: u64) {
        self.silent.lock().unwrap().insert(node_id(number));
        self.set_health(number, NodeHealth::Down).await;
    }

    /// A lost node is back.
    pub(super) async fn restore(&self, number: u64) {
        self.silent.lock().unwrap().remove(&node_id(number));
        self.set_health(number, NodeHealth::Ready).await;
    }

    async fn set_health(&self, number: u64, health: NodeHealth) {
        self.change(move |tx| tx.update_node(&node_id(number), None, |node| node.state.status.state = health)).await;
    }

    /// A task ends by itself.
    pub(super) async fn end(&self, task: &TaskId, state: TaskState) {
        let (task, now) = (task.clone(), self.clock.now());
        self.change(move |tx| {
            tx.update_task(&task, |task| {
                if task.state.status.state < state {
                    task.state.status = TaskStatus::new(state, "ended", now);
                }
            })
        })
        .await;
    }

    /// Waits until the state is so; gives it.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let waiting = async {
            loop {
                let (view, mut events) = self.store.view_and_watch();
                if is_so(&view) {
                    return view;
                }
                // A gap is as good as an event: the state is looked at anew.
                let _ = events.recv().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("never {what}: {:#?}", self.story()))
    }

    /// Waits until exactly so many tasks of a service run and are wanted, and no other task of it may run.
    pub(super) async fn until_running(&self, service: &ServiceId, number: usize) -> Snapshot {
        self.until(&format!("{number} running"), |view| is_settled(view, service, number)).await
    }

    /// Waits until the update of a service is in a state.
    pub(super) async fn until_update(&self, service: &ServiceId, state: UpdateState) -> UpdateStatus {
        let status = |view: &Snapshot| view.service(service).and_then(|service| service.state.update_status.clone());
        let view = self.until(state.as_str(), |view| status(view).is_some_and(|status| status.state == state)).await;
        status(&view).unwrap()
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// All tasks of a service, the oldest first.
    pub(super) fn tasks(&self, service: &ServiceId) -> Vec<Arc<Task>> {
        let mut tasks: Vec<Arc<Task>> = self.store.view().tasks_of_service(service).cloned().collect();
        tasks.sort_by_key(|task| task.meta.created_at);
        tasks
    }

    /// The tasks of a service that run and are wanted, by slot.
    pub(super) fn running(&self, service: &ServiceId) -> Vec<Arc<Task>> {
        let mut tasks = self.tasks(service);
        tasks.retain(|task| is_up(task));
        tasks.sort_by_key(|task| task.state.slot);
        tasks
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self) -> i64 {
        self.clock.now().duration_since(at(0)).as_secs()
    }

    /// What can be said of every task, for a test that failed.
    pub(super) fn story(&self) -> Vec<String> {
        let view = self.store.view();
        let services = view
            .services()
            .map(|service| format!("{} {:?} {:?}", service.spec.name, service.spec.mode, service.state.update_status));
        let nodes = view
            .nodes()
            .map(|node| format!("node {} {:?} {:?}", node.id, node.state.status.state, node.spec.availability));
        let tasks = view.tasks().map(|task| {
            let state = &task.state;
            let (name, slot, revision) = (&state.service_name, state.slot, state.spec_revision);
            let (observed, desired) = (state.status.state, state.desired);
            format!("{name}.{slot} r{revision} {observed:?} -> {desired:?} on {:?} {}", state.node_id, task.id)
        });
        services.chain(nodes).chain(tasks).collect()
    }
}

/// Whether a task runs and is wanted.
fn is_up(task: &Task) -> bool {
    task.state.status.state == TaskState::Running && task.state.desired < TaskState::Shutdown
}

/// Whether exactly so many tasks run, all of them wanted, and nothing else is on its way, on nodes that are heard.
pub(super) fn is_settled(view: &Snapshot, service: &ServiceId, number: usize) -> bool {
    let is_heard = |task: &Task| {
        let node = task.state.node_id.as_ref().and_then(|node| view.node(node));
        node.is_none_or(|node| node.state.status.state == NodeHealth::Ready)
    };
    let tasks: Vec<&Arc<Task>> = view.tasks_of_service(service).filter(|task| is_heard(task)).collect();
    let up = tasks.iter().filter(|task| is_up(task)).count();
    let is_at_rest = |task: &&Arc<Task>| {
        let never_runs = task.state.desired >= TaskState::Shutdown && task.state.status.state < TaskState::Assigned;
        is_up(task) || task.state.status.state.is_terminal() || never_runs
    };
    let is_unreplaced =
        |task: &&Arc<Task>| task.state.status.state.is_terminal() && task.state.desired < TaskState::Shutdown;
    up == number && tasks.iter().all(is_at_rest) && !tasks.iter().any(is_unreplaced)
}
