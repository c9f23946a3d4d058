//! Tables: how an update goes on, and what failures come to.

use model::{TaskState, TaskStatus, UpdateState, UpdateStatus};

use super::objects::{
    SECOND, Scene, at, groups, make, spec, update_config, update_status, wait_until, want, with_image,
};
use crate::orchestrator::change::{Change, Decision};

const RUNNING: TaskState = TaskState::Running;
const READY: TaskState = TaskState::Ready;
const SHUTDOWN: TaskState = TaskState::Shutdown;
const FAILED: TaskState = TaskState::Failed;

/// A service of running tasks that has just got another image.
fn scene(replicas: u64, parallelism: u64, action: &str, order: &str) -> Scene {
    let mut spec = spec("web", "old", replicas);
    spec.update_config = Some(update_config(parallelism, action, order));
    spec.rollback_config = Some(update_config(1, action, "stop-first"));
    let mut scene = Scene::new(spec);
    (1..=replicas).for_each(|slot| {
        scene.running(slot, 0);
    });
    let next = with_image(&scene.service.spec, "new");
    scene.update(next);
    scene
}

fn updating(mut scene: Scene) -> Scene {
    scene.service.state.update_status = Some(update_status(UpdateState::Updating, "update in progress"));
    scene
}

/// Replaces the task of a slot by one of the update that has come so far.
fn replace(scene: &mut Scene, slot: u64, state: TaskState, (made, observed): (i64, i64)) -> model::TaskId {
    let former = scene.tasks.iter_mut().find(|task| task.state.slot == slot).unwrap();
    former.state.desired = SHUTDOWN;
    former.state.status = TaskStatus::new(SHUTDOWN, "stopped", at(made));
    scene.task(slot, (state, RUNNING), (made, observed))
}

fn report(state: UpdateState, message: &str) -> Change {
    Change::Report(update_status(state, message))
}

#[test]
fn an_update_begins_with_as_many_as_may_be_changed_at_a_time() {
    let begun = |parallelism: u64| {
        let decision = scene(3, parallelism, "pause", "stop-first").decide(0);
        let (first, rest) = decision.groups.split_first().unwrap();
        assert_eq!(*first, [report(UpdateState::Updating, "update in progress")]);
        rest.len()
    };

    assert_eq!(begun(1), 1);
    assert_eq!(begun(2), 2);
    assert_eq!(begun(0), 3);
}

#[test]
fn the_order_says_what_happens_first() {
    let stop_first = updating(scene(1, 1, "pause", "stop-first"));
    let former = stop_first.tasks[0].id.clone();
    assert_eq!(stop_first.decide(0), groups(&[&[want(&former, SHUTDOWN), make(1, READY)]]));

    let start_first = updating(scene(1, 1, "pause", "start-first"));
    assert_eq!(start_first.decide(0), groups(&[&[make(1, RUNNING)]]));
}

#[test]
fn start_first_keeps_the_former_task_until_the_new_one_runs() {
    let mut scene = updating(scene(1, 1, "pause", "start-first"));
    let former = scene.tasks[0].id.clone();
    scene.task(1, (TaskState::Starting, RUNNING), (1, 2));
    assert_eq!(scene.decide(3), Decision::default());

    scene.last().state.status = TaskStatus::new(RUNNING, "started", at(4));
    assert_eq!(scene.decide(4), groups(&[&[want(&former, SHUTDOWN)]]));
}

#[test]
fn the_next_is_begun_when_one_runs_and_the_delay_is_over() {
    let check = |state: TaskState, delay: i64, now: i64, expected: &[u64]| {
        let mut scene = updating(scene(3, 1, "pause", "stop-first"));
        scene.service.spec.update_config.as_mut().unwrap().delay = delay * SECOND;
        replace(&mut scene, 1, state, (1, 2));
        let begun: Vec<u64> = scene
            .decide(now)
            .groups
            .iter()
            .flatten()
            .filter_map(|change| match change {
                Change::Make { place, .. } => Some(place.slot()),
                Change::Want { .. } | Change::Orphan(_) | Change::Report(_) | Change::RollBack(_) => None,
            })
            .collect();
        assert_eq!(begun, expected, "{state:?} {delay} {now}");
    };

    check(TaskState::Starting, 0, 3, &[]);
    check(RUNNING, 0, 3, &[2]);
    check(RUNNING, 10, 3, &[]);
    check(RUNNING, 10, 12, &[2]);
}

