//! What the ledger decides, example by example; `properties` says what holds for all.

mod properties;

use std::collections::BTreeMap;

use model::{Availability, NodeHealth, Placement, TaskSpec};

use super::super::testing::{
    NODE_CPUS, constrained, host_port, labelled, node, node_id, on, placed, reserving, service_id, spread, task,
};
use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A ledger that knows these nodes and tasks.
fn ledger(nodes: Vec<Node>, tasks: Vec<Task>) -> Ledger {
    seeded(7, nodes, tasks)
}

/// The same, for another seed.
fn seeded(seed: u64, nodes: Vec<Node>, tasks: Vec<Task>) -> Ledger {
    let mut ledger = Ledger::new(seed);
    for node in nodes {
        ledger.note_node(&Arc::new(node));
    }
    for task in tasks {
        ledger.note_task(&Arc::new(task), NOW);
    }
    ledger
}

/// Tasks of one service that wait for nodes.
fn waiting(numbers: impl IntoIterator<Item = u64>, service: u64, spec: &TaskSpec) -> Vec<Task> {
    numbers.into_iter().map(|number| task(number, service, spec)).collect()
}

/// How many tasks each node was given.
fn counts(decisions: &[Decision]) -> BTreeMap<NodeId, usize> {
    let mut counts = BTreeMap::new();
    for decision in decisions {
        if let Outcome::Assigned(node) = &decision.outcome {
            *counts.entry(node.id.clone()).or_default() += 1;
        }
    }
    counts
}

/// The explanations, each with the tasks that have it.
fn explanations(decisions: &[Decision]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for decision in decisions {
        if let Outcome::Unplaced(explanation) = &decision.outcome {
            *counts.entry(explanation.to_string()).or_default() += 1;
        }
    }
    counts
}

fn sorted(counts: &BTreeMap<NodeId, usize>) -> Vec<usize> {
    let mut counts: Vec<usize> = counts.values().copied().collect();
    counts.sort_unstable();
    counts
}

#[test]
fn tasks_are_dealt_out_evenly() {
    let nodes = (1..=3).map(node).collect();

    let decisions = ledger(nodes, waiting(1..=7, 1, &TaskSpec::default())).decide(NOW);

    assert_eq!(sorted(&counts(&decisions)), [2, 2, 3]);
}

#[test]
fn what_does_not_fit_waits_with_its_reason_and_the_lower_slots_go_first() {
    let nodes = vec![node(1), labelled(2, "tier", "back")];
    let mut spec = reserving(NODE_CPUS / 2, 0);
    spec.placement = constrained(&["node.labels.tier!=back"]).placement;

    let decisions = ledger(nodes, waiting(1..=3, 1, &spec)).decide(NOW);

    assert_eq!(counts(&decisions), BTreeMap::from([(node_id(1), 2)]));
    let reason = "no suitable node (insufficient resources on 1 node; scheduling constraints not satisfied on 1 node)";
    assert_eq!(explanations(&decisions), BTreeMap::from([(reason.to_owned(), 1)]));
    let unplaced = decisions.iter().find(|decision| matches!(decision.outcome, Outcome::Unplaced(_)));
    assert_eq!(unplaced.unwrap().task.state.slot, 3);
}

#[test]
fn without_nodes_there_is_no_suitable_one() {
    let decisions = ledger(Vec::new(), waiting([1], 1, &TaskSpec::default())).decide(NOW);

    assert_eq!(explanations(&decisions), BTreeMap::from([("no suitable node".to_owned(), 1)]));
}

#[test]
fn a_reason_that_is_known_is_not_given_again() {
    let mut known = task(1, 1, &constrained(&["node.role==manager"]));
    known.state.status.err = "no suitable node (scheduling constraints not satisfied on 1 node)".to_owned();

    assert_eq!(ledger(vec![node(1)], vec![known]).decide(NOW).len(), 0);
}

#[test]
fn what_found_nothing_is_tried_again_only_when_something_became_better() {
    let nodes = vec![node(1)];
    let holder = on(&task(9, 2, &reserving(NODE_CPUS, 0)), 1, TaskState::Running);
    let waiting = task(1, 1, &reserving(1, 0));
    let mut ledger = ledger(nodes, vec![holder.clone(), waiting.clone()]);
    assert_eq!(explanations(&ledger.decide(NOW)).len(), 1);

    assert_eq!(ledger.decide(NOW).len(), 0);
    // Nothing that a task may ask for.
    let mut seen = node(1);
    seen.state.is_unreachable = true;
    ledger.note_node(&Arc::new(seen));
    assert!(ledger.queue.take_anywhere(&ledger.nodes).is_empty());
    ledger.note_task(&Arc::new(on(&holder, 1, TaskState::Complete)), NOW);

    assert_eq!(counts(&ledger.decide(NOW)), BTreeMap::from([(node_id(1), 1)]));
}

