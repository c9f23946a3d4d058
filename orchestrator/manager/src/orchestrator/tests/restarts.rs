//! Restarts over a store: delays, attempts, stops that take long.

use model::{Availability, TaskState};

use super::objects::{policy, spec, with_image};
use super::swarm::Swarm;

#[tokio::test(start_paused = true)]
async fn an_ended_task_is_replaced_after_its_delay_in_the_same_slot() {
    let mut swarm = Swarm::new(2).await;
    let mut web = spec("web", "run", 2);
    web.task_template.restart_policy = Some(policy("any", 30, 0, 0));
    let id = swarm.create(web).await;
    swarm.until_running(&id, 2).await;
    let ended = swarm.running(&id)[1].clone();

    let began = swarm.seconds();
    swarm.end(&ended.id, TaskState::Failed).await;
    swarm.until_running(&id, 2).await;

    assert!((30..31).contains(&(swarm.seconds() - began)), "{}", swarm.seconds() - began);
    let next = swarm.running(&id)[1].clone();
    assert_eq!((next.state.slot, next.id == ended.id), (2, false));
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_restart_delay_is_replaced_at_once() {
    let mut swarm = Swarm::new(1).await;
    let mut web = spec("web", "run", 1);
    web.task_template.restart_policy = Some(policy("any", 0, 0, 0));
    let id = swarm.create(web).await;
    swarm.until_running(&id, 1).await;

    let began = swarm.clock.now();
    swarm.end(&swarm.running(&id)[0].id, TaskState::Failed).await;
    swarm.until_running(&id, 1).await;

    assert!(swarm.clock.now().duration_since(began).as_millis() < 100);
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_for_ever_is_started_once_a_delay() {
    for image in ["fail 0", "broken", "reject"] {
        let mut swarm = Swarm::new(1).await;
        let mut web = spec("web", image, 1);
        web.task_template.restart_policy = Some(policy("any", 5, 0, 0));
        let id = swarm.create(web).await;
        swarm.change(|tx| tx.create_cluster(super::jobs::cluster_that_keeps(-1))).await;

        swarm.pass(1_000).await;

        let tasks = swarm.tasks(&id).len();
        assert!((190..=202).contains(&tasks), "{image}: {tasks}");
        swarm.end_term().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_given_up_after_its_attempts_and_its_history_is_kept() {
    let mut swarm = Swarm::new(1).await;
    let mut web = spec("web", "fail 1", 1);
    web.task_template.restart_policy = Some(policy("any", 1, 7, 0));
    let id = swarm.create(web).await;

    swarm.pass(1_000).await;
    let tasks = swarm.tasks(&id);
    assert_eq!(tasks.len(), 8);
    assert!(tasks.iter().all(|task| task.state.desired == TaskState::Shutdown));

    swarm.change_leader().await;
    swarm.pass(100).await;
    assert_eq!(swarm.tasks(&id), tasks);

    swarm.update(&id, |spec| *spec = with_image(spec, "run")).await;
    swarm.until_running(&id, 1).await;
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_keeps_five_tasks() {
    let mut swarm = Swarm::new(1).await;
    let mut web = spec("web", "fail 1", 2);
    web.task_template.restart_policy = Some(policy("any", 1, 0, 0));
    let id = swarm.create(web).await;

    swarm.pass(1_000).await;

    swarm.until("reaped", |view| view.tasks_of_service(&id).count() == 10).await;
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_task_stays_finished_where_only_failures_are_replaced() {
    let mut swarm = Swarm::new(1).await;
    let mut web = spec("web", "finish 1", 2);
    web.task_template.restart_policy = Some(policy("on-failure", 0, 0, 0));
    let id = swarm.create(web).await;

    swarm.pass(100).await;

    let tasks = swarm.tasks(&id);
    assert_eq!(tasks.len(), 2);
    assert!(tasks.iter().all(|task| task.state.status.state == TaskState::Complete));
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_s_tasks_go_elsewhere_once_they_have_stopped() {
    let mut swarm = Swarm::new(2).await;
    let mut web = spec("web", "stop 8", 4);
    web.task_template.restart_policy = Some(policy("any", 500, 0, 0));
    let id = swarm.create(web).await;
    swarm.until_running(&id, 4).await;

    let began = swarm.seconds();
    swarm.set_availability(1, Availability::Drain).await;
    swarm.until_running(&id, 4).await;

    assert!((8..10).contains(&(swarm.seconds() - began)), "{}", swarm.seconds() - began);
    let node = super::objects::node_id(2);
    assert!(swarm.running(&id).iter().all(|task| task.state.node_id.as_ref() == Some(&node)));
    swarm.end_term().await;
}
