//! Which nodes each filter turns away.

use std::sync::Arc;

use model::{ContainerSpec, Driver, GenericResource, Node, Placement, Role, TaskSpec, TaskState, VolumeOptions};

use super::super::node_set::NodeSet;
use super::super::testing::{
    NODE_CPUS, NODE_MEMORY, constrained, host_port, labelled, node, on, placed, reserving, task,
};
use super::*;

/// What a node says to a task while it has others.
fn verdict(node: Node, others: &[Task], asking: &Task) -> Result<(), Filter> {
    let mut nodes = NodeSet::default();
    let id = node.id.clone();
    nodes.set(&Arc::new(node));
    for other in others {
        nodes.add_task(&id, other, true);
    }
    Requirements::of(asking).check(nodes.get(&id).expect("it was set"))
}

fn plain_task() -> Task {
    task(1, 1, &TaskSpec::default())
}

#[test]
fn only_nodes_that_are_ready_and_active_take_tasks() {
    let check = |state: NodeHealth, availability: Availability, expected: Result<(), Filter>| {
        let mut node = node(1);
        node.state.status.state = state;
        node.spec.availability = availability;
        assert_eq!(verdict(node, &[], &plain_task()), expected, "{state:?} {availability:?}");
    };
    check(NodeHealth::Ready, Availability::Active, Ok(()));
    check(NodeHealth::Ready, Availability::Pause, Err(Filter::Ready));
    check(NodeHealth::Ready, Availability::Drain, Err(Filter::Ready));
    check(NodeHealth::Down, Availability::Active, Err(Filter::Ready));
    check(NodeHealth::Unknown, Availability::Active, Err(Filter::Ready));
    check(NodeHealth::Disconnected, Availability::Active, Err(Filter::Ready));
}

#[test]
fn what_is_reserved_must_be_left() {
    let check = |others: &[TaskSpec], asked: &TaskSpec, expected: Result<(), Filter>| {
        let others: Vec<Task> = others.iter().zip(2..).map(|(spec, number)| task(number, 2, spec)).collect();
        assert_eq!(verdict(node(1), &others, &task(1, 1, asked)), expected, "{others:?} {asked:?}");
    };
    let short = Err(Filter::Resources);
    check(&[], &reserving(NODE_CPUS, NODE_MEMORY), Ok(()));
    check(&[], &reserving(NODE_CPUS + 1, 0), short);
    check(&[], &reserving(0, NODE_MEMORY + 1), short);
    check(&[reserving(NODE_CPUS - 5, 0)], &reserving(5, NODE_MEMORY), Ok(()));
    check(&[reserving(NODE_CPUS - 5, 0)], &reserving(6, 0), short);
    check(&[reserving(1, NODE_MEMORY)], &reserving(0, 1), short);
    // Who asks for nothing is not in the way of what others have overdrawn.
    check(&[reserving(NODE_CPUS * 2, 0)], &reserving(0, 1), Ok(()));
    check(&[reserving(NODE_CPUS * 2, NODE_MEMORY * 2)], &TaskSpec::default(), Ok(()));
}

#[test]
fn a_node_that_says_nothing_of_itself_has_nothing_to_reserve() {
    let mut unknown = node(1);
    unknown.state.description = None;

    assert_eq!(verdict(unknown.clone(), &[], &plain_task()), Ok(()));
    assert_eq!(verdict(unknown, &[], &task(1, 1, &reserving(1, 0))), Err(Filter::Resources));
}

#[test]
fn no_node_has_resources_of_a_name() {
    let mut spec = reserving(0, 0);
    let reservations = spec.resources.as_mut().and_then(|resources| resources.reservations.as_mut());
    reservations.expect("it reserves").generic_resources.push(GenericResource::default());

    assert_eq!(verdict(node(1), &[], &task(1, 1, &spec)), Err(Filter::Resources));
}

