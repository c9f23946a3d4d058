//! Which network a container is in.

use model::NodeNetwork;

use super::InvalidSettings;
use crate::config::{ContainerConfig, HostConfig};

/// How little of a network's id names it.
const SHORT_ID: usize = 12;
/// How another container's network is named.
const CONTAINER: &str = "container:";

/// Which network a container is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// One of those that every node has.
    Node(NodeNetwork),
    /// Another container's, named by its id, its name or the beginning of its id.
    Container(String),
    /// One that an operator made, named by its id, its name or the beginning of its id.
    Local(String),
}

impl NetworkMode {
    /// The node's own network.
    pub const HOST: Self = Self::Node(NodeNetwork::Host);
    /// The node's bridge.
    pub const BRIDGE: Self = Self::Node(NodeNetwork::Bridge);
    /// None but the loopback.
    pub const NONE: Self = Self::Node(NodeNetwork::None);

    /// What the settings ask for, whether or not there is such a network.
    pub fn of(config: &ContainerConfig, host: &HostConfig) -> Result<Self, InvalidSettings> {
        if config.network_disabled {
            return Ok(Self::NONE);
        }
        let mode = host.network_mode.as_str();
        if matches!(mode, "" | "default") {
            return Ok(Self::BRIDGE);
        }
        if let Some(other) = mode.strip_prefix(CONTAINER) {
            if other.is_empty() {
                return Err(InvalidSettings::new("invalid container format container:<name|id>"));
            }
            return Ok(Self::Container(other.to_owned()));
        }
        let known = NodeNetwork::find(mode).filter(|network| network.name() == mode || mode.len() >= SHORT_ID);
        Ok(known.map_or_else(|| Self::Local(mode.to_owned()), Self::Node))
    }

    /// Whether a container of this mode has addresses of its own.
    pub(crate) fn has_addresses(&self) -> bool {
        matches!(self, Self::Node(NodeNetwork::Bridge) | Self::Local(_))
    }

    /// As `HostConfig` has it: `bridge`, `host`, `none`, `container:…`, the name of a network.
    pub fn name(&self) -> String {
        match self {
            Self::Node(network) => network.name().to_owned(),
            Self::Container(other) => format!("{CONTAINER}{other}"),
            Self::Local(name) => name.clone(),
        }
    }
}

/// Refuses what a container cannot have that is in another one's network.
pub(crate) fn check_joined(config: &ContainerConfig, host: &HostConfig) -> Result<(), InvalidSettings> {
    let has = |list: Option<&Vec<String>>| list.is_some_and(|list| !list.is_empty());
    let conflicts = [
        (has(host.links.as_ref()), "container type network can't be used with links"),
        (!host.dns.is_empty(), "dns and the network mode"),
        (has(host.extra_hosts.as_ref()), "custom host-to-IP mapping and the network mode"),
        (!config.mac_address.is_empty(), "mac-address and the network mode"),
        (
            !host.port_bindings.is_empty() || host.publish_all_ports,
            "port publishing and the container type network mode",
        ),
    ];
    match conflicts.iter().find(|(is_so, _)| *is_so) {
        Some((_, words)) => Err(InvalidSettings(format!("conflicting options: {words}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mode: &str, expected: Result<NetworkMode, &str>) {
        let host = HostConfig { network_mode: mode.to_owned(), ..HostConfig::default() };

        let found = NetworkMode::of(&ContainerConfig::default(), &host);

        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn the_nodes_networks_and_those_of_containers_are_offered() {
        check("", Ok(NetworkMode::BRIDGE));
        check("default", Ok(NetworkMode::BRIDGE));
        check("bridge", Ok(NetworkMode::BRIDGE));
        check("host", Ok(NetworkMode::HOST));
        check("none", Ok(NetworkMode::NONE));
        check(NodeNetwork::Host.id(), Ok(NetworkMode::HOST));
        check(&NodeNetwork::Bridge.id()[..12], Ok(NetworkMode::BRIDGE));
        check("container:web", Ok(NetworkMode::Container("web".to_owned())));
        check("container:", Err("invalid container format container:<name|id>"));
        for mode in ["web", "8"] {
            check(mode, Ok(NetworkMode::Local(mode.to_owned())));
        }
    }
}
