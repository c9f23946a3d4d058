//! Updates over a store: orders, failures, interruptions, what they cost.

use model::{Placement, UpdateConfig, UpdateState};

use super::objects::{policy, spec, update_config, with_image};
use super::swarm::Swarm;
use model::{ServiceId, ServiceSpec, TaskState};

/// A service of three tasks that run.
fn web(action: &str, order: &str) -> ServiceSpec {
    let mut web = spec("web", "run", 3);
    web.update_config = Some(update_config(1, action, order));
    web.rollback_config = Some(update_config(1, "pause", "stop-first"));
    web.task_template.restart_policy = Some(policy("any", 5, 0, 0));
    web
}

async fn set_image(swarm: &Swarm, id: &ServiceId, image: &'static str) {
    swarm.update(id, move |spec| *spec = with_image(spec, image)).await;
}

fn images(swarm: &Swarm, id: &ServiceId) -> Vec<String> {
    let image = |task: &model::Task| task.spec.container_spec.as_ref().unwrap().image.clone();
    swarm.running(id).iter().map(|task| image(task)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_update_changes_one_task_after_the_other_and_costs_what_stopping_and_starting_cost() {
    for (order, least) in [("stop-first", 2), ("start-first", 3)] {
        let mut swarm = Swarm::new(2).await;
        let mut spec = web("pause", order);
        spec.update_config.as_mut().unwrap().monitor = 1_000_000;
        let id = swarm.create(spec).await;
        swarm.until_running(&id, 3).await;

        let began = swarm.clock.now();
        set_image(&swarm, &id, "run 1").await;
        let running = async {
            let (_, mut events) = swarm.store.view_and_watch();
            let mut fewest = 3;
            loop {
                fewest = fewest.min(swarm.running(&id).len());
                let _ = events.recv().await;
                let state = swarm.store.view().service(&id).unwrap().state.update_status.clone();
                if state.is_some_and(|status| status.state == UpdateState::Completed) {
                    return fewest;
                }
            }
        };
        let fewest = running.await;
        swarm.until_running(&id, 3).await;

        assert_eq!((images(&swarm, &id), fewest), (vec!["run 1".to_owned(); 3], least), "{order}");
        let took = swarm.clock.now().duration_since(began).as_millis();
        assert!(took < 3 * 5 * 20, "{order}: {took} ms");
        let status = swarm.until_update(&id, UpdateState::Completed).await;
        assert_eq!(status.message, "update completed");
        swarm.end_term().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_forced_update_replaces_every_task() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(web("pause", "stop-first")).await;
    swarm.until_running(&id, 3).await;
    let former = swarm.running(&id);

    swarm.update(&id, |spec| spec.task_template.force_update += 1).await;
    swarm.until_update(&id, UpdateState::Completed).await;

    swarm.until_running(&id, 3).await;
    assert!(swarm.running(&id).iter().all(|task| former.iter().all(|former| former.id != task.id)));
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_update_is_paused_and_goes_on_only_with_a_new_spec() {
    // A task that runs for a second lets the next ones be changed, and fails the update all the same.
    for (image, unchanged) in [("fail 1", 0), ("broken", 2), ("reject", 2)] {
        let mut swarm = Swarm::new(2).await;
        let id = swarm.create(web("pause", "stop-first")).await;
        swarm.until_running(&id, 3).await;

        set_image(&swarm, &id, image).await;
        let status = swarm.until_update(&id, UpdateState::Paused).await;
        assert!(status.message.starts_with("update paused due to failure or early termination of task "), "{status:?}");
        swarm.pass(1_000).await;
        let well = images(&swarm, &id).iter().filter(|image| *image == "run").count();
        assert_eq!(well, unchanged, "{image}");

        set_image(&swarm, &id, "run 2").await;
        swarm.until_update(&id, UpdateState::Completed).await;
        swarm.until_running(&id, 3).await;
        assert_eq!(images(&swarm, &id), ["run 2"; 3]);
        swarm.end_term().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_update_rolls_back_by_itself() {
    for order in ["stop-first", "start-first"] {
        let mut swarm = Swarm::new(2).await;
        let id = swarm.create(web("rollback", order)).await;
        swarm.until_running(&id, 3).await;
        let former = swarm.running(&id);

        set_image(&swarm, &id, "broken").await;
        let status = swarm.until_update(&id, UpdateState::RollbackCompleted).await;

        assert_eq!(status.message, "rollback completed");
        assert!(status.completed_at.unwrap() > status.started_at);
        swarm.until_running(&id, 3).await;
        assert_eq!(images(&swarm, &id), ["run"; 3]);
        let kept = swarm.running(&id).iter().filter(|task| former.iter().any(|old| old.id == task.id)).count();
        assert_eq!(kept, if order == "start-first" { 3 } else { 2 }, "{order}");
        let service = swarm.store.view().service(&id).unwrap().clone();
        assert_eq!((service.state.spec_revision, service.state.previous_spec.clone()), (3, None));
        swarm.end_term().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_is_paused() {
    let mut swarm = Swarm::new(2).await;
    let mut spec = web("rollback", "stop-first");
    spec.task_template.container_spec.as_mut().unwrap().image = "fail 3".to_owned();
    let id = swarm.create(spec).await;
    swarm.until("runs", |view| view.tasks().any(|task| task.state.status.state == TaskState::Running)).await;

    set_image(&swarm, &id, "broken").await;
    let status = swarm.until_update(&id, UpdateState::RollbackPaused).await;

    assert!(status.message.starts_with("rollback paused due to failure or early termination of task "), "{status:?}");
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_rolls_back() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(web("pause", "stop-first")).await;
    swarm.until_running(&id, 3).await;
    set_image(&swarm, &id, "run 1").await;
    swarm.until_update(&id, UpdateState::Completed).await;

    swarm.roll_back(&id).await;
    swarm.until_update(&id, UpdateState::RollbackCompleted).await;

    swarm.until_running(&id, 3).await;
    assert_eq!(images(&swarm, &id), ["run"; 3]);
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_continues_changes_all_whatever_fails() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(web("continue", "stop-first")).await;
    swarm.until_running(&id, 3).await;

    set_image(&swarm, &id, "fail 2").await;
    swarm.until_update(&id, UpdateState::Completed).await;

    let newest = swarm.tasks(&id);
    assert!(
        newest
            .iter()
            .filter(|task| task.state.desired < TaskState::Shutdown)
            .all(|task| { task.spec.container_spec.as_ref().unwrap().image == "fail 2" })
    );
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_ratio_is_tolerated() {
    let mut swarm = Swarm::new(2).await;
    let mut spec = web("pause", "stop-first");
    spec.update_config = Some(UpdateConfig { max_failure_ratio: 0.34, ..update_config(1, "pause", "stop-first") });
    let id = swarm.create(spec).await;
    swarm.until_running(&id, 3).await;

    set_image(&swarm, &id, "run 1").await;
    swarm
        .until("one is new", |view| {
            view.tasks_of_service(&id).any(|task| task.state.spec_revision == 2 && is_running(task))
        })
        .await;
    let new = swarm.running(&id).iter().find(|task| task.state.spec_revision == 2).unwrap().clone();
    swarm.end(&new.id, TaskState::Failed).await;

    swarm.until_update(&id, UpdateState::Completed).await;
    swarm.until_running(&id, 3).await;
    swarm.end_term().await;
}

fn is_running(task: &model::Task) -> bool {
    task.state.status.state == TaskState::Running
}

#[tokio::test(start_paused = true)]
async fn an_update_interrupts_an_update() {
    for order in ["stop-first", "start-first"] {
        let mut swarm = Swarm::new(2).await;
        let id = swarm.create(web("pause", order)).await;
        swarm.until_running(&id, 3).await;

        for image in ["run 1", "run 2", "run 3"] {
            set_image(&swarm, &id, image).await;
            swarm.until_update(&id, UpdateState::Updating).await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        swarm.until_update(&id, UpdateState::Completed).await;

        swarm.until_running(&id, 3).await;
        assert_eq!(images(&swarm, &id), ["run 3"; 3]);
        swarm.end_term().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_no_node_takes_pauses_the_update_and_says_why() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(web("pause", "stop-first")).await;
    swarm.until_running(&id, 3).await;
    let began = swarm.seconds();

    set_image(&swarm, &id, "nowhere").await;
    swarm
        .until("noted", |view| {
            let status = view.service(&id).unwrap().state.update_status.clone();
            status.is_some_and(|status| status.message.ends_with("cannot be placed: no suitable node (none fits)"))
        })
        .await;
    let status = swarm.until_update(&id, UpdateState::Paused).await;

    let seconds = swarm.seconds() - began;
    assert!((5..6).contains(&seconds), "{seconds}");
    assert!(status.message.starts_with("update paused because task "), "{status:?}");
    assert_eq!(swarm.running(&id).len(), 2);
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn the_delay_stands_between_tasks_and_a_new_leader_keeps_it() {
    let mut swarm = Swarm::new(2).await;
    let mut spec = web("pause", "stop-first");
    spec.update_config.as_mut().unwrap().delay = 60 * super::objects::SECOND;
    let id = swarm.create(spec).await;
    swarm.until_running(&id, 3).await;

    let began = swarm.seconds();
    set_image(&swarm, &id, "run 1").await;
    for _ in 0..4 {
        swarm.pass(20).await;
        swarm.change_leader().await;
    }
    swarm.until_update(&id, UpdateState::Completed).await;

    let seconds = swarm.seconds() - began;
    assert!((125..127).contains(&seconds), "{seconds}");
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn constraints_alone_move_only_the_tasks_that_do_not_meet_them() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(web("pause", "stop-first")).await;
    swarm.until_running(&id, 3).await;
    let former = swarm.running(&id);

    swarm
        .update(&id, |spec| {
            let constraints = vec!["node.role==worker".to_owned()];
            spec.task_template.placement = Some(Placement { constraints, ..Placement::default() });
        })
        .await;
    swarm.pass(100).await;

    assert_eq!(swarm.running(&id), former);
    swarm.end_term().await;
}
