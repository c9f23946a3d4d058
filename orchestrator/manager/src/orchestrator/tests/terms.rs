//! A change of leader at any moment: everything goes on from the store alone.

use std::sync::Arc;
use std::time::Duration;

use model::{Task, TaskState, UpdateState};

use super::objects::{SECOND, policy, spec, update_config, with_image};
use super::swarm::Swarm;

#[tokio::test(start_paused = true)]
async fn a_delayed_restart_survives_a_change_of_leader_with_the_delay_that_is_left() {
    let mut swarm = Swarm::new(1).await;
    let mut web = spec("web", "run", 1);
    web.task_template.restart_policy = Some(policy("any", 60, 0, 0));
    let id = swarm.create(web).await;
    swarm.until_running(&id, 1).await;

    let began = swarm.seconds();
    swarm.end(&swarm.running(&id)[0].id, TaskState::Failed).await;
    swarm.pass(20).await;
    swarm.change_leader().await;
    swarm.pass(20).await;
    assert_eq!(swarm.tasks(&id).last().unwrap().state.desired, TaskState::Ready);
    swarm.end_term().await;
    swarm.pass(5).await;
    swarm.begin_term();
    swarm.until_running(&id, 1).await;

    assert!((60..61).contains(&(swarm.seconds() - began)), "{}", swarm.seconds() - began);
    assert_eq!(swarm.tasks(&id).len(), 2);
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn what_ended_without_a_leader_is_replaced_by_the_next_one() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(spec("web", "run", 3)).await;
    swarm.until_running(&id, 3).await;
    swarm.end_term().await;

    swarm.end(&swarm.running(&id)[0].id, TaskState::Failed).await;
    swarm.update(&id, |spec| spec.mode.replicated.as_mut().unwrap().replicas = Some(5)).await;
    swarm.lose(1).await;
    swarm.pass(100).await;
    swarm.begin_term();

    swarm.until_running(&id, 5).await;
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_goes_on_whenever_the_leader_changes() {
    for order in ["stop-first", "start-first"] {
        for pause in [1_u64, 7, 20, 33, 60] {
            let mut swarm = Swarm::new(3).await;
            let mut web = spec("web", "run", 5);
            web.update_config = Some(update_config(2, "pause", order));
            let id = swarm.create(web).await;
            swarm.until_running(&id, 5).await;

            swarm.update(&id, |spec| *spec = with_image(spec, "run 1")).await;
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                swarm.change_leader().await;
            }
            let status = swarm.until_update(&id, UpdateState::Completed).await;

            assert_eq!(status.message, "update completed", "{order} {pause}");
            swarm.until_running(&id, 5).await;
            assert!(swarm.running(&id).iter().all(|task| task.state.spec_revision == 2), "{order} {pause}");
            assert_eq!(swarm.tasks(&id).len(), 10, "{order} {pause}: {:#?}", swarm.story());
            swarm.end_term().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_judges_tasks_that_ended_without_it_by_when_they_began_to_run() {
    let check = async |seconds: u64, expected: UpdateState| {
        let mut swarm = Swarm::new(2).await;
        let mut web = spec("web", "run", 2);
        web.update_config = Some(update_config(1, "pause", "stop-first"));
        web.update_config.as_mut().unwrap().delay = 60 * SECOND;
        let id = swarm.create(web).await;
        swarm.until_running(&id, 2).await;
        swarm.update(&id, |spec| *spec = with_image(spec, "run 1")).await;
        let is_updated = |task: &&Arc<Task>| task.state.spec_revision == 2;
        swarm
            .until("one updated", |view| {
                view.tasks_of_service(&id).filter(is_updated).any(|task| task.state.status.state == TaskState::Running)
            })
            .await;

        swarm.end_term().await;
        swarm.pass(seconds).await;
        swarm.end(&swarm.running(&id).iter().find(is_updated).unwrap().id, TaskState::Failed).await;
        swarm.begin_term();

        swarm.until_update(&id, expected).await;
        swarm.end_term().await;
    };

    check(2, UpdateState::Paused).await;
    check(30, UpdateState::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_update_stays_paused_and_a_rollback_goes_on() {
    let mut swarm = Swarm::new(2).await;
    let mut web = spec("web", "run", 2);
    web.update_config = Some(update_config(1, "pause", "stop-first"));
    let id = swarm.create(web).await;
    swarm.until_running(&id, 2).await;
    swarm.update(&id, |spec| *spec = with_image(spec, "broken")).await;
    swarm.until_update(&id, UpdateState::Paused).await;

    swarm.change_leader().await;
    swarm.pass(100).await;
    swarm.until_update(&id, UpdateState::Paused).await;
    swarm.roll_back(&id).await;
    swarm.change_leader().await;

    swarm.until_update(&id, UpdateState::RollbackCompleted).await;
    swarm.until_running(&id, 2).await;
    swarm.end_term().await;
}
