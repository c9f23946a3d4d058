//! Which network a container is in, and what it asks of its place there.

use model::NodeNetwork;
use network::HardwareAddress;
use serde_json::Value;

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
}

impl NetworkMode {
    /// The node's own network.
    pub const HOST: Self = Self::Node(NodeNetwork::Host);
    /// The node's bridge.
    pub const BRIDGE: Self = Self::Node(NodeNetwork::Bridge);
    /// None but the loopback.
    pub const NONE: Self = Self::Node(NodeNetwork::None);

    /// What the settings ask for. Refused where the node does not offer it.
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
        known.map(Self::Node).ok_or_else(|| not_found(mode))
    }

    /// As `HostConfig` has it: `bridge`, `host`, `none`, `container:…`.
    pub fn name(&self) -> String {
        match self {
            Self::Node(network) => network.name().to_owned(),
            Self::Container(other) => format!("{CONTAINER}{other}"),
        }
    }
}

fn not_found(network: &str) -> InvalidSettings {
    InvalidSettings(format!("network {network} not found: this node offers `bridge`, `host` and `none`"))
}

/// The hardware address that a container asks for in the bridge. What only networks of an operator's own offer is
/// refused in Docker's words.
pub(crate) fn hardware_address(
    config: &ContainerConfig,
    places: Option<&Value>,
) -> Result<Option<HardwareAddress>, InvalidSettings> {
    let mut wanted = config.mac_address.as_str();
    let places = places.and_then(|places| places.get("EndpointsConfig")).and_then(Value::as_object);
    for (network, place) in places.into_iter().flatten() {
        let is_bridge = network == "default" || NodeNetwork::find(network) == Some(NodeNetwork::Bridge);
        if !is_bridge {
            if NodeNetwork::find(network).is_some() {
                continue;
            }
            return Err(not_found(network));
        }
        let addresses = place.get("IPAMConfig").and_then(Value::as_object);
        let has_address =
            |key: &str| addresses.and_then(|asked| asked.get(key)).and_then(Value::as_str).is_some_and(has_text);
        if has_address("IPv4Address") || has_address("IPv6Address") {
            return Err(InvalidSettings::new("user specified IP address is supported on user defined networks only"));
        }
        let aliases = place.get("Aliases").and_then(Value::as_array);
        if aliases.is_some_and(|aliases| !aliases.is_empty()) {
            let words = "network-scoped alias is supported only for containers in user defined networks";
            return Err(InvalidSettings::new(words));
        }
        let address = place.get("MacAddress").and_then(Value::as_str).unwrap_or_default();
        if has_text(address) {
            wanted = address;
        }
    }
    let wanted = Some(wanted).filter(|wanted| has_text(wanted)).map(str::parse).transpose();
    wanted.map_err(|error: network::InvalidHardwareAddress| InvalidSettings(error.to_string()))
}

fn has_text(text: &str) -> bool {
    !text.is_empty()
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
    use serde_json::json;

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
            check(mode, Err(&format!("network {mode} not found: this node offers `bridge`, `host` and `none`")));
        }
    }

    #[test]
    fn a_place_in_the_bridge_has_no_name_and_no_address_of_ones_own_choice() {
        let place = |place: Value| {
            let places = json!({"EndpointsConfig": {"default": place}});
            hardware_address(&ContainerConfig::default(), Some(&places)).map_err(|error| error.to_string())
        };

        assert_eq!(place(json!({"IPAMConfig": null, "Aliases": null})), Ok(None));
        assert_eq!(place(json!({"MacAddress": "02:00:00:00:00:07"})), Ok(Some(HardwareAddress([2, 0, 0, 0, 0, 7]))));
        assert_eq!(place(json!({"MacAddress": "7"})), Err("invalid MAC address: 7".to_owned()));
        assert_eq!(
            place(json!({"IPAMConfig": {"IPv4Address": "172.17.0.9"}})),
            Err("user specified IP address is supported on user defined networks only".to_owned())
        );
        assert!(place(json!({"Aliases": ["db"]})).is_err());
        let other = json!({"EndpointsConfig": {"web": {}}});
        assert!(hardware_address(&ContainerConfig::default(), Some(&other)).is_err());
    }
}
