//! Tables: which places there are to be.

use model::{
    Availability, GlobalMode, JobState, NodeHealth, Placement, ReplicatedJobMode, ServiceMode, ServiceSpec, TaskState,
};

use super::objects::{Scene, at, groups, make, node, node_id, spec, want};
use crate::orchestrator::change::{Change, Decision, is_lasting};
use crate::orchestrator::place::Place;

const RUNNING: TaskState = TaskState::Running;
const COMPLETE: TaskState = TaskState::Complete;
const FAILED: TaskState = TaskState::Failed;

fn global() -> ServiceSpec {
    let mode = ServiceMode { global: Some(GlobalMode {}), ..ServiceMode::default() };
    ServiceSpec { mode, ..spec("agent", "run", 0) }
}

fn job(max_concurrent: u64, total: u64) -> ServiceSpec {
    let job = ReplicatedJobMode { max_concurrent: Some(max_concurrent), total_completions: Some(total) };
    let mode = ServiceMode { replicated_job: Some(job), ..ServiceMode::default() };
    ServiceSpec { mode, ..spec("job", "run", 0) }
}

fn job_scene(max_concurrent: u64, total: u64) -> Scene {
    let mut scene = Scene::new(job(max_concurrent, total));
    scene.service.state.job = Some(JobState { iteration: 1, last_execution: at(0) });
    scene
}

/// Adds a task on a node of a global service.
fn on_node(scene: &mut Scene, number: u64, state: TaskState, desired: TaskState) -> model::TaskId {
    let id = scene.task(0, (state, desired), (0, 0));
    scene.last().state.node_id = Some(node_id(number));
    id
}

fn make_on(number: u64, desired: TaskState) -> Change {
    Change::Make { place: Place::Node(node_id(number)), desired }
}

#[test]
fn new_slots_take_the_lowest_free_numbers() {
    let mut scene = Scene::new(spec("web", "run", 4));
    scene.running(2, 0);
    scene.task(3, (RUNNING, TaskState::Remove), (0, 0));

    let ready = TaskState::Ready;
    assert_eq!(scene.decide(1), groups(&[&[make(1, RUNNING)], &[make(3, ready)], &[make(4, RUNNING)]]));
}

#[test]
fn slots_go_that_do_not_run_then_those_of_the_fullest_nodes_then_the_higher_ones() {
    let removed = |replicas: u64| {
        let mut scene = Scene::new(spec("web", "run", replicas));
        for (slot, state, on) in
            [(1, RUNNING, 1), (2, TaskState::Starting, 2), (3, RUNNING, 1), (4, RUNNING, 2), (5, RUNNING, 1)]
        {
            scene.task(slot, (state, RUNNING), (0, 0));
            scene.last().state.node_id = Some(node_id(on));
        }
        let decision = scene.decide(1);
        let is_removed = |task: &&model::Task| {
            decision.groups.iter().flatten().any(|change| *change == want(&task.id, TaskState::Remove))
        };
        let mut slots: Vec<u64> = scene.tasks.iter().filter(is_removed).map(|task| task.state.slot).collect();
        assert_eq!(slots.len(), decision.groups.len());
        slots.sort_unstable();
        slots
    };

    assert_eq!(removed(5), Vec::<u64>::new());
    assert_eq!(removed(4), [2]);
    assert_eq!(removed(3), [2, 5]);
    assert_eq!(removed(2), [2, 3, 5]);
    assert_eq!(removed(1), [2, 3, 4, 5]);
    assert_eq!(removed(0), [1, 2, 3, 4, 5]);
}

#[test]
fn a_slot_goes_with_its_history() {
    let mut scene = Scene::new(spec("web", "run", 0));
    let former = scene.task(1, (FAILED, TaskState::Shutdown), (0, 1));
    let live = scene.running(1, 2);

    let remove = TaskState::Remove;
    assert_eq!(scene.decide(3), groups(&[&[want(&former, remove)], &[want(&live, remove)]]));
}

#[test]
fn a_removed_service_wants_its_tasks_forgotten() {
    let mut scene = Scene::new(spec("web", "run", 2));
    let live = scene.running(1, 0);
    scene.service.state.is_removed = true;

    assert_eq!(scene.decide(1), groups(&[&[want(&live, TaskState::Remove)]]));
}

#[test]
fn each_node_that_takes_tasks_has_one_of_a_global_service() {
    let check = |health: NodeHealth, availability: Availability, has_task: bool, expected: Decision| {
        let mut scene = Scene::new(global());
        scene.nodes = vec![node(1, health, availability)];
        if has_task {
            on_node(&mut scene, 1, RUNNING, RUNNING);
        }
        assert_eq!(scene.decide(1), expected, "{health:?} {availability:?} {has_task}");
    };
    let nothing = || groups(&[]);
    let id = {
        let mut scene = Scene::new(global());
        on_node(&mut scene, 1, RUNNING, RUNNING)
    };
    let retired = || groups(&[&[want(&id, TaskState::Shutdown)]]);

    check(NodeHealth::Ready, Availability::Active, false, groups(&[&[make_on(1, RUNNING)]]));
    check(NodeHealth::Unknown, Availability::Active, false, groups(&[&[make_on(1, RUNNING)]]));
    check(NodeHealth::Ready, Availability::Active, true, nothing());
    check(NodeHealth::Ready, Availability::Pause, false, nothing());
    check(NodeHealth::Ready, Availability::Pause, true, nothing());
    check(NodeHealth::Ready, Availability::Drain, false, nothing());
    check(NodeHealth::Ready, Availability::Drain, true, retired());
    check(NodeHealth::Down, Availability::Active, false, nothing());
    check(NodeHealth::Down, Availability::Active, true, retired());
}

