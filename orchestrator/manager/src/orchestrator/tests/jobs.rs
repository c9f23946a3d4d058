//! Jobs over a store, and how much history a swarm keeps.

use model::{
    Cluster, ClusterId, ClusterState, GlobalMode, JoinSecrets, Meta, OrchestrationConfig, ReplicatedJobMode, RootCa,
    Secret, ServiceMode, ServiceSpec, SwarmSpec, TaskState,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::Snapshot;

use super::objects::{policy, spec};
use super::swarm::Swarm;

/// A swarm's settings that keep so many tasks a slot.
pub(super) fn cluster_that_keeps(limit: i64) -> Cluster {
    let secret = || Secret::new("secret");
    let orchestration = OrchestrationConfig { task_history_retention_limit: Some(limit) };
    Cluster {
        id: ClusterId::generate(&mut StdRng::seed_from_u64(1)),
        meta: Meta::default(),
        spec: SwarmSpec { orchestration, ..SwarmSpec::default() },
        state: ClusterState {
            root_ca: RootCa::new("", secret()),
            join_secrets: JoinSecrets { worker: secret(), manager: secret() },
            unlock_key: None,
            gossip_keys: Vec::new(),
            client_ca: None,
            removed_nodes: Vec::new(),
            removed_raft_ids: Vec::new(),
            data_path_port: 4789,
            default_addr_pool: Vec::new(),
            subnet_size: 24,
        },
    }
}

fn job(image: &str, max_concurrent: u64, total: u64) -> ServiceSpec {
    let job = ReplicatedJobMode { max_concurrent: Some(max_concurrent), total_completions: Some(total) };
    let mode = ServiceMode { replicated_job: Some(job), ..ServiceMode::default() };
    ServiceSpec { mode, ..spec("job", image, 0) }
}

fn completed(view: &Snapshot, iteration: u64) -> usize {
    let is_done = |state: TaskState| state == TaskState::Complete;
    let of_iteration = view.tasks().filter(|task| task.state.job_iteration == Some(iteration));
    of_iteration.filter(|task| is_done(task.state.status.state)).count()
}

#[tokio::test(start_paused = true)]
async fn a_job_completes_so_many_times_and_rests_until_it_is_begun_again() {
    let mut swarm = Swarm::new(3).await;
    let id = swarm.create(job("finish 10", 4, 10)).await;

    let began = swarm.seconds();
    swarm.until("four run", |view| view.tasks().filter(|task| runs(task.state.status.state)).count() == 4).await;
    swarm.until("done", |view| completed(view, 0) == 10).await;
    assert!((30..33).contains(&(swarm.seconds() - began)), "{}", swarm.seconds() - began);
    swarm.pass(1_000).await;
    assert_eq!(swarm.tasks(&id).len(), 10);

    swarm.update(&id, |spec| spec.task_template.force_update += 1).await;
    swarm.until("done again", |view| completed(view, 1) == 10 && view.tasks().count() == 10).await;
    swarm.end_term().await;
}

fn runs(state: TaskState) -> bool {
    state == TaskState::Running
}

#[tokio::test(start_paused = true)]
async fn a_job_never_has_more_than_so_many_at_a_time_also_when_tasks_fail_and_the_leader_changes() {
    let mut swarm = Swarm::new(3).await;
    let mut spec = job("finish 10", 3, 8);
    spec.task_template.restart_policy = Some(policy("any", 2, 0, 0));
    let id = swarm.create(spec).await;
    let unfinished = |view: &Snapshot| view.tasks().filter(|task| !task.state.status.state.is_terminal()).count();

    for _ in 0..6 {
        swarm.pass(4).await;
        let running = swarm.running(&id);
        if let Some(task) = running.first() {
            swarm.end(&task.id, TaskState::Failed).await;
        }
        assert!(unfinished(&swarm.store.view()) <= 3);
        swarm.change_leader().await;
    }

    swarm.until("done", |view| completed(view, 0) == 8 && unfinished(view) == 0).await;
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_global_job_completes_on_every_node_also_on_one_that_comes_later() {
    let mut swarm = Swarm::new(2).await;
    let mode = ServiceMode { global_job: Some(GlobalMode {}), ..ServiceMode::default() };
    let id = swarm.create(ServiceSpec { mode, ..spec("job", "finish 1", 0) }).await;
    swarm.until("done on two", |view| completed(view, 0) == 2).await;

    let third = super::objects::node(3, model::NodeHealth::Ready, model::Availability::Active);
    swarm.change(|tx| tx.create_node(third)).await;
    swarm.until("done on three", |view| completed(view, 0) == 3).await;

    swarm.pass(100).await;
    assert_eq!(swarm.tasks(&id).len(), 3);
    swarm.end_term().await;
}
