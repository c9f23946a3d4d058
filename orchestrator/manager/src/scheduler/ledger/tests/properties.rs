//! What holds for all nodes and tasks.

use model::Role;
use proptest::prelude::*;

use super::*;

/// A node: its zone, whether it is a manager, and the halves of a processor that it offers.
type Given = (u8, bool, i64);
/// A service: how many tasks, halves of a processor each, whether bound to workers, whether spread over zones, how many
/// a node at most, and a host port.
type Wanted = (u64, i64, bool, bool, u64, bool);

const HALF: i64 = 500_000_000;

fn nodes() -> impl Strategy<Value = Vec<Given>> {
    prop::collection::vec((0..4_u8, any::<bool>(), 0..8_i64), 1..12)
}

fn services() -> impl Strategy<Value = Vec<Wanted>> {
    let service = (1..20_u64, 0..4_i64, any::<bool>(), any::<bool>(), 0..4_u64, prop::bool::weighted(0.2));
    prop::collection::vec(service, 1..5)
}

fn given(number: u64, (zone, is_manager, halves): Given) -> Node {
    let mut node = labelled(number, "zone", &format!("zone-{zone}"));
    node.state.role = if is_manager { Role::Manager } else { Role::Worker };
    node.state.description.as_mut().unwrap().resources.nano_cpus = halves * HALF;
    node
}

fn wanted(service: u64, (tasks, halves, is_bound, is_spread, max_replicas, has_port): Wanted) -> Vec<Task> {
    let mut spec = if is_spread { spread(&["node.labels.zone"]) } else { placed(Placement::default()) };
    let placement = spec.placement.as_mut().unwrap();
    placement.max_replicas = max_replicas;
    if is_bound {
        placement.constraints = vec!["node.role==worker".to_owned()];
    }
    spec.resources = reserving(halves * HALF, 0).resources;
    let mut tasks = waiting((0..tasks).map(|slot| service * 1000 + slot), service, &spec);
    for task in &mut tasks {
        task.state.ports = has_port.then(|| host_port("tcp", 80)).into_iter().collect();
    }
    tasks
}

fn decide(seed: u64, nodes: &[Given], services: &[Wanted]) -> (Vec<Node>, Vec<Decision>) {
    let nodes: Vec<Node> = nodes.iter().zip(1..).map(|(node, number)| given(number, *node)).collect();
    let tasks: Vec<Task> = services.iter().zip(1..).flat_map(|(service, number)| wanted(number, *service)).collect();
    let decisions = seeded(seed, nodes.clone(), tasks).decide(NOW);
    (nodes, decisions)
}

fn placed_on<'d>(decisions: &'d [Decision], node: &Node) -> Vec<&'d Task> {
    let is_here = |decision: &&Decision| matches!(&decision.outcome, Outcome::Assigned(there) if there.id == node.id);
    decisions.iter().filter(is_here).map(|decision| &*decision.task).collect()
}

fn same_services<'t>(tasks: &[&'t Task]) -> BTreeMap<&'t model::ServiceId, Vec<&'t Task>> {
    let mut services: BTreeMap<_, Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        services.entry(&task.state.service_id).or_default().push(task);
    }
    services
}

fn spread_of(numbers: impl Iterator<Item = usize> + Clone) -> usize {
    numbers.clone().max().unwrap_or(0) - numbers.min().unwrap_or(0)
}

