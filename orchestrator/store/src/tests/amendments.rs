//! What is written of a small change, and that older logs are read.

use std::sync::Arc;

use jiff::Timestamp;
use model::{
    ContainerSpec, Node, NodeDescription, NodeId, RaftId, RaftMember, Service, ServiceId, ServiceSpec, Task, TaskId,
    TaskSpec, TaskState, TaskStatus,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;

use super::{node, node_id};
use crate::codec::encode;
use crate::entry::Entry;
use crate::state::State;
use crate::table::Change;
use crate::tables::AnyChange;
use crate::{Snapshot, Transaction};

/// An entry in a form of the test's own.
#[derive(Serialize)]
struct OtherEntry<C> {
    format: u8,
    base: u64,
    time: Timestamp,
    changes: Vec<C>,
}

fn task() -> Task {
    let mut rng = StdRng::seed_from_u64(1);
    let container = ContainerSpec { env: vec!["x".repeat(4_000)], ..ContainerSpec::default() };
    let task_template = TaskSpec { container_spec: Some(container), ..TaskSpec::default() };
    let spec = ServiceSpec { name: "web".to_owned(), task_template, ..ServiceSpec::default() };
    let service = Service::new(ServiceId::generate(&mut rng), spec);
    Task::of(&service, TaskId::generate(&mut rng), 1, Timestamp::UNIX_EPOCH)
}

fn written(state: &Arc<State>, change: impl FnOnce(&mut Transaction)) -> (Vec<u8>, Arc<State>) {
    let time = Timestamp::from_second(9).unwrap();
    let mut transaction = Transaction::new(state, state.index, time);
    change(&mut transaction);
    let changed = transaction.finish().unwrap();
    (Entry::new(state.index, time, changed.changes).encode(), changed.state)
}

fn applied(state: &State, entry: &[u8]) -> Arc<State> {
    Arc::new(state.apply(state.index + 1, Entry::decode(entry).unwrap()).unwrap().0)
}

fn with_task() -> Arc<State> {
    let empty = Arc::new(State::default());
    applied(&empty, &written(&empty, |tx| tx.create_task(task()).unwrap()).0)
}

fn only_task(state: &Arc<State>) -> Task {
    Task::clone(Snapshot(Arc::clone(state)).tasks().next().unwrap())
}

#[test]
fn a_status_costs_its_own_bytes_and_changes_the_task_as_the_whole_would() {
    let check = |change: fn(&mut Task)| {
        let state = with_task();
        let id = task().id;
        let (entry, provisional) = written(&state, move |tx| tx.update_task(&id, change).unwrap());

        let after = applied(&state, &entry);

        assert!(entry.len() < 500, "{} bytes", entry.len());
        let mut expected = only_task(&state);
        change(&mut expected);
        expected.meta = only_task(&after).meta;
        // The store notes it, whoever reports.
        let is_running = expected.state.status.state == TaskState::Running;
        expected.state.status.running_since = is_running.then_some(expected.meta.updated_at);
        assert_eq!(only_task(&after), expected);
        assert_eq!(only_task(&provisional), expected);
    };

    check(|task| task.state.status = TaskStatus::new(TaskState::Running, "started", Timestamp::UNIX_EPOCH));
    check(|task| task.state.desired = TaskState::Shutdown);
    check(|task| {
        task.state.node_id = Some(node_id(1));
        task.state.status.state = TaskState::Assigned;
    });
}

#[test]
fn what_an_amendment_cannot_say_is_written_whole() {
    fn place(task: &mut Task) {
        task.state.node_id = Some(node_id(1));
    }

    let check = |change: fn(&mut Task)| {
        let state = with_task();
        let id = task().id;
        let placed = applied(&state, &written(&state, |tx| tx.update_task(&id, place).unwrap()).0);
        let (entry, _) = written(&placed, |tx| tx.update_task(&id, change).unwrap());

        let after = applied(&placed, &entry);

        let mut expected = only_task(&placed);
        change(&mut expected);
        expected.meta = only_task(&after).meta;
        assert_eq!(only_task(&after), expected);
    };
    check(|task| task.state.node_id = None);
    check(|task| task.state.slot = 7);
    check(|task| task.spec.force_update = 1);
    check(|task| task.state.node_id = Some(node_id(2)));
}

#[test]
fn entries_of_the_first_format_are_read() {
    let changes = vec![AnyChange::Task(Change::Put(task()))];
    let former = encode(&OtherEntry { format: 1, base: 0, time: Timestamp::UNIX_EPOCH, changes });

    let state = applied(&State::default(), &former);

    assert_eq!(only_task(&state).spec, task().spec);
}

#[test]
fn an_amendment_that_says_more_than_is_known_here_is_refused() {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Newer {
        Task(NewerChange),
    }
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum NewerChange {
        Amend(TaskId, NewerAmendment),
    }
    #[derive(Serialize)]
    struct NewerAmendment {
        node_id: NodeId,
        #[serde(skip_serializing_if = "Option::is_none")]
        colour: Option<&'static str>,
    }
    let newer = |format: u8, amendment: NewerAmendment| {
        let changes = vec![Newer::Task(NewerChange::Amend(task().id, amendment))];
        Entry::decode(&encode(&OtherEntry { format, base: 1, time: Timestamp::UNIX_EPOCH, changes }))
    };
    let amendment = |colour| NewerAmendment { node_id: node_id(1), colour };

    assert!(newer(2, amendment(Some("red"))).unwrap_err().to_string().contains("unknown field `colour`"));
    let words = "it is of format 3, and this version of the agent reads none beyond 2: a later one is needed here";
    for newest in [amendment(None), amendment(Some("red"))] {
        assert_eq!(newer(3, newest).unwrap_err().to_string(), words);
    }
}

/// A manager whose version reads so much, as far as it has said.
fn manager(number: u64, log_format: Option<u8>) -> Node {
    let mut manager = node(number);
    let addr = "10.0.0.1:2377".parse().unwrap();
    manager.state.member = Some(RaftMember { raft_id: RaftId(number), addr });
    let described = |log_format| NodeDescription { log_format, ..NodeDescription::default() };
    manager.state.description = log_format.map(described);
    manager
}

#[test]
fn nothing_is_written_that_a_manager_has_not_said_to_read() {
    let is_amended = |formats: &[Option<u8>]| {
        let mut state = with_task();
        for (number, format) in formats.iter().enumerate() {
            let (entry, _) = written(&state, |tx| tx.create_node(manager(number as u64, *format)).unwrap());
            state = applied(&state, &entry);
        }
        let id = task().id;
        let (entry, _) =
            written(&state, |tx| tx.update_task(&id, |task| task.state.desired = TaskState::Shutdown).unwrap());
        let format = Entry::decode(&entry).unwrap().format;
        let after = applied(&state, &entry);
        assert_eq!(only_task(&after).state.desired, TaskState::Shutdown);
        assert_eq!(entry.len() < 500, format == 2, "{} bytes of format {format}", entry.len());
        format == 2
    };

    assert!(is_amended(&[]), "whoever writes is alone");
    assert!(is_amended(&[Some(2), Some(2), Some(2)]));
    assert!(is_amended(&[Some(3), Some(2)]), "the later version reads it too");
    assert!(!is_amended(&[Some(2), Some(1), Some(2)]));
    assert!(!is_amended(&[Some(2), Some(0)]), "of a version that says nothing");
    assert!(!is_amended(&[Some(2), None, Some(2)]), "it has not been heard of yet");
}

#[test]
fn a_manager_that_is_upgraded_or_leaves_lifts_what_it_held_back() {
    let state = with_task();
    let of = |state: &State| state.common_format();
    let (first, _) = written(&state, |tx| tx.create_node(manager(1, Some(2))).unwrap());
    let (older, state) = {
        let state = applied(&state, &first);
        (written(&state, |tx| tx.create_node(manager(2, Some(1))).unwrap()).0, state)
    };
    let held_back = applied(&state, &older);
    let id = node_id(2);

    let upgrade = |node: &mut Node| node.state.description.as_mut().unwrap().log_format = 2;
    let upgraded = applied(&held_back, &written(&held_back, |tx| tx.update_node(&id, None, upgrade).unwrap()).0);
    let demote = |node: &mut Node| node.state.member = None;
    let demoted = applied(&held_back, &written(&held_back, |tx| tx.update_node(&id, None, demote).unwrap()).0);

    assert_eq!((of(&state), of(&held_back), of(&upgraded), of(&demoted)), (2, 1, 2, 2));
}

#[test]
fn a_snapshot_of_a_later_format_is_told_as_that() {
    #[derive(Serialize)]
    struct Later {
        format: u8,
        colours: Vec<u8>,
    }

    let refusal = State::decode(&encode(&Later { format: 2, colours: vec![1] })).unwrap_err().to_string();

    assert_eq!(
        refusal,
        "it is of format 2, and this version of the agent reads none beyond 1: a later one is needed here"
    );
}
