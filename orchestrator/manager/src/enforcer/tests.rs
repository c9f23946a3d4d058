//! Which tasks a node must not keep, and what becomes of them.

use std::time::Duration;

use jiff::Timestamp;
use model::{Meta, Node, NodeHealth, PortConfig, Service, ServiceSpec, ServiceState, TaskSpec};
use tokio::task::JoinSet;

use super::*;
use crate::scheduler::testing::{
    NODE_CPUS, NODE_MEMORY, constrained, labelled, node, node_id, on, reserving, service_id, task,
};
use crate::testing::{RunningStore, running_store};

async fn create(running: &RunningStore, node: Node, tasks: Vec<Task>) {
    let created = running.store.update(move |tx| {
        tx.create_node(node)?;
        tasks.into_iter().try_for_each(|task| tx.create_task(task))
    });
    created.await.unwrap();
}

async fn change(running: &RunningStore, change: impl FnOnce(&mut Node) + Send + 'static) {
    running.store.update(|tx| tx.update_node(&node_id(1), None, change)).await.unwrap();
}

/// The slots of the tasks that node 1 must not keep.
fn slots(running: &RunningStore) -> BTreeSet<u64> {
    let view = running.store.view();
    violators(&view, &node_id(1)).iter().map(|id| view.task(id).unwrap().state.slot).collect()
}

fn running_on_1(number: u64, spec: &TaskSpec) -> Task {
    on(&task(number, 1, spec), 1, TaskState::Running)
}

#[tokio::test]
async fn a_node_keeps_no_task_whose_constraints_it_does_not_meet() {
    let running = running_store();
    let bound = constrained(&["node.labels.zone==east"]);
    let tasks = vec![
        running_on_1(1, &bound),
        on(&task(2, 2, &TaskSpec::default()), 1, TaskState::Running),
        on(&task(3, 3, &bound), 1, TaskState::Preparing),
    ];
    create(&running, labelled(1, "zone", "east"), tasks).await;
    assert_eq!(slots(&running), BTreeSet::new());

    change(&running, |node| drop(node.spec.labels.remove("zone"))).await;

    assert_eq!(slots(&running), BTreeSet::from([1, 3]));
}

#[tokio::test]
async fn the_constraints_are_those_that_the_service_has_now() {
    let running = running_store();
    create(&running, node(1), vec![running_on_1(1, &constrained(&["node.labels.zone==east"]))]).await;
    assert_eq!(slots(&running), BTreeSet::from([1]));
    let service = |constraints: &[&str]| Service {
        id: service_id(1),
        meta: Meta::default(),
        spec: ServiceSpec { name: "web".to_owned(), task_template: constrained(constraints), ..ServiceSpec::default() },
        state: ServiceState::default(),
    };
    let loose = service(&["node.role==worker"]);
    running.store.update(|tx| tx.create_service(loose)).await.unwrap();
    assert_eq!(slots(&running), BTreeSet::new());

    let strict = service(&["node.role==manager"]);
    let updated = running
        .store
        .update(move |tx| tx.update_service(&strict.id.clone(), None, |service| service.spec = strict.spec));
    updated.await.unwrap();

    assert_eq!(slots(&running), BTreeSet::from([1]));
}

#[tokio::test]
async fn the_youngest_go_where_less_is_left_than_is_reserved() {
    let running = running_store();
    let half = reserving(NODE_CPUS / 2, 0);
    create(&running, node(1), vec![running_on_1(2, &half)]).await;
    let later = running_on_1(1, &half);
    let of_memory = running_on_1(3, &reserving(0, NODE_MEMORY));
    let created = running.store.update(|tx| {
        tx.create_task(later)?;
        tx.create_task(of_memory)
    });
    created.await.unwrap();
    assert_eq!(slots(&running), BTreeSet::new());

    change(&running, |node| node.state.description.as_mut().unwrap().resources.nano_cpus -= 1).await;
    let view = running.store.view();
    let created_at = |number: u64| view.task(&running_on_1(number, &half).id).unwrap().meta.created_at;
    assert!(created_at(2) < created_at(1));
    assert_eq!(slots(&running), BTreeSet::from([1]));

    let more_memory = on(&task(4, 4, &reserving(0, 1)), 1, TaskState::Running);
    running.store.update(|tx| tx.create_task(more_memory)).await.unwrap();
    assert_eq!(slots(&running), BTreeSet::from([1, 4]));
    change(&running, |node| node.state.description = None).await;
    assert_eq!(slots(&running).len(), 4);
}

