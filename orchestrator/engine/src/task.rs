//! What the container of a task is to be: the task and its node, in Docker's `Config` and `HostConfig`. Pure.
//!
//! The swarm restarts tasks, never their containers; and whatever the operator's labels say, those that name the task
//! are the swarm's.

mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::{ContainerSpec, Mount, NodeId, NodeNetwork, Platform, ResourceRequirements, Task};

use self::template::Context;
use crate::config::{ContainerConfig, ContainerResources, CreateRequest, HostConfig, LogConfig, PortBinding};
use crate::settings::InvalidSettings;

/// The label that every container of a task has, empty.
pub const TASK_LABEL: &str = "com.docker.swarm.task";
/// The label that holds the task's id: by it a task finds its container.
pub const TASK_ID_LABEL: &str = "com.docker.swarm.task.id";

/// The node that a task runs on, as its templates see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskNode {
    /// Its id in the swarm.
    pub id: NodeId,
    /// Its host name.
    pub hostname: String,
    /// Its platform.
    pub platform: Platform,
}

/// The container of a task: its settings; its name is [`Task::container_name`].
pub fn task_container(task: &Task, node: &TaskNode) -> Result<CreateRequest, InvalidSettings> {
    let refuse = |words: &str| Err(InvalidSettings::new(words));
    let Some(spec) = &task.spec.container_spec else { return refuse("a task without a container cannot be run") };
    if !spec.secrets.is_empty() || !spec.configs.is_empty() {
        return refuse("secrets and configs are not offered by this node");
    }
    let context = Context { task, node };
    let expand = |text: &str| context.expand(text);
    let env = spec.env.iter().map(|variable| expand(variable)).collect::<Result<_, _>>()?;
    let mounts = spec.mounts.iter().map(|mount| expand_mount(mount, &context)).collect::<Result<_, _>>()?;
    let words = |words: &[String]| Some(words.to_vec()).filter(|words| !words.is_empty());
    let config = ContainerConfig {
        hostname: expand(&spec.hostname)?,
        user: spec.user.clone(),
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        env,
        entrypoint: words(&spec.command),
        cmd: words(&spec.args),
        healthcheck: spec.healthcheck.clone(),
        image: spec.image.clone(),
        working_dir: spec.dir.clone(),
        labels: labels(task, spec, node),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace_period.map(whole_seconds),
        exposed_ports: ports(task).map(|port| (port, serde_json::Map::new())).collect(),
        ..ContainerConfig::default()
    };
    let host_config = host_config(task, spec, mounts)?;
    Ok(CreateRequest { config, host_config, networking_config: None })
}

fn host_config(task: &Task, spec: &ContainerSpec, mounts: Vec<Mount>) -> Result<HostConfig, InvalidSettings> {
    let list = |words: &[String]| Some(words.to_vec()).filter(|words| !words.is_empty());
    let dns = spec.dns_config.clone().unwrap_or_default();
    let log = task.state.log_driver.clone().or_else(|| task.spec.log_driver.clone()).unwrap_or_default();
    Ok(HostConfig {
        log_config: LogConfig { kind: log.name, config: log.options },
        network_mode: network_mode(task),
        port_bindings: port_bindings(task),
        cap_add: list(&spec.capability_add),
        cap_drop: list(&spec.capability_drop),
        dns: dns.nameservers,
        dns_options: dns.options,
        dns_search: dns.search,
        extra_hosts: extra_hosts(&spec.hosts),
        group_add: list(&spec.groups),
        oom_score_adj: i32::try_from(spec.oom_score_adj)
            .map_err(|_| InvalidSettings(format!("Invalid value {}, range is [-1000, 1000]", spec.oom_score_adj)))?,
        readonly_rootfs: spec.read_only,
        security_opt: security_options(spec)?,
        sysctls: spec.sysctls.clone(),
        isolation: spec.isolation.clone(),
        resources: resources(task.spec.resources.as_ref(), spec),
        mounts,
        init: spec.init,
        ..HostConfig::default()
    })
}

