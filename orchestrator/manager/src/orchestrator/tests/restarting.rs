//! Tables: whether, when and with what delay an ended task is replaced.

use model::{Availability, NodeHealth, TaskState};

use super::objects::{Scene, at, groups, make, node, policy, spec, wait_until, want};
use crate::orchestrator::change::Decision;

const RUNNING: TaskState = TaskState::Running;
const READY: TaskState = TaskState::Ready;
const SHUTDOWN: TaskState = TaskState::Shutdown;
const FAILED: TaskState = TaskState::Failed;

fn scene(condition: &str, delay: i64, max_attempts: u64, window: i64) -> Scene {
    let mut spec = spec("web", "run", 1);
    spec.task_template.restart_policy = Some(policy(condition, delay, max_attempts, window));
    Scene::new(spec)
}

#[test]
fn a_task_is_replaced_as_its_condition_says() {
    let check = |condition: &str, state: TaskState, is_replaced: bool| {
        let mut scene = scene(condition, 5, 0, 0);
        let ended = scene.task(1, (state, RUNNING), (0, 10));
        let mut group = vec![want(&ended, SHUTDOWN)];
        group.extend(is_replaced.then(|| make(1, READY)));
        assert_eq!(scene.decide(10), groups(&[&group]), "{condition} {state:?}");
    };

    check("any", FAILED, true);
    check("any", TaskState::Complete, true);
    check("", TaskState::Rejected, true);
    check("on-failure", FAILED, true);
    check("on-failure", TaskState::Rejected, true);
    check("on-failure", TaskState::Complete, false);
    check("none", FAILED, false);
    check("none", TaskState::Complete, false);
}

#[test]
fn without_a_delay_the_replacement_starts_at_once() {
    let mut scene = scene("any", 0, 0, 0);
    let ended = scene.task(1, (FAILED, RUNNING), (0, 10));

    assert_eq!(scene.decide(10), groups(&[&[want(&ended, SHUTDOWN), make(1, RUNNING)]]));
}

#[test]
fn a_delayed_task_starts_when_its_delay_is_over() {
    let mut scene = scene("any", 5, 0, 0);
    scene.task(1, (FAILED, SHUTDOWN), (0, 10));
    let next = scene.task(1, (READY, READY), (10, 11));

    assert_eq!(scene.decide(12), wait_until(15));
    assert_eq!(scene.decide(15), groups(&[&[want(&next, RUNNING)]]));
}

#[test]
fn a_delayed_task_that_fails_before_its_time_is_replaced_when_the_time_has_come() {
    let mut scene = scene("any", 5, 0, 0);
    scene.task(1, (FAILED, SHUTDOWN), (0, 10));
    let next = scene.task(1, (TaskState::Rejected, READY), (10, 11));

    assert_eq!(scene.decide(11), wait_until(15));
    assert_eq!(scene.decide(15), groups(&[&[want(&next, SHUTDOWN), make(1, READY)]]));
}

#[test]
fn attempts_are_counted_within_the_window_and_for_one_spec() {
    let check = |max_attempts: u64, window: i64, ends: &[i64], is_replaced: bool| {
        let mut scene = scene("any", 5, max_attempts, window);
        for end in &ends[..ends.len() - 1] {
            scene.task(1, (FAILED, SHUTDOWN), (end - 1, *end));
        }
        let end = *ends.last().unwrap();
        let ended = scene.task(1, (FAILED, RUNNING), (end - 1, end));
        let mut group = vec![want(&ended, SHUTDOWN)];
        group.extend(is_replaced.then(|| make(1, READY)));
        assert_eq!(scene.decide(end), groups(&[&group]), "{max_attempts} {window} {ends:?}");
    };

    check(2, 0, &[10], true);
    check(2, 0, &[10, 20], true);
    check(2, 0, &[10, 20, 30], false);
    check(2, 15, &[10, 20, 30], true);
    check(2, 25, &[10, 20, 30], false);
    check(0, 0, &[10, 20, 30, 40], true);
}

#[test]
fn a_new_spec_begins_to_count_anew() {
    let mut scene = scene("any", 5, 1, 0);
    scene.task(1, (FAILED, SHUTDOWN), (0, 10));
    let mut other = scene.service.spec.clone();
    other.task_template.force_update = 1;
    scene.update(other);
    let ended = scene.task(1, (FAILED, RUNNING), (11, 20));

    assert_eq!(scene.decide(20), groups(&[&[want(&ended, SHUTDOWN), make(1, READY)]]));
}