#[test]
fn drivers_must_stand_on_the_node() {
    let with_plugins = |plugins: &[(&str, &str)]| {
        let mut node = node(1);
        let plugin = |(kind, name): &(&str, &str)| Plugin { kind: (*kind).to_owned(), name: (*name).to_owned() };
        let description = node.state.description.as_mut().expect("it has one");
        description.engine.plugins = plugins.iter().map(plugin).collect();
        node
    };
    let driver = |name: &str| Driver { name: name.to_owned(), ..Driver::default() };
    let with_volume = |kind: &str, name: &str| {
        let options = VolumeOptions { driver_config: Some(driver(name)), ..VolumeOptions::default() };
        let mount = Mount { kind: kind.to_owned(), volume_options: Some(options), ..Mount::default() };
        let container = ContainerSpec { mounts: vec![mount], ..ContainerSpec::default() };
        TaskSpec { container_spec: Some(container), ..TaskSpec::default() }
    };
    let with_log = |name: &str| TaskSpec { log_driver: Some(driver(name)), ..TaskSpec::default() };
    let check = |plugins: &[(&str, &str)], spec: &TaskSpec, expected: Result<(), Filter>| {
        assert_eq!(verdict(with_plugins(plugins), &[], &task(1, 1, spec)), expected, "{plugins:?} {spec:?}");
    };
    let missing = Err(Filter::Plugins);
    check(&[], &with_volume("volume", "local"), Ok(()));
    check(&[], &with_volume("volume", ""), Ok(()));
    check(&[], &with_volume("bind", "nfs"), Ok(()));
    check(&[], &with_volume("volume", "nfs"), missing);
    check(&[("Network", "nfs")], &with_volume("volume", "nfs"), missing);
    check(&[("Volume", "nfs")], &with_volume("volume", "nfs"), Ok(()));
    check(&[("Volume", "nfs:latest")], &with_volume("volume", "nfs"), Ok(()));
    check(&[("Volume", "nfs:1")], &with_volume("volume", "nfs"), missing);
    check(&[], &with_log("syslog"), Ok(()));
    check(&[("Log", "json-file")], &with_log("syslog"), missing);
    check(&[("Log", "json-file")], &with_log("none"), Ok(()));
    check(&[("Log", "json-file")], &with_log(""), Ok(()));
    check(&[("Log", "json-file"), ("Log", "syslog")], &with_log("syslog"), Ok(()));
}

#[test]
fn constraints_bind_to_nodes() {
    let check = |constraints: &[&str], expected: Result<(), Filter>| {
        let mut node = labelled(1, "zone", "east");
        node.state.role = Role::Manager;
        assert_eq!(verdict(node, &[], &task(1, 1, &constrained(constraints))), expected, "{constraints:?}");
    };
    check(&["node.labels.zone==East", "node.role==manager"], Ok(()));
    check(&["node.labels.zone==east", "node.role==worker"], Err(Filter::Constraints));
    check(&["node.labels.zone!=east"], Err(Filter::Constraints));
    check(&["node.hostname==node-1", "node.platform.os==linux"], Ok(()));
    // What cannot be read was never let in; it binds to nothing.
    check(&["nonsense"], Ok(()));
}

#[test]
fn an_image_runs_on_its_platforms() {
    let check = |own: (&str, &str), asked: &[(&str, &str)], expected: Result<(), Filter>| {
        let platform = |it: &(&str, &str)| Platform { architecture: it.0.to_owned(), os: it.1.to_owned() };
        let mut node = node(1);
        node.state.description.as_mut().expect("it has one").platform = platform(&own);
        let platforms = asked.iter().map(platform).collect();
        let spec = placed(Placement { platforms, ..Placement::default() });
        assert_eq!(verdict(node, &[], &task(1, 1, &spec)), expected, "{own:?} {asked:?}");
    };
    let other = Err(Filter::Platform);
    check(("x86_64", "linux"), &[], Ok(()));
    check(("x86_64", "linux"), &[("amd64", "linux")], Ok(()));
    check(("amd64", "linux"), &[("x86_64", "linux")], Ok(()));
    check(("aarch64", "linux"), &[("arm64", "linux")], Ok(()));
    check(("aarch64", "linux"), &[("amd64", "linux")], other);
    check(("x86_64", "linux"), &[("amd64", "windows")], other);
    check(("x86_64", "linux"), &[("", "linux")], Ok(()));
    check(("x86_64", "linux"), &[("amd64", "")], Ok(()));
    check(("x86_64", "linux"), &[("arm64", "linux"), ("amd64", "linux")], Ok(()));
    let mut unknown = node(1);
    unknown.state.description = None;
    let spec = placed(Placement { platforms: vec![Platform::default()], ..Placement::default() });
    assert_eq!(verdict(unknown, &[], &task(1, 1, &spec)), other);
}

