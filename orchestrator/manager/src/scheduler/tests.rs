//! The scheduler over a store: what it writes, what it leaves alone, and what it does when it is outrun.

mod term;

use std::pin::pin;
use std::time::Duration;

use model::{ContainerSpec, ErrorKind, Node, TaskSpec};
use rand::SeedableRng;
use store::{MAX_TRANSACTION_BYTES, MemoryProposer};
use tokio::task::JoinSet;

use super::testing::{NODE_CPUS, constrained, labelled, node, node_id, on, reserving, task};
use super::*;
use crate::testing::{RunningStore, running_store};

const MOMENT: i64 = 1_000;

fn scheduler(store: &Store) -> Scheduler {
    let clock = Clock::new(|| Timestamp::from_second(MOMENT).unwrap());
    Scheduler::new(store.clone(), clock, StdRng::seed_from_u64(7))
}

/// A store with these objects, and a scheduler that runs over it.
async fn scheduling(nodes: Vec<Node>, tasks: Vec<Task>) -> (RunningStore, JoinSet<Result<(), SwarmError>>) {
    let running = running_store();
    create(&running.store, nodes, tasks).await;
    let mut components = JoinSet::new();
    components.spawn(scheduler(&running.store).run(CancellationToken::new()));
    settled().await;
    (running, components)
}

async fn create(store: &Store, nodes: Vec<Node>, tasks: Vec<Task>) {
    let created = store.update(|tx| {
        nodes.into_iter().try_for_each(|node| tx.create_node(node))?;
        tasks.into_iter().try_for_each(|task| tx.create_task(task))
    });
    created.await.unwrap();
}

async fn change_node(store: &Store, number: u64, change: impl FnOnce(&mut Node) + Send + 'static) {
    store.update(move |tx| tx.update_node(&node_id(number), None, change)).await.unwrap();
}

async fn change_task(store: &Store, id: &TaskId, change: impl FnOnce(&mut Task) + Send + 'static) {
    let id = id.clone();
    store.update(move |tx| tx.update_task(&id, change)).await.unwrap();
}

/// Time is paused: it passes once everybody has nothing left to do.
async fn settled() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn known(running: &RunningStore, task: &Task) -> Arc<Task> {
    Arc::clone(running.store.view().task(&task.id).unwrap())
}

fn assigned(store: &Store) -> usize {
    store.view().tasks().filter(|task| task.state.status.state == TaskState::Assigned).count()
}

