//! The world around a store: its clock, a scheduler, and nodes that do with tasks what real ones do.
//!
//! What a container does is said by its image: `run` runs, `reject` cannot be prepared, `broken` fails as it starts,
//! `fail SECONDS` and `finish SECONDS` end after so long, `nowhere` fits no node; `stop SECONDS` takes so long to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use model::{Availability, NodeHealth, NodeId, SwarmError, Task, TaskId, TaskState, TaskStatus};
use store::{Clock, Event, Store, Transaction, WatchError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::objects::at;
use crate::allowance::{Allowance, STATE_BYTES};

/// What a node takes for one step of a task.
const STEP: Duration = Duration::from_millis(20);

/// A clock that goes with tokio's, and never tells the same moment twice.
pub(super) fn clock() -> Clock {
    let (began, ticks) = (Instant::now(), AtomicI64::new(0));
    Clock::new(move || {
        let passed = SignedDuration::try_from(began.elapsed()).unwrap();
        let tick = SignedDuration::from_nanos(ticks.fetch_add(1, Ordering::Relaxed));
        at(0).checked_add(passed + tick).unwrap()
    })
}

/// Assigns pending tasks to the node with the fewest that takes tasks.
pub(super) async fn schedule(store: Store, clock: Clock, term: CancellationToken) -> Result<(), SwarmError> {
    let mut events = store.view_and_watch().1;
    loop {
        let now = clock.now();
        store.update(move |tx| assign(tx, now)).await?;
        tokio::select! {
            () = term.cancelled() => return Ok(()),
            event = events.recv() => if let Err(WatchError::Lagged(_)) = event {
                events = store.view_and_watch().1;
            },
        }
        while !matches!(events.recv().now_or_never(), None | Some(Ok(Event::Committed { .. }))) {}
    }
}

fn assign(tx: &mut Transaction, now: Timestamp) -> Result<(), SwarmError> {
    let view = tx.view();
    let takes_tasks = |node: &NodeId| {
        view.node(node).is_some_and(|node| {
            node.state.status.state == NodeHealth::Ready && node.spec.availability == Availability::Active
        })
    };
    let mut load: BTreeMap<NodeId, usize> = view
        .nodes()
        .filter(|node| takes_tasks(&node.id))
        .map(|node| (node.id.clone(), view.tasks_of_node(&node.id).filter(|task| may_run(task)).count()))
        .collect();
    let pending = view
        .tasks()
        .filter(|task| task.state.status.state == TaskState::Pending && task.state.desired < TaskState::Shutdown);
    let mut allowance = Allowance::default();
    for task in pending.cloned().collect::<Vec<_>>() {
        let least = load.iter().min_by_key(|(_, tasks)| **tasks).map(|(node, _)| node.clone());
        let node = task.state.node_id.clone().filter(takes_tasks).or(least.filter(|_| task.state.node_id.is_none()));
        if !allowance.take(1, STATE_BYTES) {
            break;
        }
        match node {
            Some(node) if image(&task) != "nowhere" => {
                *load.entry(node.clone()).or_default() += 1;
                tx.update_task(&task.id, |task| {
                    task.state.node_id = Some(node);
                    task.state.status = TaskStatus::new(TaskState::Assigned, "scheduler assigned task to node", now);
                })?;
            }
            Some(_) | None => tx.update_task(&task.id, |task| {
                "no suitable node (none fits)".clone_into(&mut task.state.status.err);
            })?,
        }
    }
    Ok(())
}

fn may_run(task: &Task) -> bool {
    !task.state.status.state.is_terminal()
}

fn image(task: &Task) -> &str {
    &task.spec.container_spec.as_ref().unwrap().image
}

/// Does what nodes do with their tasks: one step after another, each in its time.
pub(super) async fn run_nodes(store: Store, clock: Clock, silent: Arc<Mutex<BTreeSet<NodeId>>>) {
    let mut events = store.view_and_watch().1;
    let mut planned: BTreeMap<TaskId, (TaskState, Instant)> = BTreeMap::new();
    loop {
        let view = store.view();
        let mut next: BTreeMap<TaskId, (TaskState, Instant)> = BTreeMap::new();
        for task in view.tasks() {
            let is_heard = task.state.node_id.as_ref().is_some_and(|node| !silent.lock().unwrap().contains(node));
            if let Some((state, time)) = next_step(task).filter(|_| is_heard) {
                let known = planned.get(&task.id).copied().filter(|(planned, _)| *planned == state);
                next.insert(task.id.clone(), known.unwrap_or((state, Instant::now() + time)));
            }
        }
        planned = next;
        let first = planned.values().map(|(_, moment)| *moment).min();
        tokio::select! {
            event = events.recv() => match event {
                Err(WatchError::Lagged(_)) => events = store.view_and_watch().1,
                Err(WatchError::Closed) => return,
                Ok(_) => while let Some(Ok(_)) = events.recv().now_or_never() {},
            },
            () = async { tokio::time::sleep_until(first.unwrap()).await }, if first.is_some() => {
                let due: Vec<(TaskId, TaskState)> = planned
                    .iter()
                    .filter(|(_, (_, moment))| *moment <= Instant::now())
                    .map(|(task, (state, _))| (task.clone(), *state))
                    .collect();
                let now = clock.now();
                let reported = store.update(move |tx| report(tx, due, now)).await;
                reported.unwrap();
            }
        }
    }
}

fn report(tx: &mut Transaction, due: Vec<(TaskId, TaskState)>, now: Timestamp) -> Result<(), SwarmError> {
    let mut allowance = Allowance::default();
    for (task, state) in due {
        if tx.view().task(&task).is_none_or(|task| task.state.status.state >= state) {
            continue;
        }
        if !allowance.take(1, STATE_BYTES) {
            break;
        }
        tx.update_task(&task, |task| task.state.status = TaskStatus::new(state, "observed", now))?;
    }
    Ok(())
}

/// What a node does next with a task, and how long that takes.
fn next_step(task: &Task) -> Option<(TaskState, Duration)> {
    let (behaviour, seconds) = image(task).split_once(' ').unwrap_or((image(task), "0"));
    let time = Duration::from_secs(seconds.parse().unwrap());
    let state = task.state.status.state;
    if state < TaskState::Assigned || state.is_terminal() {
        return None;
    }
    if task.state.desired >= TaskState::Shutdown {
        let takes_time = behaviour == "stop" && state >= TaskState::Starting;
        return Some((TaskState::Shutdown, if takes_time { time } else { STEP }));
    }
    let is_held = task.state.desired <= TaskState::Ready;
    let next = if state < TaskState::Ready {
        (if behaviour == "reject" { TaskState::Rejected } else { TaskState::Ready }, STEP)
    } else if is_held {
        return None;
    } else if state < TaskState::Running {
        (if behaviour == "broken" { TaskState::Failed } else { TaskState::Running }, STEP)
    } else {
        match behaviour {
            "fail" => (TaskState::Failed, time),
            "finish" => (TaskState::Complete, time),
            _ => return None,
        }
    };
    Some(next)
}