#[tokio::test]
async fn what_is_not_held_is_left_alone() {
    let running = running_store();
    let bound = constrained(&["node.role==manager"]);
    let in_state = |number: u64, state: TaskState, desired: TaskState| {
        let mut task = on(&task(number, 1, &bound), 1, state);
        task.state.desired = desired;
        task
    };
    let tasks = vec![
        in_state(1, TaskState::Running, TaskState::Shutdown),
        in_state(2, TaskState::Pending, TaskState::Running),
        in_state(3, TaskState::Failed, TaskState::Running),
        in_state(4, TaskState::Assigned, TaskState::Ready),
        in_state(5, TaskState::Running, TaskState::Complete),
    ];
    create(&running, node(1), tasks).await;

    assert_eq!(slots(&running), BTreeSet::from([4, 5]));
    for availability in [Availability::Pause, Availability::Drain] {
        change(&running, move |node| node.spec.availability = availability).await;
        assert_eq!(slots(&running), BTreeSet::new(), "{availability:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_rejected_in_dockers_words_when_its_node_changes() {
    let running = running_store();
    let moment = Timestamp::from_second(1_000).unwrap();
    let bound = running_on_1(1, &constrained(&["node.labels.zone==east"]));
    let free = on(&task(2, 2, &TaskSpec::default()), 1, TaskState::Running);
    create(&running, labelled(1, "zone", "east"), vec![bound.clone(), free.clone()]).await;
    let mut tasks = JoinSet::new();
    let cancel = CancellationToken::new();
    tasks.spawn(ConstraintEnforcer::new(running.store.clone(), Clock::new(move || moment)).run(cancel.clone()));
    change(&running, |node| node.state.status.state = NodeHealth::Ready).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(running.store.view().task(&bound.id).unwrap().state, bound.state);

    change(&running, |node| drop(node.spec.labels.remove("zone"))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let view = running.store.view();
    let rejected = view.task(&bound.id).unwrap();
    let status = &rejected.state.status;
    assert_eq!((status.state, status.applied_at), (TaskState::Rejected, moment));
    assert_eq!(status.message, "task rejected by constraint enforcer");
    assert_eq!(status.err, "assigned node no longer meets constraints");
    assert_eq!(rejected.state.desired, TaskState::Running);
    assert_eq!(view.task(&free.id).unwrap().state, free.state);
    cancel.cancel();
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_looks_at_every_node() {
    let running = running_store();
    let tasks: Vec<Task> =
        (1..=450).map(|number| running_on_1(number, &constrained(&["node.role==manager"]))).collect();
    create(&running, node(1), tasks).await;
    let mut running_enforcer = JoinSet::new();

    running_enforcer
        .spawn(ConstraintEnforcer::new(running.store.clone(), Clock::system()).run(CancellationToken::new()));
    tokio::time::sleep(Duration::from_secs(1)).await;

    let view = running.store.view();
    assert_eq!(view.tasks().filter(|task| task.state.status.state == TaskState::Rejected).count(), 450);
}

#[tokio::test(start_paused = true)]
async fn tasks_with_long_statuses_are_rejected_in_several_transactions() {
    let running = running_store();
    create(&running, labelled(1, "zone", "east"), Vec::new()).await;
    let port = || PortConfig { target_port: 80, publish_mode: "host".to_owned(), ..PortConfig::default() };
    for number in 1..=20 {
        let mut task = running_on_1(number, &constrained(&["node.labels.zone==east"]));
        task.state.status.ports = (0..3_000).map(|_| port()).collect();
        running.store.update(|tx| tx.create_task(task)).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    let cancel = CancellationToken::new();
    tasks.spawn(ConstraintEnforcer::new(running.store.clone(), Clock::system()).run(cancel.clone()));

    change(&running, |node| drop(node.spec.labels.remove("zone"))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let view = running.store.view();
    assert_eq!(view.tasks().filter(|task| task.state.status.state == TaskState::Rejected).count(), 20);
    cancel.cancel();
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), Ok(()));
}