#[tokio::test(start_paused = true)]
async fn a_pending_task_gets_a_node_in_dockers_words() {
    let (waiting, holder) =
        (task(1, 1, &TaskSpec::default()), on(&task(2, 1, &TaskSpec::default()), 1, TaskState::Running));
    let (running, _components) = scheduling(vec![node(1), node(2)], vec![waiting.clone(), holder.clone()]).await;

    let state = &known(&running, &waiting).state;

    assert_eq!(state.node_id, Some(node_id(2)));
    let expected = TaskStatus::new(
        TaskState::Assigned,
        "scheduler assigned task to node",
        Timestamp::from_second(MOMENT).unwrap(),
    );
    assert_eq!(state.status, expected);
    assert_eq!(known(&running, &holder).state, holder.state);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fits_nowhere_says_why_until_it_gets_a_node() {
    let waiting = task(1, 1, &constrained(&["node.labels.zone==east"]));
    let (running, _components) = scheduling(vec![node(1)], vec![waiting.clone()]).await;
    let status = known(&running, &waiting).state.status.clone();
    assert_eq!((status.state, status.message.as_str()), (TaskState::Pending, "pending task scheduling"));
    assert_eq!(status.err, "no suitable node (scheduling constraints not satisfied on 1 node)");
    let index = running.store.view().index();

    // What changes nothing is not written.
    change_node(&running.store, 1, |node| node.state.status.message = "heartbeat".to_owned()).await;
    settled().await;
    assert_eq!(running.store.view().index(), index + 1);
    create(&running.store, vec![labelled(2, "zone", "east")], Vec::new()).await;
    settled().await;

    let state = &known(&running, &waiting).state;
    assert_eq!((state.status.state, state.node_id.clone()), (TaskState::Assigned, Some(node_id(2))));
    assert_eq!(state.status.err, "");
}

#[tokio::test(start_paused = true)]
async fn what_others_give_back_goes_to_who_waits() {
    let holder = on(&task(1, 1, &reserving(NODE_CPUS, 0)), 1, TaskState::Running);
    let waiting = task(2, 2, &reserving(NODE_CPUS, 0));
    let (running, _components) = scheduling(vec![node(1)], vec![holder.clone(), waiting.clone()]).await;
    assert_eq!(known(&running, &waiting).state.status.err, "no suitable node (insufficient resources on 1 node)");

    change_task(&running.store, &holder.id, |task| task.state.desired = TaskState::Shutdown).await;
    settled().await;
    assert_eq!(known(&running, &waiting).state.status.state, TaskState::Pending);
    change_task(&running.store, &holder.id, |task| task.state.status.state = TaskState::Shutdown).await;
    settled().await;

    assert_eq!(known(&running, &waiting).state.node_id, Some(node_id(1)));
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_node_is_chosen_is_confirmed_or_says_why_not() {
    let bound = |number: u64, there: u64| {
        let mut task = task(number, 1, &TaskSpec::default());
        task.state.node_id = Some(node_id(there));
        task
    };
    let mut paused = node(2);
    paused.spec.availability = model::Availability::Pause;
    let (here, there) = (bound(1, 1), bound(2, 2));

    let (running, _components) = scheduling(vec![node(1), paused], vec![here.clone(), there.clone()]).await;

    let confirmed = &known(&running, &here).state;
    assert_eq!((confirmed.status.state, confirmed.node_id.clone()), (TaskState::Assigned, Some(node_id(1))));
    assert_eq!(confirmed.status.message, "scheduler confirmed task can run on preassigned node");
    let status = &known(&running, &there).state.status;
    assert_eq!((status.state, status.err.as_str()), (TaskState::Pending, "1 node not available for new tasks"));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_given_up_before_it_had_a_node_ends() {
    let waiting = task(1, 1, &constrained(&["node.role==manager"]));
    let (running, _components) = scheduling(vec![node(1)], vec![waiting.clone()]).await;
    assert_ne!(known(&running, &waiting).state.status.err, "");

    change_task(&running.store, &waiting.id, |task| task.state.desired = TaskState::Shutdown).await;
    settled().await;

    let state = &known(&running, &waiting).state;
    assert_eq!((state.status.state, state.node_id.clone()), (TaskState::Shutdown, None));
    assert_eq!(state.status.err, "");
}

#[tokio::test(start_paused = true)]
async fn many_tasks_take_several_transactions() {
    let nodes: Vec<Node> = (1..=10).map(node).collect();
    let (running, _components) = scheduling(nodes, Vec::new()).await;
    let tasks: Vec<Task> = (0..1000).map(|number| task(number, number % 3, &TaskSpec::default())).collect();

    create(&running.store, Vec::new(), tasks).await;
    settled().await;

    let view = running.store.view();
    assert_eq!(assigned(&running.store), 1000);
    assert!(view.nodes().all(|node| view.tasks_of_node(&node.id).count() == 100));
}

#[tokio::test(start_paused = true)]
async fn tasks_as_large_as_a_transaction_get_their_nodes_in_one() {
    let running = running_store();
    let container = ContainerSpec { env: vec!["x".repeat(MAX_TRANSACTION_BYTES - 4_096)], ..ContainerSpec::default() };
    let large = TaskSpec { container_spec: Some(container), ..TaskSpec::default() };
    for number in 0..4 {
        create(&running.store, Vec::new(), vec![task(number, 1, &large)]).await;
    }
    create(&running.store, vec![node(1)], Vec::new()).await;

    let mut components = JoinSet::new();
    components.spawn(scheduler(&running.store).run(CancellationToken::new()));
    settled().await;

    assert_eq!((assigned(&running.store), components.len()), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_is_overtaken_is_not_carried_out() {
    let running = running_store();
    let tasks: Vec<Task> = (1..=6).map(|number| task(number, 1, &TaskSpec::default())).collect();
    create(&running.store, vec![node(1), node(2)], tasks.clone()).await;
    let view = running.store.view();
    let decide = |number: usize, outcome: Outcome| Decision {
        task: Arc::clone(view.task(&tasks[number - 1].id).unwrap()),
        outcome,
    };
    let to = |number: u64| Outcome::Assigned(Arc::clone(view.node(&node_id(number)).unwrap()));
    let decisions = vec![
        decide(1, to(1)),
        decide(2, to(2)),
        decide(3, to(1)),
        decide(4, Outcome::Unplaced("no suitable node".into())),
        decide(5, Outcome::Ended),
        decide(6, to(1)),
    ];
    change_node(&running.store, 2, |node| node.spec.availability = model::Availability::Drain).await;
    change_task(&running.store, &tasks[2].id, |task| task.state.desired = TaskState::Remove).await;
    change_task(&running.store, &tasks[3].id, |task| {
        task.state.node_id = Some(node_id(1));
        task.state.status.state = TaskState::Running;
    })
    .await;
    change_task(&running.store, &tasks[5].id, |task| task.state.node_id = Some(node_id(2))).await;

    running.store.update(move |tx| carry_out(tx, &decisions, Timestamp::UNIX_EPOCH)).await.unwrap();

    let states: Vec<TaskState> = tasks.iter().map(|task| known(&running, task).state.status.state).collect();
    let pending = TaskState::Pending;
    assert_eq!(states, [TaskState::Assigned, pending, pending, TaskState::Running, pending, pending]);
    let gone = decide(1, to(1));
    let removed = tasks[0].id.clone();
    running.store.update(move |tx| tx.remove_task(&removed)).await.unwrap();
    running.store.update(move |tx| carry_out(tx, &[gone], Timestamp::UNIX_EPOCH)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_changes_while_it_is_chosen_is_looked_at_anew() {
    let running = running_store();
    create(&running.store, vec![node(1)], vec![task(1, 1, &constrained(&["node.labels.zone!=east"]))]).await;
    let mut scheduler = scheduler(&running.store);
    scheduler.begin();
    change_node(&running.store, 1, |node| drop(node.spec.labels.insert("zone".to_owned(), "east".to_owned()))).await;

    scheduler.schedule().await.unwrap();

    let status = &known(&running, &task(1, 1, &TaskSpec::default())).state.status;
    assert_eq!(status.err, "no suitable node (scheduling constraints not satisfied on 1 node)");
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_fell_behind_starts_anew() {
    let running = running_store();
    create(&running.store, vec![node(1)], Vec::new()).await;
    let cancel = CancellationToken::new();
    let mut run = pin!(scheduler(&running.store).run(cancel.clone()));
    assert!(run.as_mut().now_or_never().is_none());
    for number in 1..=1_500 {
        create(&running.store, Vec::new(), vec![task(number, number, &TaskSpec::default())]).await;
    }

    tokio::select! {
        ended = &mut run => panic!("{ended:?}"),
        () = settled() => {}
    }

    assert_eq!(assigned(&running.store), 1_500);
    cancel.cancel();
    assert_eq!(run.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_term_that_is_over_ends_the_scheduler() {
    let store = Store::new(Clock::system());
    let proposer = Arc::new(MemoryProposer::new(&store));
    let mut tasks = JoinSet::new();
    let (running, leading) = (store.clone(), Arc::clone(&proposer));
    tasks.spawn(async move { running.run(leading, CancellationToken::new()).await });
    create(&store, vec![node(1)], vec![task(1, 1, &TaskSpec::default())]).await;

    proposer.set_term(None);
    let outcome = scheduler(&store).run(CancellationToken::new()).await;

    assert_eq!(outcome.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(assigned(&store), 0);
}
