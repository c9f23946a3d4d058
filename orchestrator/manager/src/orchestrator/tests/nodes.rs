//! Nodes that are lost, come back, or are removed, and global services.

use model::{Availability, GlobalMode, NodeHealth, ServiceMode, ServiceSpec, TaskState};

use super::objects::{node, node_id, policy, spec};
use super::swarm::{Swarm, is_settled};

fn global() -> ServiceSpec {
    let mode = ServiceMode { global: Some(GlobalMode {}), ..ServiceMode::default() };
    ServiceSpec { mode, ..spec("agent", "run", 0) }
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_lost_node_run_elsewhere_at_once_and_do_not_come_back() {
    let mut swarm = Swarm::new(2).await;
    let mut web = spec("web", "run", 4);
    web.task_template.restart_policy = Some(policy("any", 500, 0, 0));
    let id = swarm.create(web).await;
    swarm.until_running(&id, 4).await;

    let began = swarm.clock.now();
    swarm.lose(1).await;
    swarm.until("moved", |view| is_settled(view, &id, 4)).await;
    assert!(swarm.clock.now().duration_since(began).as_millis() < 200);

    swarm.restore(1).await;
    swarm.until_running(&id, 4).await;
    assert!(swarm.running(&id).iter().all(|task| task.state.node_id == Some(node_id(2))));
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_node_that_is_down_for_a_day_are_forgotten() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(spec("web", "run", 2)).await;
    swarm.until_running(&id, 2).await;
    swarm.lose(1).await;
    swarm.until("moved", |view| is_settled(view, &id, 2)).await;
    swarm.update(&id, |spec| spec.mode.replicated.as_mut().unwrap().replicas = Some(0)).await;
    swarm.until("one is left", |view| view.tasks().count() == 1).await;

    swarm.pass(86_300).await;
    assert_eq!(swarm.tasks(&id)[0].state.status.state, TaskState::Running);
    swarm.change_leader().await;
    swarm.pass(200).await;

    assert!(swarm.tasks(&id).is_empty());
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_removed_node_are_replaced_and_orphaned() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(spec("web", "run", 2)).await;
    swarm.until_running(&id, 2).await;

    swarm.lose(1).await;
    swarm.change(|tx| tx.remove_node(&node_id(1))).await;
    swarm.until_running(&id, 2).await;

    let states: Vec<TaskState> = swarm.tasks(&id).iter().map(|task| task.state.status.state).collect();
    assert_eq!(states.iter().filter(|state| **state == TaskState::Orphaned).count(), 1);
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_global_service_follows_the_nodes() {
    let mut swarm = Swarm::new(3).await;
    let id = swarm.create(global()).await;
    swarm.until_running(&id, 3).await;

    swarm.change(|tx| tx.create_node(node(4, NodeHealth::Ready, Availability::Active))).await;
    swarm.until_running(&id, 4).await;
    swarm.set_availability(1, Availability::Drain).await;
    swarm.until_running(&id, 3).await;
    swarm.set_availability(2, Availability::Pause).await;
    swarm.pass(60).await;
    swarm.until_running(&id, 3).await;
    swarm.set_availability(1, Availability::Active).await;
    swarm.until_running(&id, 4).await;
    swarm.lose(3).await;
    swarm.until_running(&id, 3).await;
    swarm.restore(3).await;
    swarm.until_running(&id, 4).await;

    let mut nodes: Vec<_> = swarm.running(&id).iter().map(|task| task.state.node_id.clone().unwrap()).collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 4);
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_node_s_task_is_not_replaced_before_the_node_takes_tasks_again() {
    let mut swarm = Swarm::new(1).await;
    let mut agent = global();
    agent.task_template.restart_policy = Some(policy("any", 1, 0, 0));
    let id = swarm.create(agent).await;
    swarm.until_running(&id, 1).await;
    swarm.set_availability(1, Availability::Pause).await;
    swarm.end(&swarm.running(&id)[0].id, TaskState::Failed).await;

    swarm.pass(60).await;
    assert_eq!(swarm.tasks(&id).len(), 1);
    swarm.set_availability(1, Availability::Active).await;

    swarm.until_running(&id, 1).await;
    swarm.end_term().await;
}