#[test]
fn a_new_node_and_a_node_that_changes_are_tried() {
    let mut ledger = ledger(vec![node(1)], waiting([1], 1, &constrained(&["node.labels.zone==east"])));
    assert_eq!(explanations(&ledger.decide(NOW)).len(), 1);
    ledger.note_node(&Arc::new(node(2)));
    assert_eq!(explanations(&ledger.decide(NOW)).len(), 1);

    ledger.note_node(&Arc::new(labelled(1, "zone", "east")));

    assert_eq!(counts(&ledger.decide(NOW)), BTreeMap::from([(node_id(1), 1)]));
}

#[test]
fn a_bound_task_is_only_checked() {
    let bound = |number: u64, on: u64, spec: &TaskSpec| {
        let mut task = task(number, number, spec);
        task.state.node_id = Some(node_id(on));
        task
    };
    let nodes = vec![node(1), node(2)];
    let full = bound(2, 2, &reserving(NODE_CPUS + 1, 0));
    let mut ledger = ledger(nodes, vec![bound(1, 2, &TaskSpec::default()), full, bound(3, 3, &TaskSpec::default())]);

    let decisions = ledger.decide(NOW);

    assert_eq!(counts(&decisions), BTreeMap::from([(node_id(2), 1)]));
    assert_eq!(explanations(&decisions), BTreeMap::from([("insufficient resources on 1 node".to_owned(), 1)]));
    ledger.note_node(&Arc::new(node(3)));
    assert_eq!(counts(&ledger.decide(NOW)), BTreeMap::from([(node_id(3), 1)]));
    let mut larger = node(2);
    larger.state.description.as_mut().unwrap().resources.nano_cpus *= 2;
    ledger.note_node(&Arc::new(larger));
    assert_eq!(counts(&ledger.decide(NOW)), BTreeMap::from([(node_id(2), 1)]));
}

#[test]
fn a_bound_task_is_tried_again_when_its_node_has_room() {
    let holder = on(&task(9, 9, &reserving(NODE_CPUS, 0)), 1, TaskState::Running);
    let elsewhere = on(&task(8, 8, &reserving(NODE_CPUS, 0)), 2, TaskState::Running);
    let bound = on(&task(1, 1, &reserving(NODE_CPUS, 0)), 1, TaskState::Pending);
    let mut ledger = ledger(vec![node(1), node(2)], vec![holder.clone(), elsewhere.clone(), bound]);
    assert_eq!(explanations(&ledger.decide(NOW)).len(), 1);

    ledger.forget_task(&elsewhere.id);
    assert!(ledger.queue.take_bound(&ledger.nodes).is_empty());
    ledger.forget_task(&holder.id);

    assert_eq!(counts(&ledger.decide(NOW)), BTreeMap::from([(node_id(1), 1)]));
}

#[test]
fn a_new_task_of_a_group_that_found_nothing_is_told_why() {
    let spec = constrained(&["node.role==manager"]);
    let mut ledger = ledger(vec![node(1)], waiting([1, 2], 1, &spec));
    assert_eq!(ledger.decide(NOW).len(), 2);
    let told = |number: u64| {
        let mut task = task(number, 1, &spec);
        task.state.status.err = "no suitable node (scheduling constraints not satisfied on 1 node)".to_owned();
        task
    };
    for number in [1, 2] {
        ledger.note_task(&Arc::new(told(number)), NOW);
    }

    ledger.note_task(&Arc::new(task(3, 1, &spec)), NOW);

    let decisions = ledger.decide(NOW);
    assert_eq!(decisions.iter().map(|decision| decision.task.state.slot).collect::<Vec<_>>(), [3]);
}

#[test]
fn what_nobody_wants_any_more_ends_without_a_node() {
    let mut unwanted = task(1, 1, &TaskSpec::default());
    unwanted.state.desired = TaskState::Shutdown;
    let mut removed = task(2, 1, &TaskSpec::default());
    removed.state.desired = TaskState::Remove;

    let decisions = ledger(vec![node(1)], vec![unwanted.clone(), removed]).decide(NOW);

    let [Decision { task, outcome: Outcome::Ended }] = &decisions[..] else { panic!("{decisions:?}") };
    assert_eq!(task.id, unwanted.id);
}

#[test]
fn a_job_is_placed_like_a_service() {
    let mut job = task(1, 1, &TaskSpec::default());
    job.state.desired = TaskState::Complete;
    let mut made_ready = task(2, 1, &TaskSpec::default());
    made_ready.state.desired = TaskState::Ready;

    let decisions = ledger(vec![node(1)], vec![job, made_ready]).decide(NOW);

    assert_eq!(sorted(&counts(&decisions)), [2]);
}