#[test]
fn a_slot_that_was_given_up_is_left_alone() {
    let mut scene = scene("on-failure", 5, 0, 0);
    scene.task(1, (TaskState::Complete, SHUTDOWN), (0, 10));

    assert_eq!(scene.decide(100), Decision::default());
}

#[test]
fn a_lost_node_s_task_is_replaced_at_once_and_a_drained_one_s_once_it_has_stopped() {
    let check = |health: NodeHealth, availability: Availability, desired: TaskState| {
        let mut scene = scene("on-failure", 5, 1, 0);
        let lost = scene.running(1, 0);
        scene.nodes[0] = node(1, health, availability);
        assert_eq!(scene.decide(10), groups(&[&[want(&lost, SHUTDOWN), make(1, desired)]]), "{health:?}");
    };

    check(NodeHealth::Down, Availability::Active, RUNNING);
    check(NodeHealth::Ready, Availability::Drain, READY);

    let mut paused = scene("any", 5, 0, 0);
    paused.running(1, 0);
    paused.nodes[0] = node(1, NodeHealth::Unknown, Availability::Pause);
    assert_eq!(paused.decide(10), Decision::default());
}

#[test]
fn a_task_of_a_removed_node_is_replaced_and_then_given_up() {
    let mut scene = scene("any", 5, 0, 0);
    let lost = scene.running(1, 0);
    scene.nodes.remove(0);

    assert_eq!(scene.decide(10), groups(&[&[want(&lost, SHUTDOWN), make(1, RUNNING)]]));

    scene.last().state.desired = SHUTDOWN;
    scene.task(1, (TaskState::Pending, RUNNING), (10, 10));
    assert_eq!(scene.decide(11), groups(&[&[crate::orchestrator::change::Change::Orphan(lost)]]));
}

#[test]
fn a_lost_task_that_is_never_restarted_is_not_replaced() {
    let mut scene = scene("none", 5, 0, 0);
    let lost = scene.running(1, 0);
    scene.nodes[0] = node(1, NodeHealth::Down, Availability::Active);

    assert_eq!(scene.decide(10).groups, vec![vec![want(&lost, SHUTDOWN)]]);
}

#[test]
fn a_task_waits_for_the_one_before_it_to_stop_but_not_for_ever() {
    let mut scene = scene("any", 0, 0, 0);
    scene.task(1, (RUNNING, SHUTDOWN), (0, 5));
    let next = scene.task(1, (READY, READY), (10, 11));

    assert_eq!(scene.decide(12), wait_until(70));
    assert_eq!(scene.decide(70).groups, vec![vec![want(&next, RUNNING)]]);
    scene.nodes[0] = node(1, NodeHealth::Down, Availability::Active);
    scene.last().state.node_id = Some(super::objects::node_id(2));
    assert_eq!(scene.decide(12).groups, vec![vec![want(&next, RUNNING)]]);
}

#[test]
fn the_time_to_stop_counts_where_it_is_longer() {
    let mut scene = scene("any", 0, 0, 0);
    scene.service.spec.task_template.container_spec.as_mut().unwrap().stop_grace_period =
        Some(300 * super::objects::SECOND);
    scene.task(1, (RUNNING, SHUTDOWN), (0, 5));
    scene.task(1, (READY, READY), (10, 11));

    assert_eq!(scene.decide(100), wait_until(310));
}

#[test]
fn tasks_of_a_node_that_is_down_for_a_day_are_given_up() {
    let mut scene = scene("any", 0, 0, 0);
    let lost = scene.task(1, (RUNNING, SHUTDOWN), (0, 50));
    scene.task(1, (RUNNING, RUNNING), (50, 51));
    scene.last().state.node_id = Some(super::objects::node_id(2));
    scene.nodes[0] = node(1, NodeHealth::Down, Availability::Active);
    scene.nodes[0].meta.updated_at = at(40);

    assert_eq!(scene.decide(86_449), wait_until(86_450));
    assert_eq!(scene.decide(86_450).groups, vec![vec![crate::orchestrator::change::Change::Orphan(lost)]]);
}
