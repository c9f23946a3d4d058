//! Tables: which tasks may be forgotten.

use std::sync::Arc;

use model::{Task, TaskId, TaskState, UpdateState};

use super::objects::{Scene, policy, spec, update_status};
use crate::orchestrator::history::to_forget;

const RUNNING: TaskState = TaskState::Running;
const SHUTDOWN: TaskState = TaskState::Shutdown;
const FAILED: TaskState = TaskState::Failed;
const REMOVE: TaskState = TaskState::Remove;

fn forgotten(scene: &Scene, limit: i64) -> Vec<TaskId> {
    let tasks: Vec<Arc<Task>> = scene.tasks.iter().cloned().map(Arc::new).collect();
    to_forget(Some(&scene.service), &tasks, limit).tasks
}

/// A slot of so many failed tasks and one that runs.
fn scene(failed: i64) -> Scene {
    let mut scene = Scene::new(spec("web", "run", 1));
    for number in 0..failed {
        scene.task(1, (FAILED, SHUTDOWN), (number, number));
    }
    scene.running(1, failed);
    scene
}

#[test]
fn a_slot_keeps_so_many_tasks_the_newest_ones() {
    let check = |failed: i64, limit: i64, expected: usize| {
        let scene = scene(failed);
        let oldest: Vec<TaskId> = scene.tasks.iter().take(expected).map(|task| task.id.clone()).collect();
        assert_eq!(forgotten(&scene, limit), oldest, "{failed} {limit}");
    };

    check(4, 5, 0);
    check(7, 5, 3);
    check(7, 0, 7);
    check(7, -1, 0);
}

#[test]
fn attempts_that_count_are_kept() {
    let mut scene = scene(7);
    scene.service.spec.task_template.restart_policy = Some(policy("any", 0, 6, 0));

    assert_eq!(forgotten(&scene, 5).len(), 1);
}

#[test]
fn what_is_to_be_forgotten_goes_once_it_has_stopped() {
    let check = |state: TaskState, goes: bool| {
        let mut scene = Scene::new(spec("web", "run", 1));
        scene.task(1, (state, REMOVE), (0, 0));
        assert_eq!(forgotten(&scene, 5).len(), usize::from(goes), "{state:?}");
    };

    check(TaskState::New, true);
    check(TaskState::Pending, true);
    check(TaskState::Assigned, false);
    check(RUNNING, false);
    check(SHUTDOWN, true);
    check(FAILED, true);
    check(TaskState::Orphaned, true);
}

#[test]
fn tasks_without_a_service_go_once_they_are_over() {
    let mut scene = Scene::new(spec("web", "run", 1));
    let orphaned = scene.task(1, (TaskState::Orphaned, SHUTDOWN), (0, 0));
    scene.running(2, 0);
    let tasks: Vec<Arc<Task>> = scene.tasks.iter().cloned().map(Arc::new).collect();

    assert_eq!(to_forget(None, &tasks, 5).tasks, [orphaned]);
}

#[test]
fn what_decisions_go_by_is_kept_whatever_the_limit() {
    let given_up = {
        let mut scene = Scene::new(spec("web", "run", 1));
        scene.task(1, (FAILED, SHUTDOWN), (0, 1));
        scene
    };
    assert_eq!(forgotten(&given_up, 0), []);

    let mut delayed = scene(2);
    delayed.tasks.pop();
    delayed.task(1, (TaskState::Ready, TaskState::Ready), (2, 2));
    assert_eq!(forgotten(&delayed, 0), [delayed.tasks[0].id.clone()]);

    let mut stopping = Scene::new(spec("web", "run", 1));
    stopping.task(1, (RUNNING, SHUTDOWN), (0, 0));
    stopping.running(1, 1);
    assert_eq!(forgotten(&stopping, 0), []);

    let mut updated = Scene::new(spec("web", "run", 1));
    let former = updated.task(1, (SHUTDOWN, SHUTDOWN), (0, 1));
    let next = updated.service.spec.clone();
    updated.update(next);
    updated.running(1, 1);
    assert_eq!(forgotten(&updated, 0), [former]);
    updated.service.state.update_status = Some(update_status(UpdateState::Updating, "update in progress"));
    assert_eq!(forgotten(&updated, 0), []);
}

#[test]
fn a_job_s_completion_is_kept() {
    let mut scene = Scene::new(spec("job", "run", 1));
    scene.service.spec.mode = model::ServiceMode {
        replicated_job: Some(model::ReplicatedJobMode::default()),
        ..model::ServiceMode::default()
    };
    let failed = scene.task(1, (FAILED, SHUTDOWN), (0, 1));
    scene.task(1, (TaskState::Complete, TaskState::Complete), (1, 2));

    assert_eq!(forgotten(&scene, 1), [failed]);
}