/// The ports that its service publishes on the tasks' own nodes; several of them may lead to one of its own.
fn port_bindings(task: &Task) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for port in task.state.ports.iter().filter(|port| port.is_host_mode()) {
        let host_port = if port.published_port == 0 { String::new() } else { port.published_port.to_string() };
        let binding = PortBinding { host_ip: String::new(), host_port };
        let own = format!("{}/{}", port.target_port, port.protocol());
        bindings.entry(own).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

/// The network by its name, whatever the client named it by.
fn network_mode(task: &Task) -> String {
    let Some(network) = task.spec.networks.first() else { return String::new() };
    match NodeNetwork::find(&network.target) {
        Some(nodes_own) => nodes_own.name().to_owned(),
        None => network.target.clone(),
    }
}

/// All ports that its service publishes, as `80/tcp`.
fn ports(task: &Task) -> impl Iterator<Item = String> {
    task.state.ports.iter().map(|port| format!("{}/{}", port.target_port, port.protocol()))
}

fn labels(task: &Task, spec: &ContainerSpec, node: &TaskNode) -> BTreeMap<String, String> {
    let mut labels = spec.labels.clone();
    let own = [
        (TASK_LABEL, String::new()),
        (TASK_ID_LABEL, task.id.to_string()),
        ("com.docker.swarm.task.name", task.container_name()),
        ("com.docker.swarm.node.id", node.id.to_string()),
        ("com.docker.swarm.service.id", task.state.service_id.to_string()),
        ("com.docker.swarm.service.name", task.state.service_name.clone()),
    ];
    labels.extend(own.map(|(name, value)| (name.to_owned(), value)));
    labels
}

fn expand_mount(mount: &Mount, context: &Context<'_>) -> Result<Mount, InvalidSettings> {
    let mut mount = mount.clone();
    mount.source = context.expand(&mount.source)?;
    mount.target = context.expand(&mount.target)?;
    if let Some(volume) = &mut mount.volume_options {
        let options = volume.driver_config.iter_mut().flat_map(|driver| driver.options.values_mut());
        for text in volume.labels.values_mut().chain(options) {
            *text = context.expand(text)?;
        }
    }
    Ok(mount)
}

/// Services write `address name…`, containers `name:address`.
fn extra_hosts(hosts: &[String]) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    for line in hosts {
        let mut words = line.split_whitespace();
        let Some(address) = words.next() else { continue };
        lines.extend(words.map(|name| format!("{name}:{address}")));
    }
    Some(lines).filter(|lines| !lines.is_empty())
}

fn security_options(spec: &ContainerSpec) -> Result<Option<Vec<String>>, InvalidSettings> {
    let Some(privileges) = &spec.privileges else { return Ok(None) };
    let mut options = Vec::new();
    if privileges.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    if let Some(seccomp) = &privileges.seccomp {
        match seccomp.mode.as_str() {
            "" | "default" => {}
            "unconfined" => options.push("seccomp=unconfined".to_owned()),
            "custom" => {
                let profile = decode_profile(&seccomp.profile)
                    .ok_or_else(|| InvalidSettings::new("invalid seccomp profile: it is not text in base64"))?;
                options.push(format!("seccomp={profile}"));
            }
            mode => return Err(InvalidSettings(format!("invalid seccomp mode: {mode}"))),
        }
    }
    Ok(Some(options).filter(|options| !options.is_empty()))
}

fn decode_profile(base64: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
    String::from_utf8(bytes).ok()
}

fn resources(wanted: Option<&ResourceRequirements>, spec: &ContainerSpec) -> ContainerResources {
    let limits = wanted.and_then(|wanted| wanted.limits.clone()).unwrap_or_default();
    let reservations = wanted.and_then(|wanted| wanted.reservations.clone()).unwrap_or_default();
    // Docker counts swap beyond memory for services, and both together for containers.
    let swap = wanted.and_then(|wanted| wanted.swap_bytes);
    let memory_swap = match swap {
        Some(-1) => -1,
        Some(swap) if limits.memory_bytes > 0 => limits.memory_bytes.saturating_add(swap),
        Some(_) | None => 0,
    };
    ContainerResources {
        nano_cpus: limits.nano_cpus,
        memory: limits.memory_bytes,
        memory_swap,
        memory_swappiness: wanted.and_then(|wanted| wanted.memory_swappiness),
        memory_reservation: reservations.memory_bytes,
        pids_limit: Some(limits.pids).filter(|pids| *pids != 0),
        ulimits: Some(spec.ulimits.clone()).filter(|ulimits| !ulimits.is_empty()),
        ..ContainerResources::default()
    }
}

/// Nanoseconds as seconds, never fewer than they are.
fn whole_seconds(nanoseconds: i64) -> i64 {
    nanoseconds.max(0).div_euclid(1_000_000_000) + i64::from(nanoseconds.max(0) % 1_000_000_000 != 0)
}
