//! Random operations, faults and changes of leader; then quiet. What is promised is there, once, and nothing else is.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Availability, GlobalMode, ServiceId, ServiceMode, ServiceSpec, TaskId, TaskState};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use store::Store;

use super::objects::{policy, spec, update_config, with_image};
use super::swarm::Swarm;
use crate::orchestrator::place::Place;

const NODES: u64 = 4;
const IMAGES: [&str; 8] = ["run 1", "run 2", "stop 3", "broken", "reject", "fail 1", "finish 2", "nowhere"];
const ACTIONS: [&str; 3] = ["pause", "continue", "rollback"];
const ORDERS: [&str; 2] = ["stop-first", "start-first"];

#[derive(Debug)]
struct Chaos {
    swarm: Swarm,
    rng: StdRng,
    is_gentle: bool,
    services: Vec<ServiceId>,
    removed: Vec<ServiceId>,
}

#[test]
fn after_random_operations_and_faults_every_promise_is_kept_exactly() {
    for seed in 0..60 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        say(seed);
        runtime.block_on(async { Chaos::new(seed).await.run().await });
    }
}

#[expect(clippy::print_stdout, reason = "the last seed that a failed test prints is the one to run again")]
fn say(seed: u64) {
    println!("seed {seed}");
}

/// Never returns while no place has two tasks that run. Only where no node is ever lost, and nothing starts first.
async fn twins(store: Store) -> String {
    loop {
        let (view, mut events) = store.view_and_watch();
        let mut running: BTreeMap<(&ServiceId, Place), &TaskId> = BTreeMap::new();
        for task in view.tasks().filter(|task| task.state.status.state == TaskState::Running) {
            if let Some(other) = running.insert((&task.state.service_id, Place::of(task)), &task.id) {
                return format!("{other} and {} run in one place", task.id);
            }
        }
        // A gap is as good as an event.
        let _ = events.recv().await;
    }
}

impl Chaos {
    /// Every other seed loses no node and starts nothing first.
    async fn new(seed: u64) -> Self {
        let swarm = Swarm::new(NODES).await;
        let is_gentle = seed.is_multiple_of(2);
        Self { swarm, rng: StdRng::seed_from_u64(seed), is_gentle, services: Vec::new(), removed: Vec::new() }
    }

    async fn run(self) {
        let (store, is_gentle) = (self.swarm.store.clone(), self.is_gentle);
        let watching = async move { if is_gentle { twins(store).await } else { std::future::pending().await } };
        tokio::select! {
            () = self.go_through() => {}
            twins = watching => panic!("{twins}"),
        }
    }

    async fn go_through(mut self) {
        for _ in 0..60 {
            self.operate().await;
            let pause = if self.rng.random_bool(0.2) { 20_000 } else { 200 };
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..pause))).await;
        }
        self.calm_down().await;
        for service in self.services.clone() {
            self.check(&service).await;
        }
        let view = self.swarm.until("gone", |view| self.removed.iter().all(|id| view.service(id).is_none())).await;
        assert!(view.tasks().all(|task| self.services.contains(&task.state.service_id)));
        self.swarm.end_term().await;
    }

    async fn operate(&mut self) {
        let node = self.rng.random_range(1..=NODES);
        match self.rng.random_range(0..14) {
            0 | 1 if self.services.len() < 4 => self.create().await,
            2 | 3 => self.update(|spec, rng| *spec = with_image(spec, IMAGES.choose(rng).unwrap())).await,
            4 | 5 => {
                self.update(|spec, rng| {
                    if let Some(mode) = &mut spec.mode.replicated {
                        mode.replicas = Some(rng.random_range(0..8));
                    }
                })
                .await;
            }
            6 => {
                if let Some(service) = self.services.choose(&mut self.rng) {
                    self.swarm.roll_back(service).await;
                }
            }
            7 if self.rng.random_bool(0.3) && !self.services.is_empty() => {
                let service = self.services.remove(0);
                self.swarm.remove(&service).await;
                self.removed.push(service);
            }
            8 if !self.is_gentle => self.swarm.lose(node).await,
            9 => self.swarm.restore(node).await,
            10 => {
                let availability = [Availability::Active, Availability::Pause, Availability::Drain];
                self.swarm.set_availability(node, *availability.choose(&mut self.rng).unwrap()).await;
            }
            11 | 12 => self.end_a_task().await,
            _ => self.swarm.change_leader().await,
        }
    }

    async fn create(&mut self) {
        let name = format!("service-{}", self.services.len() + self.removed.len());
        let mut created = spec(&name, "run", self.rng.random_range(1..6));
        let action = ACTIONS.choose(&mut self.rng).unwrap();
        let order = ORDERS.choose(&mut self.rng).filter(|_| !self.is_gentle).unwrap_or(&ORDERS[0]);
        created.update_config = Some(update_config(self.rng.random_range(0..3), action, order));
        created.task_template.restart_policy = Some(policy("any", self.rng.random_range(0..6), 0, 0));
        if self.rng.random_bool(0.25) {
            created.mode = ServiceMode { global: Some(GlobalMode {}), ..ServiceMode::default() };
        }
        // A restart delay of nothing is for containers that run: one that ends at once would be started without end.
        if created.task_template.restart_policy.as_ref().unwrap().delay == Some(0) {
            created.task_template.restart_policy = Some(policy("any", 1, 3, 0));
        }
        self.services.push(self.swarm.create(created).await);
    }

    async fn update(&mut self, change: impl Fn(&mut ServiceSpec, &mut StdRng) + Send + 'static) {
        let mut rng = StdRng::from_rng(&mut self.rng);
        if let Some(service) = self.services.choose(&mut self.rng) {
            self.swarm.update(service, move |spec| change(spec, &mut rng)).await;
        }
    }

    async fn end_a_task(&mut self) {
        let Some(service) = self.services.choose(&mut self.rng).cloned() else { return };
        if let Some(task) = self.swarm.running(&service).choose(&mut self.rng) {
            let state = if self.rng.random_bool(0.5) { TaskState::Failed } else { TaskState::Complete };
            self.swarm.end(&task.id, state).await;
        }
    }

    /// Nothing fails any more: every node is back, every service has an image that runs.
    async fn calm_down(&mut self) {
        for number in 1..=NODES {
            self.swarm.restore(number).await;
            self.swarm.set_availability(number, Availability::Active).await;
        }
        for service in self.services.clone() {
            self.swarm.update(&service, |spec| *spec = with_image(spec, "run 9")).await;
        }
        self.swarm.change_leader().await;
    }

    async fn check(&self, service: &ServiceId) {
        let wanted = self.swarm.store.view().service(service).unwrap().spec.clone();
        let number = wanted.replicas().unwrap_or(NODES);
        self.swarm.until_running(service, usize::try_from(number).unwrap()).await;
        self.swarm
            .until("all of the last spec", |view| {
                let mut live = view.tasks_of_service(service).filter(|task| task.state.desired < TaskState::Shutdown);
                live.all(|task| task.spec == wanted.task_template)
            })
            .await;
        self.swarm.until_running(service, usize::try_from(number).unwrap()).await;

        let running = self.swarm.running(service);
        let mut places: Vec<_> = running
            .iter()
            .map(|task| (task.state.slot, task.state.node_id.clone().filter(|_| wanted.is_global())))
            .collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), running.len(), "{:#?}", self.swarm.story());
    }
}