#[test]
fn only_pending_tasks_are_placed() {
    let fresh = |state: TaskState| {
        let mut task = task(1, 1, &TaskSpec::default());
        task.state.status.state = state;
        task
    };
    for state in [TaskState::New, TaskState::Failed, TaskState::Shutdown, TaskState::Orphaned] {
        assert_eq!(ledger(vec![node(1)], vec![fresh(state)]).decide(NOW).len(), 0, "{state:?}");
    }
}

#[test]
fn nodes_with_fewer_tasks_of_the_service_come_first_then_those_with_fewer_then_those_with_less_reserved() {
    let nodes = || vec![node(1), node(2)];
    let check = |others: &[(u64, u64, TaskSpec)], expected: u64| {
        let others = others.iter().zip(10..);
        let mut tasks: Vec<Task> = others
            .map(|((node, service, spec), number)| on(&task(number, *service, spec), *node, TaskState::Running))
            .collect();
        tasks.push(task(1, 1, &TaskSpec::default()));
        let decisions = ledger(nodes(), tasks).decide(NOW);
        assert_eq!(counts(&decisions), BTreeMap::from([(node_id(expected), 1)]), "{expected}");
    };
    let (small, large) = (TaskSpec::default(), reserving(NODE_CPUS / 2, 0));
    check(&[(1, 1, small.clone()), (2, 2, large.clone()), (2, 3, large.clone())], 2);
    check(&[(1, 2, small.clone()), (1, 3, small.clone()), (2, 2, large.clone())], 2);
    check(&[(1, 2, large.clone()), (2, 2, reserving(1 << 20, 1 << 20))], 2);
    check(&[(1, 2, reserving(1 << 20, 1 << 20)), (2, 2, large)], 1);
}

#[test]
fn a_task_that_is_no_longer_wanted_takes_its_share_but_does_not_count() {
    let spec = placed(Placement { max_replicas: 1, ..Placement::default() });
    let mut stopping = on(&task(9, 1, &spec), 1, TaskState::Running);
    stopping.state.desired = TaskState::Shutdown;
    stopping.state.ports = vec![host_port("tcp", 80)];
    let mut publishing = task(2, 2, &TaskSpec::default());
    publishing.state.ports = vec![host_port("tcp", 80)];

    let decisions = ledger(vec![node(1)], vec![stopping, task(1, 1, &spec), publishing]).decide(NOW);

    assert_eq!(sorted(&counts(&decisions)), [1]);
    let reason = "no suitable node (host-mode port already in use on 1 node)".to_owned();
    assert_eq!(explanations(&decisions), BTreeMap::from([(reason, 1)]));
}

#[test]
fn a_node_where_a_service_keeps_failing_comes_last_for_this_revision() {
    let failed = |number: u64, state: TaskState| on(&task(number, 1, &TaskSpec::default()), 1, state);
    let mut history: Vec<Task> = (10..14).map(|number| failed(number, TaskState::Failed)).collect();
    let others = (20..25).map(|number| on(&task(number, 2, &TaskSpec::default()), 2, TaskState::Running));
    history.extend(others);
    let mut ledger = ledger(vec![node(1), node(2)], history);
    ledger.note_task(&Arc::new(task(1, 1, &TaskSpec::default())), NOW);
    assert_eq!(counts(&ledger.decide(NOW)), BTreeMap::from([(node_id(1), 1)]));

    ledger.note_task(&Arc::new(failed(14, TaskState::Rejected)), NOW);
    ledger.note_task(&Arc::new(failed(1, TaskState::Failed)), NOW);
    let mut of_next = task(3, 1, &TaskSpec::default());
    of_next.state.spec_revision = 2;
    ledger.note_task(&Arc::new(task(2, 1, &TaskSpec::default())), NOW);
    assert_eq!(counts(&ledger.decide(NOW)), BTreeMap::from([(node_id(2), 1)]));
    ledger.note_task(&Arc::new(of_next), NOW);

    assert_eq!(counts(&ledger.decide(NOW)), BTreeMap::from([(node_id(1), 1)]));
}

#[test]
fn branches_are_evened_out_and_full_ones_are_passed_by() {
    let mut nodes: Vec<Node> = (1..=4).map(|number| labelled(number, "zone", "east")).collect();
    nodes.push(labelled(5, "zone", "west"));
    nodes.push(node(6));
    let in_zones = |counts: &BTreeMap<NodeId, usize>| {
        let of = |numbers: &[u64]| numbers.iter().filter_map(|number| counts.get(&node_id(*number))).sum::<usize>();
        (of(&[1, 2, 3, 4]), of(&[5]), of(&[6]))
    };
    let even = ledger(nodes.clone(), waiting(1..=9, 1, &spread(&["node.labels.zone"]))).decide(NOW);
    assert_eq!(in_zones(&counts(&even)), (3, 3, 3));

    let mut spec = reserving(NODE_CPUS / 2, 0);
    spec.placement = spread(&["node.labels.zone"]).placement;
    let full = ledger(nodes, waiting(1..=9, 1, &spec)).decide(NOW);

    assert_eq!(in_zones(&counts(&full)), (5, 2, 2));
}