#[test]
fn the_delay_is_a_moment_to_wake_at() {
    let mut scene = updating(scene(2, 1, "pause", "stop-first"));
    scene.service.spec.update_config.as_mut().unwrap().delay = 10 * SECOND;
    replace(&mut scene, 1, RUNNING, (1, 2));

    assert_eq!(scene.decide(3), wait_until(12));
}

#[test]
fn an_update_is_completed_when_the_last_task_was_well_for_the_monitor_period() {
    let mut scene = updating(scene(1, 1, "pause", "stop-first"));
    replace(&mut scene, 1, RUNNING, (1, 2));

    assert_eq!(scene.decide(3), wait_until(7));
    let completed =
        UpdateStatus { completed_at: Some(at(7)), ..update_status(UpdateState::Completed, "update completed") };
    assert_eq!(scene.decide(7), groups(&[&[Change::Report(completed)]]));
}

#[test]
fn too_many_failures_do_what_the_action_says() {
    let check = |action: &str, ratio: f32, expected: &dyn Fn(&str) -> Option<Change>| {
        let mut scene = updating(scene(4, 1, action, "stop-first"));
        scene.service.spec.update_config.as_mut().unwrap().max_failure_ratio = ratio;
        replace(&mut scene, 1, FAILED, (1, 2));
        scene.last().state.desired = SHUTDOWN;
        let failed = scene.last().id.to_string();
        scene.task(1, (READY, READY), (2, 3));
        let first = scene.decide(3).groups.into_iter().flatten().next();
        assert_eq!(first, expected(&failed), "{action} {ratio}");
    };
    let words = |what: &str, task: &str| format!("{what} due to failure or early termination of task {task}");
    let next = want(&scene(4, 1, "", "").tasks[1].id, SHUTDOWN);

    check("pause", 0.0, &|task| Some(report(UpdateState::Paused, &words("update paused", task))));
    check("", 0.2, &|task| Some(report(UpdateState::Paused, &words("update paused", task))));
    check("pause", 0.25, &|_| Some(next.clone()));
    check("continue", 0.0, &|_| Some(next.clone()));
    check("rollback", 0.0, &|task| {
        Some(Change::RollBack(update_status(UpdateState::RollbackStarted, &words("update rolled back", task))))
    });
}

#[test]
fn a_rollback_is_never_rolled_back() {
    let mut scene = scene(1, 1, "rollback", "stop-first");
    scene.service.state.update_status = Some(update_status(UpdateState::RollbackStarted, "update rolled back"));
    let failed = replace(&mut scene, 1, FAILED, (1, 2));
    scene.last().state.desired = SHUTDOWN;
    scene.task(1, (READY, READY), (2, 3));

    let message = format!("rollback paused due to failure or early termination of task {failed}");
    assert_eq!(scene.decide(3).groups, vec![vec![report(UpdateState::RollbackPaused, &message)]]);
}

#[test]
fn without_a_spec_to_go_back_to_the_update_is_paused() {
    let mut scene = updating(scene(1, 1, "rollback", "stop-first"));
    scene.service.state.previous_spec = None;
    let failed = replace(&mut scene, 1, FAILED, (1, 2));
    scene.last().state.desired = SHUTDOWN;
    scene.task(1, (READY, READY), (2, 3));

    let message = format!("update paused due to failure or early termination of task {failed}");
    assert_eq!(scene.decide(3).groups, vec![vec![report(UpdateState::Paused, &message)]]);
}

#[test]
fn a_paused_update_begins_with_nothing_more() {
    let mut scene = scene(2, 1, "pause", "stop-first");
    scene.service.state.update_status = Some(update_status(UpdateState::Paused, "update paused"));

    assert_eq!(scene.decide(3), Decision::default());
}

#[test]
fn a_task_that_ended_late_is_no_failure_of_the_update() {
    let check = |began: Option<i64>, fails: bool| {
        let mut scene = updating(scene(2, 1, "pause", "stop-first"));
        replace(&mut scene, 1, FAILED, (1, 20));
        scene.last().state.desired = SHUTDOWN;
        scene.last().state.status.running_since = began.map(at);
        scene.task(1, (READY, READY), (20, 20));
        let paused = scene
            .decide(21)
            .groups
            .iter()
            .flatten()
            .any(|change| matches!(change, Change::Report(UpdateStatus { state: UpdateState::Paused, .. })));
        assert_eq!(paused, fails, "{began:?}");
    };

    check(Some(2), false);
    check(Some(15), true);
    check(None, true);
}