#[test]
fn a_node_that_comes_back_gets_a_new_task_once_the_former_one_has_stopped() {
    let mut scene = Scene::new(global());
    scene.nodes.truncate(1);
    on_node(&mut scene, 1, RUNNING, TaskState::Shutdown);

    assert_eq!(scene.decide(1), groups(&[&[make_on(1, TaskState::Ready)]]));
}

#[test]
fn a_global_service_follows_its_constraints() {
    let mut scene = Scene::new(global());
    scene.service.spec.task_template.placement =
        Some(Placement { constraints: vec!["node.labels.disk==ssd".to_owned()], ..Placement::default() });
    let on_first = on_node(&mut scene, 1, RUNNING, RUNNING);
    scene.nodes[1].spec.labels.insert("disk".to_owned(), "ssd".to_owned());

    let decision = scene.decide(1);

    assert_eq!(decision, groups(&[&[want(&on_first, TaskState::Shutdown)], &[make_on(2, RUNNING)]]));
}

#[test]
fn tasks_of_a_removed_node_are_forgotten_in_a_global_service() {
    let mut scene = Scene::new(global());
    let lost = on_node(&mut scene, 9, RUNNING, RUNNING);
    on_node(&mut scene, 1, RUNNING, RUNNING);
    on_node(&mut scene, 2, RUNNING, RUNNING);

    assert_eq!(scene.decide(1), groups(&[&[want(&lost, TaskState::Remove)]]));
    scene.tasks[0].state.desired = TaskState::Remove;
    assert_eq!(scene.decide(1), groups(&[&[Change::Orphan(lost)]]));
}

#[test]
fn a_job_runs_so_many_at_a_time_until_so_many_have_completed() {
    let slots = |decision: Decision| -> Vec<Change> { decision.groups.into_iter().flatten().collect() };
    let mut scene = job_scene(2, 3);
    assert_eq!(slots(scene.decide(1)), [make(1, COMPLETE), make(2, COMPLETE)]);

    scene.task(1, (RUNNING, COMPLETE), (0, 0));
    scene.task(2, (COMPLETE, COMPLETE), (0, 0));
    assert_eq!(slots(scene.decide(1)), [make(3, COMPLETE)]);

    scene.task(3, (COMPLETE, COMPLETE), (0, 0));
    assert_eq!(scene.decide(1), Decision::default());
}

#[test]
fn a_job_s_task_is_replaced_only_when_it_failed_and_keeps_its_slot_when_given_up() {
    let mut scene = job_scene(1, 2);
    scene.service.spec.task_template.restart_policy = Some(super::objects::policy("any", 0, 1, 0));
    let first = scene.task(1, (FAILED, COMPLETE), (0, 1));
    assert_eq!(scene.decide(2), groups(&[&[want(&first, TaskState::Shutdown), make(1, COMPLETE)]]));

    scene.last().state.desired = TaskState::Shutdown;
    scene.task(1, (FAILED, TaskState::Shutdown), (2, 3));
    assert_eq!(scene.decide(4), groups(&[&[make(2, COMPLETE)]]));
}

#[test]
fn a_new_iteration_of_a_job_forgets_the_one_before() {
    let mut scene = job_scene(1, 1);
    let done = scene.task(1, (COMPLETE, COMPLETE), (0, 1));
    scene.service.state.job = Some(JobState { iteration: 2, last_execution: at(2) });

    assert_eq!(scene.decide(2), groups(&[&[want(&done, TaskState::Remove)]]));
    scene.last().state.desired = TaskState::Remove;
    assert_eq!(scene.decide(2), groups(&[&[make(1, COMPLETE)]]));
}

#[test]
fn a_global_job_completes_once_on_each_node() {
    let mut scene = Scene::new(ServiceSpec {
        mode: ServiceMode { global_job: Some(GlobalMode {}), ..ServiceMode::default() },
        ..spec("job", "run", 0)
    });
    on_node(&mut scene, 1, COMPLETE, COMPLETE);

    assert_eq!(scene.decide(1), groups(&[&[make_on(2, COMPLETE)]]));
    on_node(&mut scene, 2, RUNNING, COMPLETE);
    assert_eq!(scene.decide(1), Decision::default());
}

#[test]
fn only_new_tasks_and_tasks_to_forget_are_decided_once_for_several_transactions() {
    let check = |group: &[Change], expected: bool| assert_eq!(is_lasting(group), expected, "{group:?}");
    let task = Scene::new(spec("web", "run", 1)).running(1, 0);

    check(&[make(1, RUNNING)], true);
    check(&[want(&task, TaskState::Remove)], true);
    check(&[want(&task, TaskState::Shutdown)], false);
    check(&[want(&task, TaskState::Shutdown), make(1, RUNNING)], false);
    check(&[want(&task, RUNNING)], false);
    check(&[Change::Orphan(task)], false);
}
