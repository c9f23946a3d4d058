//! Nodes and tasks for the tests of the scheduler and of the constraint enforcer.

use jiff::Timestamp;
use model::{
    Meta, Node, NodeDescription, NodeHealth, NodeId, NodeSpec, NodeState, Placement, PlacementPreference, PortConfig,
    Reservations, ResourceRequirements, Resources, Service, ServiceId, ServiceSpec, SpreadOver, Task, TaskId, TaskSpec,
    TaskState, TaskStatus,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// What each node offers: 4 processors.
pub(crate) const NODE_CPUS: i64 = 4_000_000_000;
/// And 8 GiB of memory.
pub(crate) const NODE_MEMORY: i64 = 8 << 30;

/// The id of a node; one for each number.
pub(crate) fn node_id(number: u64) -> NodeId {
    NodeId::generate(&mut StdRng::seed_from_u64(number))
}

/// The id of a service; one for each number.
pub(crate) fn service_id(number: u64) -> ServiceId {
    ServiceId::generate(&mut StdRng::seed_from_u64(number))
}

/// A node that takes tasks: Linux on amd64.
pub(crate) fn node(number: u64) -> Node {
    let mut description = NodeDescription {
        hostname: format!("node-{number}"),
        resources: Resources { nano_cpus: NODE_CPUS, memory_bytes: NODE_MEMORY },
        ..NodeDescription::default()
    };
    description.platform.architecture = "x86_64".to_owned();
    description.platform.os = "linux".to_owned();
    let mut state = NodeState { description: Some(description), ..NodeState::default() };
    state.status.state = NodeHealth::Ready;
    Node { id: node_id(number), meta: Meta::default(), spec: NodeSpec::default(), state }
}

/// A node with a label of the operator's.
pub(crate) fn labelled(number: u64, label: &str, value: &str) -> Node {
    let mut node = node(number);
    node.spec.labels.insert(label.to_owned(), value.to_owned());
    node
}

/// A task that waits for a node, in a slot of its number.
pub(crate) fn task(number: u64, service: u64, spec: &TaskSpec) -> Task {
    let spec =
        ServiceSpec { name: format!("service-{service}"), task_template: spec.clone(), ..ServiceSpec::default() };
    let id = TaskId::generate(&mut StdRng::seed_from_u64(number));
    let mut task = Task::of(&Service::new(service_id(service), spec), id, number, Timestamp::UNIX_EPOCH);
    task.state.status = TaskStatus::new(TaskState::Pending, "pending task scheduling", Timestamp::UNIX_EPOCH);
    task
}

/// The same task on a node, in a state.
pub(crate) fn on(task: &Task, node: u64, state: TaskState) -> Task {
    let mut task = task.clone();
    task.state.node_id = Some(node_id(node));
    task.state.status.state = state;
    task
}

/// A spec that reserves so much.
pub(crate) fn reserving(nano_cpus: i64, memory_bytes: i64) -> TaskSpec {
    let reservations = Reservations { nano_cpus, memory_bytes, ..Reservations::default() };
    let resources = ResourceRequirements { reservations: Some(reservations), ..ResourceRequirements::default() };
    TaskSpec { resources: Some(resources), ..TaskSpec::default() }
}

/// A spec that is placed so.
pub(crate) fn placed(placement: Placement) -> TaskSpec {
    TaskSpec { placement: Some(placement), ..TaskSpec::default() }
}

/// A spec that is bound by constraints.
pub(crate) fn constrained(constraints: &[&str]) -> TaskSpec {
    let constraints = constraints.iter().map(|text| (*text).to_owned()).collect();
    placed(Placement { constraints, ..Placement::default() })
}

/// A spec that is spread over labels.
pub(crate) fn spread(descriptors: &[&str]) -> TaskSpec {
    let preference = |descriptor: &&str| PlacementPreference {
        spread: Some(SpreadOver { spread_descriptor: (*descriptor).to_owned() }),
    };
    placed(Placement { preferences: descriptors.iter().map(preference).collect(), ..Placement::default() })
}

/// A port that is published on the task's node alone.
pub(crate) fn host_port(protocol: &str, published: u32) -> PortConfig {
    PortConfig {
        protocol: protocol.to_owned(),
        target_port: 80,
        published_port: published,
        publish_mode: "host".to_owned(),
        ..PortConfig::default()
    }
}
