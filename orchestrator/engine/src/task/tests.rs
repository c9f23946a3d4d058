//! What becomes of tasks.

use jiff::Timestamp;
use model::{
    HealthConfig, Limits, Meta, NetworkAttachmentConfig, PortConfig, Privileges, Reservations, SeccompOptions,
    TaskRecord, TaskSpec, TaskState, TaskStatus, VolumeOptions,
};

use super::*;

const SERVICE: &str = "5q3sv1a0lozt4r9ykrvhwgl9d";
const NODE: &str = "0node0node0node0node0node";
const TASK: &str = "1task1task1task1task1task";

fn node() -> TaskNode {
    let platform = Platform { architecture: "x86_64".to_owned(), os: "linux".to_owned() };
    TaskNode { id: NODE.parse().unwrap(), hostname: "worker-1".to_owned(), platform }
}

fn task(spec: TaskSpec) -> Task {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Task {
        id: TASK.parse().unwrap(),
        meta: Meta::default(),
        spec,
        state: TaskRecord {
            service_id: SERVICE.parse().unwrap(),
            service_name: "web".to_owned(),
            service_labels: [label("zone", "north"), label("a.b", "dotted")].into(),
            spec_revision: 1,
            slot: 3,
            job_iteration: None,
            node_id: Some(NODE.parse().unwrap()),
            desired: TaskState::Running,
            status: TaskStatus::new(TaskState::Assigned, "", Timestamp::UNIX_EPOCH),
            ports: Vec::new(),
            log_driver: None,
            registry_auth: None,
        },
    }
}

fn with_container(container: ContainerSpec) -> Task {
    let networks = vec![NetworkAttachmentConfig { target: "host".to_owned(), ..Default::default() }];
    task(TaskSpec { container_spec: Some(container), networks, ..TaskSpec::default() })
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn expanded(template: &str) -> Result<String, String> {
    let task = with_container(ContainerSpec::default());
    let node = node();
    Context { task: &task, node: &node }.expand(template).map_err(|error| error.to_string())
}

#[test]
fn templates_name_the_service_the_node_and_the_task() {
    let check = |template: &str, expected: &str| assert_eq!(expanded(template).unwrap(), expected);

    check("plain", "plain");
    check("{{.Service.Name}}-{{.Task.Slot}}", "web-3");
    check("{{ .Service.ID }}", SERVICE);
    check("{{.Service.Labels.zone}}", "north");
    check("{{index .Service.Labels \"a.b\"}}", "dotted");
    check("{{index .Service.Labels `a.b`}}", "dotted");
    check("{{index .Service.Labels \"missing\"}}", "");
    check("{{.Node.ID}}@{{.Node.Hostname}}", "0node0node0node0node0node@worker-1");
    check("{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", "linux/x86_64");
    check("{{.Task.ID}}", TASK);
    check("{{.Task.Name}}", "web.3.1task1task1task1task1task");
    check("{{\"}}{{\"}}x", "}}{{x");
    check("a {{- .Task.Slot -}} b", "a3b");
    check("a{{/* nothing */}}b", "ab");
    check("}} {", "}} {");
}

#[test]
fn what_templates_cannot_name_is_a_clear_error() {
    let check = |template: &str, reason: &str| {
        assert_eq!(expanded(template).unwrap_err(), format!("failed to expand template \"{template}\": {reason}"));
    };

    check("{{.Service.Color}}", "unknown field \".Service.Color\"");
    check("{{.Service.Labels.missing}}", "unknown field \".Service.Labels.missing\"");
    check("{{env \"HOME\"}}", "unknown action \"env \"HOME\"\"");
    check("{{.Task.ID", "an action is not closed by \"}}\"");
    check("{{index .Node.Labels \"a\"}}", "`index` finds labels of the service, not \".Node.Labels\"");
    check("{{index .Service.Labels a}}", "\"a\" is no text in quotes");
}

#[test]
fn the_place_of_a_task_of_a_global_service_is_its_node() {
    let mut task = with_container(ContainerSpec::default());
    task.state.slot = 0;
    let node = node();

    assert_eq!(Context { task: &task, node: &node }.expand("{{.Task.Slot}}").unwrap(), NODE);
}

#[test]
fn a_container_is_what_its_task_says() {
    let mut task = with_container(ContainerSpec {
        image: "alpine@sha256:1".to_owned(),
        command: strings(&["init"]),
        args: strings(&["-x"]),
        hostname: "{{.Service.Name}}-{{.Task.Slot}}".to_owned(),
        env: strings(&["NODE={{.Node.Hostname}}", "A=1"]),
        hosts: strings(&["192.0.2.1 db cache", ""]),
        groups: strings(&["7"]),
        healthcheck: Some(HealthConfig { retries: 2, ..HealthConfig::default() }),
        stop_grace_period: Some(1_500_000_000),
        privileges: Some(Privileges { no_new_privileges: true, ..Privileges::default() }),
        mounts: vec![Mount {
            kind: "volume".to_owned(),
            source: "data-{{.Task.Slot}}".to_owned(),
            target: "/data".to_owned(),
            volume_options: Some(VolumeOptions {
                labels: [("slot".to_owned(), "{{.Task.Slot}}".to_owned())].into(),
                ..VolumeOptions::default()
            }),
            ..Mount::default()
        }],
        ..ContainerSpec::default()
    });
    task.state.ports = vec![
        PortConfig { target_port: 80, published_port: 8080, publish_mode: "host".to_owned(), ..PortConfig::default() },
        PortConfig { target_port: 81, ..PortConfig::default() },
    ];

    let CreateRequest { config, host_config, .. } = task_container(&task, &node()).unwrap();

    assert_eq!((config.image.as_str(), config.hostname.as_str()), ("alpine@sha256:1", "web-3"));
    assert_eq!((config.entrypoint.unwrap(), config.cmd.unwrap()), (strings(&["init"]), strings(&["-x"])));
    assert_eq!(config.env, ["NODE=worker-1", "A=1"]);
    assert_eq!(config.stop_timeout, Some(2));
    assert_eq!(config.healthcheck.unwrap().retries, 2);
    assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["80/tcp", "81/tcp"]);
    assert_eq!(host_config.extra_hosts.unwrap(), ["db:192.0.2.1", "cache:192.0.2.1"]);
    assert_eq!(host_config.security_opt.unwrap(), ["no-new-privileges"]);
    assert_eq!(host_config.network_mode, "host");
    assert_eq!(host_config.mounts[0].source, "data-3");
    assert_eq!(host_config.mounts[0].volume_options.as_ref().unwrap().labels["slot"], "3");
    assert_eq!(host_config.port_bindings.keys().collect::<Vec<_>>(), ["80/tcp"]);
    assert_eq!(host_config.restart_policy.name, "");
}