#[test]
fn a_host_port_is_published_once_a_node_and_protocol() {
    let publishing = |number: u64, protocol: &str, published: u32| {
        let mut task = task(number, number, &TaskSpec::default());
        task.state.ports = vec![host_port(protocol, published)];
        task
    };
    let check = |other: &Task, asking: &Task, expected: Result<(), Filter>| {
        assert_eq!(verdict(node(1), std::slice::from_ref(other), asking), expected, "{asking:?}");
    };
    let taken = Err(Filter::HostPorts);
    check(&publishing(2, "tcp", 80), &publishing(1, "tcp", 80), taken);
    check(&publishing(2, "", 80), &publishing(1, "tcp", 80), taken);
    check(&publishing(2, "udp", 80), &publishing(1, "tcp", 80), Ok(()));
    check(&publishing(2, "tcp", 81), &publishing(1, "tcp", 80), Ok(()));
    check(&publishing(2, "tcp", 0), &publishing(1, "tcp", 0), Ok(()));
    let mut in_ingress = publishing(2, "tcp", 80);
    in_ingress.state.ports[0].publish_mode = "ingress".to_owned();
    check(&in_ingress, &publishing(1, "tcp", 80), Ok(()));
}

#[test]
fn a_node_has_no_more_tasks_of_a_service_than_it_may() {
    let spec = placed(Placement { max_replicas: 2, ..Placement::default() });
    let others: Vec<Task> = (2..=4).map(|number| task(number, 1, &spec)).collect();
    let of_another = task(5, 2, &spec);

    assert_eq!(verdict(node(1), &[others[0].clone(), of_another], &task(1, 1, &spec)), Ok(()));
    assert_eq!(verdict(node(1), &others[..2], &task(1, 1, &spec)), Err(Filter::MaxReplicas));
    assert_eq!(verdict(node(1), &others, &task(1, 1, &TaskSpec::default())), Ok(()));
}

#[test]
fn the_first_filter_is_the_reason() {
    let mut asking = task(1, 1, &constrained(&["node.role==nobody"]));
    asking.spec.resources = reserving(NODE_CPUS + 1, 0).resources;
    let mut paused = node(1);
    paused.spec.availability = Availability::Pause;

    assert_eq!(verdict(paused, &[], &asking), Err(Filter::Ready));
    assert_eq!(verdict(node(1), &[], &asking), Err(Filter::Resources));
    asking.spec.resources = None;
    assert_eq!(verdict(node(1), &[], &asking), Err(Filter::Constraints));
}

#[test]
fn what_a_task_takes_is_free_once_it_has_given_it_back() {
    let mut holder = on(&task(2, 1, &reserving(NODE_CPUS, 1)), 1, TaskState::Running);
    holder.state.ports = vec![host_port("tcp", 80)];
    let mut nodes = NodeSet::default();
    nodes.set(&Arc::new(node(1)));
    let id = node(1).id;
    let mut asking = task(1, 1, &reserving(NODE_CPUS, 1));
    asking.state.ports = vec![host_port("tcp", 80)];
    let asked = Requirements::of(&asking);
    nodes.add_task(&id, &holder, true);
    assert_eq!(asked.check(nodes.get(&id).unwrap()), Err(Filter::Resources));
    assert!(!asked.has_room(nodes.get(&id).unwrap()));

    nodes.remove_task(&id, &holder, true);

    assert_eq!(asked.check(nodes.get(&id).unwrap()), Ok(()));
    assert!(nodes.get(&id).unwrap().usage.is_empty());
}
