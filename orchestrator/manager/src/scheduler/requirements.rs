//! What a task asks of its node: read from its spec once for all tasks of the same service and revision.

use model::{Availability, Constraints, Mount, Node, NodeHealth, Platform, Plugin, ServiceId, Task};

use super::filter::Filter;
use super::node_set::NodeInfo;
use super::usage::{HostPort, host_ports};

/// Volumes of this driver need no plugin.
const BUILT_IN_VOLUMES: &str = "local";

/// What tasks of one service and revision ask of a node.
#[derive(Debug)]
pub(super) struct Requirements {
    /// The service, and the revision of its spec.
    pub(super) spec: (ServiceId, u64),
    nano_cpus: i64,
    memory_bytes: i64,
    /// Resources that nodes name themselves; no node names any.
    wants_named: bool,
    volume_drivers: Vec<String>,
    log_driver: Option<String>,
    constraints: Constraints,
    platforms: Vec<Platform>,
    ports: Vec<HostPort>,
    max_replicas: u64,
}

impl Requirements {
    /// What a task, and all others of its service and revision, ask for.
    pub(super) fn of(task: &Task) -> Self {
        let spec = &task.spec;
        let reserved = spec.reservations();
        let mounts = spec.container_spec.as_ref().map_or(&[][..], |container| &container.mounts);
        let placement = spec.placement.as_ref();
        let log_driver = spec.log_driver.as_ref().map(|driver| driver.name.as_str());
        Self {
            spec: (task.state.service_id.clone(), task.state.spec_revision),
            nano_cpus: reserved.map_or(0, |reserved| reserved.nano_cpus),
            memory_bytes: reserved.map_or(0, |reserved| reserved.memory_bytes),
            wants_named: reserved.is_some_and(|reserved| !reserved.generic_resources.is_empty()),
            volume_drivers: mounts.iter().filter_map(volume_driver).map(str::to_owned).collect(),
            log_driver: log_driver.filter(|name| !matches!(*name, "" | "none")).map(str::to_owned),
            // Specs are validated before they are kept; as in SwarmKit, what cannot be read binds to nothing.
            constraints: Constraints::parse(spec.constraints()).unwrap_or_default(),
            platforms: placement.map_or_else(Vec::new, |placement| placement.platforms.clone()),
            ports: host_ports(task).collect(),
            max_replicas: placement.map_or(0, |placement| placement.max_replicas),
        }
    }

    /// Whether a node may run one more of the tasks.
    ///
    /// # Errors
    /// The first filter that turns the node away.
    pub(super) fn check(&self, info: &NodeInfo) -> Result<(), Filter> {
        let node = &*info.node;
        let or = |fits: bool, filter: Filter| if fits { Ok(()) } else { Err(filter) };
        or(is_available(node), Filter::Ready)?;
        or(self.finds_resources(info), Filter::Resources)?;
        or(self.finds_plugins(node), Filter::Plugins)?;
        or(self.constraints.are_met_by(node), Filter::Constraints)?;
        or(self.finds_platform(node), Filter::Platform)?;
        or(self.finds_ports(info), Filter::HostPorts)?;
        or(self.is_below_maximum(info), Filter::MaxReplicas)
    }

    /// Whether a node that fitted still does after it was given another of the tasks.
    pub(super) fn has_room(&self, info: &NodeInfo) -> bool {
        self.finds_resources(info) && self.finds_ports(info) && self.is_below_maximum(info)
    }

    fn finds_resources(&self, info: &NodeInfo) -> bool {
        if self.wants_named {
            return false;
        }
        let offered = info.node.state.description.as_ref().map(|description| &description.resources);
        let (nano_cpus, memory_bytes) = offered.map_or((0, 0), |offered| (offered.nano_cpus, offered.memory_bytes));
        let fits = |asked: i64, offered: i64, taken: i64| asked <= 0 || asked <= offered.saturating_sub(taken);
        fits(self.nano_cpus, nano_cpus, info.usage.nano_cpus)
            && fits(self.memory_bytes, memory_bytes, info.usage.memory_bytes)
    }

    fn finds_plugins(&self, node: &Node) -> bool {
        // A node that has said nothing of itself is not held to it, as in SwarmKit.
        let Some(description) = &node.state.description else { return true };
        let plugins = &description.engine.plugins;
        let has_volumes = self.volume_drivers.iter().all(|driver| has(plugins, "Volume", driver));
        let names_log_drivers = || plugins.iter().any(|plugin| plugin.kind == "Log");
        let has_log = self.log_driver.as_ref().is_none_or(|driver| has(plugins, "Log", driver) || !names_log_drivers());
        has_volumes && has_log
    }

    fn finds_platform(&self, node: &Node) -> bool {
        if self.platforms.is_empty() {
            return true;
        }
        let Some(description) = &node.state.description else { return false };
        let own = &description.platform;
        self.platforms.iter().any(|asked| {
            let is_architecture =
                asked.architecture.is_empty() || plain(&asked.architecture) == plain(&own.architecture);
            is_architecture && (asked.os.is_empty() || asked.os == own.os)
        })
    }

    fn finds_ports(&self, info: &NodeInfo) -> bool {
        !self.ports.iter().any(|port| info.usage.has_port(port))
    }

    fn is_below_maximum(&self, info: &NodeInfo) -> bool {
        self.max_replicas == 0 || u64::from(info.usage.wanted_of(&self.spec.0)) < self.max_replicas
    }
}

fn is_available(node: &Node) -> bool {
    node.state.status.state == NodeHealth::Ready && node.spec.availability == Availability::Active
}

/// The driver of a volume that needs a plugin.
fn volume_driver(mount: &Mount) -> Option<&str> {
    let driver = mount.volume_options.as_ref()?.driver_config.as_ref()?;
    let needs_plugin = mount.kind == "volume" && !driver.name.is_empty() && driver.name != BUILT_IN_VOLUMES;
    needs_plugin.then_some(driver.name.as_str())
}

/// Whether there is a plugin of that name; one without a tag is its latest.
fn has(plugins: &[Plugin], kind: &str, name: &str) -> bool {
    let is_it = |plugin: &Plugin| plugin.name.strip_prefix(name).is_some_and(|tag| matches!(tag, "" | ":latest"));
    plugins.iter().any(|plugin| plugin.kind == kind && is_it(plugin))
}

/// One word for each architecture that has two.
fn plain(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests;