#[test]
fn the_labels_that_name_the_task_are_the_swarms() {
    let forged = [(TASK_ID_LABEL.to_owned(), "forged".to_owned()), ("mine".to_owned(), "kept".to_owned())];
    let task = with_container(ContainerSpec { labels: forged.into(), ..ContainerSpec::default() });

    let labels = task_container(&task, &node()).unwrap().config.labels;

    let expected = [
        ("com.docker.swarm.node.id", NODE),
        ("com.docker.swarm.service.id", SERVICE),
        ("com.docker.swarm.service.name", "web"),
        ("com.docker.swarm.task", ""),
        ("com.docker.swarm.task.id", TASK),
        ("com.docker.swarm.task.name", "web.3.1task1task1task1task1task"),
        ("mine", "kept"),
    ];
    assert_eq!(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn limits_and_reservations_become_the_containers() {
    let mut task = with_container(ContainerSpec::default());
    task.spec.resources = Some(ResourceRequirements {
        limits: Some(Limits { nano_cpus: 500_000_000, memory_bytes: 64 << 20, pids: 7 }),
        reservations: Some(Reservations { memory_bytes: 32 << 20, ..Reservations::default() }),
        swap_bytes: Some(16 << 20),
        memory_swappiness: None,
    });

    let resources = task_container(&task, &node()).unwrap().host_config.resources;

    assert_eq!((resources.nano_cpus, resources.memory, resources.pids_limit), (500_000_000, 64 << 20, Some(7)));
    assert_eq!((resources.memory_reservation, resources.memory_swap), (32 << 20, 80 << 20));
}

#[test]
fn a_custom_filter_is_taken_out_of_its_wrapping() {
    let with = |mode: &str, profile: &str| {
        let seccomp = Some(SeccompOptions { mode: mode.to_owned(), profile: profile.to_owned() });
        let privileges = Some(Privileges { seccomp, ..Privileges::default() });
        let task = with_container(ContainerSpec { privileges, ..ContainerSpec::default() });
        task_container(&task, &node()).map(|made| made.host_config.security_opt).map_err(|error| error.to_string())
    };

    assert_eq!(with("custom", "e30=").unwrap().unwrap(), ["seccomp={}"]);
    assert_eq!(with("unconfined", "").unwrap().unwrap(), ["seccomp=unconfined"]);
    assert_eq!(with("default", "").unwrap(), None);
    assert!(with("custom", "!").unwrap_err().starts_with("invalid seccomp profile"));
}

#[test]
fn a_task_that_this_node_cannot_give_all_it_asks_for_is_refused() {
    let secrets = vec![model::SecretReference::default()];
    let secret = with_container(ContainerSpec { secrets, ..ContainerSpec::default() });

    assert!(task_container(&secret, &node()).is_err());
    assert!(task_container(&task(TaskSpec::default()), &node()).is_err());
}