proptest! {
    #[test]
    fn nothing_is_ever_given_to_a_node_that_must_not_have_it(seed: u64, nodes in nodes(), services in services()) {
        let (nodes, decisions) = decide(seed, &nodes, &services);

        let total: u64 = services.iter().map(|service| service.0).sum();
        prop_assert_eq!(decisions.len() as u64, total, "each task is decided about once");
        for node in &nodes {
            let tasks = placed_on(&decisions, node);
            let reserved: i64 = tasks.iter().map(|task| task.spec.reservations().unwrap().nano_cpus).sum();
            prop_assert!(reserved <= node.state.description.as_ref().unwrap().resources.nano_cpus);
            prop_assert!(tasks.iter().filter(|task| !task.state.ports.is_empty()).count() <= 1);
            prop_assert!(tasks.iter().all(|task| task.spec.constraints().is_empty() || node.state.role == Role::Worker));
            for tasks in same_services(&tasks).values() {
                let most = tasks[0].spec.placement.as_ref().unwrap().max_replicas;
                prop_assert!(most == 0 || tasks.len() as u64 <= most);
            }
        }
    }

    #[test]
    fn a_task_waits_only_where_no_node_has_room_for_it(seed: u64, nodes in nodes(), services in services()) {
        let (nodes, decisions) = decide(seed, &nodes, &services);

        let mut after = seeded(seed, nodes.clone(), Vec::new());
        for node in &nodes {
            for task in placed_on(&decisions, node) {
                let mut task = task.clone();
                task.state.node_id = Some(node.id.clone());
                task.state.status.state = TaskState::Running;
                after.note_task(&Arc::new(task), NOW);
            }
        }
        for decision in decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Unplaced(_))) {
            after.note_task(&decision.task, NOW);
        }
        prop_assert!(counts(&after.decide(NOW)).is_empty());
    }

    #[test]
    fn the_same_seed_decides_the_same(seed: u64, nodes in nodes(), services in services()) {
        let plain = |decisions: &[Decision]| -> Vec<String> {
            decisions.iter().map(|decision| format!("{} {:?}", decision.task.id, decision.outcome)).collect()
        };

        let (_, first) = decide(seed, &nodes, &services);
        let (_, second) = decide(seed, &nodes, &services);

        prop_assert_eq!(plain(&first), plain(&second));
    }

    #[test]
    fn nodes_differ_by_one_at_most_where_nothing_hinders(seed: u64, nodes in 1..30_u64, tasks in 1..200_u64) {
        let waiting = waiting(0..tasks, 1, &TaskSpec::default());
        let decisions = seeded(seed, (1..=nodes).map(node).collect(), waiting).decide(NOW);

        let counts = counts(&decisions);
        let all = (1..=nodes).map(|number| counts.get(&node_id(number)).copied().unwrap_or(0));
        prop_assert!(spread_of(all.clone()) <= 1);
        prop_assert_eq!(all.sum::<usize>() as u64, tasks);
    }

    #[test]
    fn branches_and_the_nodes_in_them_differ_by_one_at_most(
        seed: u64,
        zones in prop::collection::vec(0..4_u8, 1..20),
        racks in prop::collection::vec(0..3_u8, 20),
        tasks in 1..100_u64,
    ) {
        let mut nodes = Vec::new();
        let mut by_zone: BTreeMap<u8, BTreeMap<u8, Vec<NodeId>>> = BTreeMap::new();
        for ((zone, rack), number) in zones.iter().zip(&racks).zip(1..) {
            let mut node = labelled(number, "zone", &zone.to_string());
            node.spec.labels.insert("rack".to_owned(), rack.to_string());
            by_zone.entry(*zone).or_default().entry(*rack).or_default().push(node.id.clone());
            nodes.push(node);
        }
        let spec = spread(&["node.labels.zone", "node.labels.rack"]);

        let counts = counts(&seeded(seed, nodes, waiting(0..tasks, 1, &spec)).decide(NOW));

        let of = |nodes: &[NodeId]| nodes.iter().filter_map(|node| counts.get(node)).sum::<usize>();
        let of_racks = |racks: &BTreeMap<u8, Vec<NodeId>>| -> Vec<usize> { racks.values().map(|nodes| of(nodes)).collect() };
        let of_zones: Vec<usize> = by_zone.values().map(|racks| of_racks(racks).iter().sum()).collect();
        prop_assert!(spread_of(of_zones.iter().copied()) <= 1);
        for racks in by_zone.values() {
            prop_assert!(spread_of(of_racks(racks).into_iter()) <= 1);
            for nodes in racks.values() {
                prop_assert!(spread_of(nodes.iter().map(|node| counts.get(node).copied().unwrap_or(0))) <= 1);
            }
        }
    }

    #[test]
    fn what_is_taken_is_what_the_tasks_on_a_node_take(
        steps in prop::collection::vec((0..6_u64, 1..4_u64, 0..5_usize), 0..60),
    ) {
        let states = [TaskState::Pending, TaskState::Assigned, TaskState::Running, TaskState::Failed, TaskState::Shutdown];
        let mut ledger = seeded(1, (1..4).map(node).collect(), Vec::new());
        let mut known: BTreeMap<u64, Task> = BTreeMap::new();
        for (number, there, state) in steps {
            let task = on(&task(number, number % 2, &reserving(HALF, 1)), there, states[state]);
            ledger.note_task(&Arc::new(task.clone()), NOW);
            known.insert(number, task);
        }

        for info in ledger.nodes.all() {
            let takes = |task: &&Task| {
                let state = task.state.status.state;
                task.state.node_id.as_ref() == Some(&info.node.id) && state > TaskState::Pending && !state.is_terminal()
            };
            let taking = i64::try_from(known.values().filter(takes).count()).unwrap();
            prop_assert_eq!(info.usage.nano_cpus, taking * HALF);
            prop_assert_eq!(info.usage.memory_bytes, taking);
            prop_assert_eq!(i64::from(info.usage.wanted()), taking);
        }
    }
}