#[test]
fn failures_of_former_specs_do_not_count() {
    let mut scene = updating(scene(2, 1, "pause", "stop-first"));
    replace(&mut scene, 1, FAILED, (1, 2));
    scene.last().state.desired = SHUTDOWN;
    scene.task(1, (RUNNING, RUNNING), (3, 4));
    let next = with_image(&scene.service.spec, "third");
    scene.update(next);

    let decision = scene.decide(5);

    let status = UpdateStatus { started_at: at(5), ..update_status(UpdateState::Updating, "update in progress") };
    let former = scene.last().id.clone();
    assert_eq!(decision, groups(&[&[Change::Report(status)], &[want(&former, SHUTDOWN), make(1, READY)]]));
}

#[test]
fn a_task_that_no_node_takes_is_reported_and_fails_after_the_monitor_period() {
    let mut scene = updating(scene(2, 1, "pause", "stop-first"));
    let unplaced = replace(&mut scene, 1, TaskState::Pending, (1, 1));
    scene.last().state.status.err = "no suitable node (insufficient resources on 2 nodes)".to_owned();

    let words = format!("task {unplaced} cannot be placed: no suitable node (insufficient resources on 2 nodes)");
    let noted = Change::Report(update_status(UpdateState::Updating, &format!("update in progress; {words}")));
    assert_eq!(scene.decide(2), Decision { groups: vec![vec![noted.clone()]], wake: Some(at(6)) });

    let Change::Report(status) = noted else { panic!("a report") };
    scene.service.state.update_status = Some(status);
    assert_eq!(scene.decide(3), wait_until(6));
    let paused = format!("update paused because {words}");
    assert_eq!(scene.decide(6), groups(&[&[report(UpdateState::Paused, &paused)]]));
}

#[test]
fn a_note_goes_when_the_task_is_placed() {
    let mut scene = updating(scene(2, 1, "pause", "stop-first"));
    replace(&mut scene, 1, TaskState::Assigned, (1, 2));
    scene.service.state.update_status =
        Some(update_status(UpdateState::Updating, "update in progress; task x cannot be placed: no"));

    assert_eq!(scene.decide(3), groups(&[&[report(UpdateState::Updating, "update in progress")]]));
}

#[test]
fn while_the_former_task_stops_nobody_wonders_that_the_new_one_has_no_place() {
    let mut scene = updating(scene(1, 1, "pause", "stop-first"));
    scene.last().state.desired = SHUTDOWN;
    scene.task(1, (TaskState::Pending, READY), (1, 1));
    scene.last().state.status.err = "no suitable node".to_owned();

    assert_eq!(scene.decide(30), wait_until(61));
}

#[test]
fn continue_completes_with_what_failed() {
    let mut scene = updating(scene(1, 1, "continue", "start-first"));
    scene.task(1, (FAILED, SHUTDOWN), (1, 2));

    let completed =
        UpdateStatus { completed_at: Some(at(7)), ..update_status(UpdateState::Completed, "update completed") };
    assert_eq!(scene.decide(7), groups(&[&[Change::Report(completed)]]));
}

#[test]
fn a_rollback_leaves_alone_what_was_never_changed() {
    let mut scene = updating(scene(2, 1, "rollback", "start-first"));
    let new = scene.task(1, (TaskState::Starting, RUNNING), (1, 2));
    let back = *scene.service.state.previous_spec.take().unwrap();
    scene.service.spec = back;
    scene.service.state.spec_revision = 3;
    scene.service.state.update_status = Some(update_status(UpdateState::RollbackStarted, "update rolled back"));

    assert_eq!(scene.decide(3), groups(&[&[want(&new, SHUTDOWN)]]));
}

#[test]
fn an_update_of_a_given_up_slot_gives_it_a_task_again() {
    let mut scene = updating(scene(1, 1, "pause", "stop-first"));
    scene.last().state.desired = SHUTDOWN;
    scene.last().state.status = TaskStatus::new(TaskState::Complete, "finished", at(1));
    scene.tasks[0].spec.restart_policy = Some(super::objects::policy("none", 0, 0, 0));

    assert_eq!(scene.decide(2), groups(&[&[make(1, RUNNING)]]));
}