#[test]
fn a_tree_has_a_level_for_each_preference_and_what_is_no_label_has_none() {
    let mut nodes = Vec::new();
    for (number, zone, rack) in
        [(1, "east", "a"), (2, "east", "a"), (3, "east", "b"), (4, "west", "c"), (5, "west", "c")]
    {
        let mut node = labelled(number, "zone", zone);
        let engine = &mut node.state.description.as_mut().unwrap().engine;
        engine.labels.insert("rack".to_owned(), rack.to_owned());
        nodes.push(node);
    }
    let spec = spread(&["node.id", "NODE.labels.zone", "engine.labels.rack"]);

    let counts = counts(&ledger(nodes, waiting(1..=8, 1, &spec)).decide(NOW));

    let of = |numbers: &[u64]| numbers.iter().filter_map(|number| counts.get(&node_id(*number))).sum::<usize>();
    assert_eq!((of(&[1, 2]), of(&[3]), of(&[4, 5])), (2, 2, 4));
    assert_eq!((of(&[1]), of(&[4])), (1, 2));
}

#[test]
fn tasks_on_nodes_that_take_none_count_for_their_branch() {
    let mut paused = labelled(1, "zone", "east");
    paused.spec.availability = Availability::Pause;
    let nodes = vec![paused, labelled(2, "zone", "east"), labelled(3, "zone", "west")];
    let spec = spread(&["node.labels.zone"]);
    let mut tasks: Vec<Task> = (10..12).map(|number| on(&task(number, 1, &spec), 1, TaskState::Running)).collect();
    tasks.extend(waiting(1..=2, 1, &spec));

    let decisions = ledger(nodes, tasks).decide(NOW);

    assert_eq!(counts(&decisions), BTreeMap::from([(node_id(3), 2)]));
}

#[test]
fn ties_are_not_always_broken_for_the_same_node() {
    let nodes: Vec<Node> = (1..=10).map(node).collect();
    let first_of = |seed: u64| {
        let mut ledger = seeded(seed, nodes.clone(), waiting([1], 1, &TaskSpec::default()));
        counts(&ledger.decide(NOW)).into_keys().next().unwrap()
    };

    let chosen: HashSet<NodeId> = (0..50).map(first_of).collect();

    assert!(chosen.len() >= 8, "{chosen:?}");
    assert_eq!(first_of(3), first_of(3));
}

#[test]
fn a_decision_that_is_not_carried_out_gives_the_room_back() {
    let mut ledger = ledger(vec![node(1)], waiting([1], 1, &reserving(NODE_CPUS, 0)));
    let waiting = task(1, 1, &reserving(NODE_CPUS, 0));
    assert_eq!(ledger.decide(NOW).len(), 1);
    assert_eq!(ledger.decide(NOW).len(), 0);

    ledger.note_task(&Arc::new(waiting.clone()), NOW);
    assert_eq!(sorted(&counts(&ledger.decide(NOW))), [1]);
    ledger.forget_task(&waiting.id);

    assert!(ledger.nodes.all()[0].usage.is_empty());
}

#[test]
fn a_node_that_goes_and_comes_back_still_has_its_tasks() {
    let holder = on(&task(9, 2, &reserving(NODE_CPUS, 0)), 1, TaskState::Running);
    let mut ledger = ledger(vec![node(1)], vec![holder.clone()]);
    ledger.forget_node(&node_id(1));
    ledger.note_node(&Arc::new(node(1)));
    ledger.note_task(&Arc::new(task(1, 1, &reserving(1, 0))), NOW);

    assert_eq!(counts(&ledger.decide(NOW)), BTreeMap::new());
    ledger.forget_node(&node_id(1));
    ledger.forget_task(&holder.id);
    ledger.note_node(&Arc::new(node(1)));
    assert!(ledger.nodes.get(&node_id(1)).unwrap().usage.is_empty());
    assert!(ledger.tasks.values().all(|tracked| tracked.task.state.service_id == service_id(1)));
}

#[test]
fn a_node_that_is_lost_gets_nothing_until_it_is_ready() {
    let mut lost = node(1);
    lost.state.status.state = NodeHealth::Down;
    let mut ledger = ledger(vec![lost], waiting([1], 1, &TaskSpec::default()));
    let reason = "no suitable node (1 node not available for new tasks)".to_owned();
    assert_eq!(explanations(&ledger.decide(NOW)), BTreeMap::from([(reason, 1)]));

    ledger.note_node(&Arc::new(node(1)));

    assert_eq!(sorted(&counts(&ledger.decide(NOW))), [1]);
}
