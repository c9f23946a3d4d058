//! Replicated services over a store: so many tasks, whatever is asked, and services that go.

use std::collections::BTreeSet;

use model::TaskState;

use super::objects::spec;
use super::swarm::Swarm;

#[tokio::test(start_paused = true)]
async fn a_service_gets_its_tasks_and_they_carry_what_it_says() {
    let mut swarm = Swarm::new(2).await;
    let mut web = spec("web", "run", 3);
    web.labels.insert("tier".to_owned(), "front".to_owned());

    let id = swarm.create(web.clone()).await;
    swarm.until_running(&id, 3).await;

    let tasks = swarm.running(&id);
    assert_eq!(tasks.iter().map(|task| task.state.slot).collect::<Vec<_>>(), [1, 2, 3]);
    for task in tasks {
        assert_eq!((&task.spec, &task.state.service_labels), (&web.task_template, &web.labels));
        assert_eq!((task.state.spec_revision, task.state.desired), (1, TaskState::Running));
    }
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_is_scaled_up_and_down() {
    let mut swarm = Swarm::new(3).await;
    let id = swarm.create(spec("web", "run", 2)).await;
    swarm.until_running(&id, 2).await;
    let first = swarm.running(&id);

    for replicas in [450_u64, 7, 0, 3] {
        swarm.update(&id, move |spec| spec.mode.replicated.as_mut().unwrap().replicas = Some(replicas)).await;
        swarm.until_running(&id, usize::try_from(replicas).unwrap()).await;
        let slots: BTreeSet<u64> = swarm.running(&id).iter().map(|task| task.state.slot).collect();
        assert_eq!(slots.len(), usize::try_from(replicas).unwrap());
        if replicas >= 7 {
            assert!(first.iter().all(|task| swarm.running(&id).iter().any(|now| now.id == task.id)));
        }
    }

    swarm.until("forgotten", |view| view.tasks().count() == 3).await;
    assert_eq!(swarm.store.view().service(&id).unwrap().state.update_status, None);
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_service_goes_once_its_last_task_has_stopped() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(spec("web", "stop 5", 2)).await;
    swarm.until_running(&id, 2).await;
    let began = swarm.seconds();

    swarm.remove(&id).await;
    swarm.until("wanted no more", |view| view.tasks().all(|task| task.state.desired == TaskState::Remove)).await;
    assert!(swarm.store.view().service(&id).is_some());
    swarm.until("gone", |view| view.service(&id).is_none()).await;

    assert_eq!(swarm.store.view().tasks().count(), 0);
    assert!((5..7).contains(&(swarm.seconds() - began)));
    let again = swarm.create(spec("web", "run", 1)).await;
    swarm.until_running(&again, 1).await;
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_needed_again_waits_for_the_one_that_stops_in_it() {
    let mut swarm = Swarm::new(2).await;
    let id = swarm.create(spec("web", "stop 5", 2)).await;
    swarm.until_running(&id, 2).await;

    swarm.update(&id, |spec| spec.mode.replicated.as_mut().unwrap().replicas = Some(1)).await;
    swarm.until("one leaves", |view| view.tasks().any(|task| task.state.desired == TaskState::Remove)).await;
    swarm.update(&id, |spec| spec.mode.replicated.as_mut().unwrap().replicas = Some(2)).await;
    let ready = |view: &store::Snapshot| view.tasks().any(|task| task.state.status.state == TaskState::Ready);
    swarm.until("ready", ready).await;

    assert_eq!(swarm.running(&id).len(), 1);
    swarm.until_running(&id, 2).await;
    swarm.end_term().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_spec_is_large_gets_its_tasks_and_loses_them() {
    let mut swarm = Swarm::new(2).await;
    let mut web = spec("web", "run", 60);
    web.task_template.container_spec.as_mut().unwrap().env = vec![format!("LARGE={}", "x".repeat(200_000))];

    let id = swarm.create(web).await;
    swarm.until_running(&id, 60).await;
    swarm.remove(&id).await;
    swarm.until("gone", |view| view.service(&id).is_none()).await;

    swarm.end_term().await;
}
