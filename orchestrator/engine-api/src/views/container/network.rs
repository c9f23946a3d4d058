//! The networks of a container, its place in each, and the ports of the host that lead to it.

use std::collections::{BTreeMap, BTreeSet};

use engine::{ContainerRecord, ContainerView, Endpoint, NetworkMode, PublishedPort};
use model::NodeNetwork;
use serde::Serialize;
use serde_json::Value;

/// Docker's `NetworkSettings` of one container.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NetworkSettingsView {
    #[serde(rename = "Bridge")]
    bridge: &'static str,
    #[serde(rename = "SandboxID")]
    sandbox_id: &'static str,
    #[serde(rename = "SandboxKey")]
    sandbox_key: &'static str,
    #[serde(rename = "Ports")]
    ports: BTreeMap<String, Option<Vec<BindingView>>>,
    #[serde(rename = "HairpinMode")]
    is_hairpin: bool,
    #[serde(rename = "LinkLocalIPv6Address")]
    link_local_address: &'static str,
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    link_local_prefix_length: u8,
    #[serde(rename = "SecondaryIPAddresses")]
    secondary_addresses: Option<Vec<Value>>,
    #[serde(rename = "SecondaryIPv6Addresses")]
    secondary_ipv6_addresses: Option<Vec<Value>>,
    #[serde(flatten)]
    default: AddressesView,
    #[serde(rename = "Networks")]
    networks: BTreeMap<String, EndpointView>,
}

/// A port of the host, as Docker's `PortBinding`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BindingView {
    host_ip: String,
    host_port: String,
}

/// A place in a network, as lists and containers show it: Docker's `EndpointSettings`.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct EndpointView {
    #[serde(rename = "IPAMConfig")]
    asked_addresses: Option<AskedView>,
    #[serde(rename = "Links")]
    links: Option<Vec<String>>,
    #[serde(rename = "Aliases")]
    aliases: Option<Vec<String>>,
    #[serde(rename = "DriverOpts")]
    driver_options: Option<BTreeMap<String, String>>,
    #[serde(rename = "GwPriority")]
    gateway_priority: i64,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(flatten)]
    addresses: AddressesView,
    #[serde(rename = "DNSNames")]
    dns_names: Option<Vec<String>>,
}

/// The addresses that were asked for: Docker's `EndpointIPAMConfig`.
#[derive(Debug, Clone, Default, Serialize)]
struct AskedView {
    #[serde(rename = "IPv4Address", skip_serializing_if = "Option::is_none")]
    ipv4: Option<String>,
}

/// The addresses of a place in a network. Empty in a network that gives none.
#[derive(Debug, Clone, Default, Serialize)]
struct AddressesView {
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    #[serde(rename = "Gateway")]
    gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    ipv6_address: &'static str,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    ipv6_prefix_length: u8,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    prefix_length: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: &'static str,
    #[serde(rename = "MacAddress")]
    mac_address: String,
}

impl From<&Endpoint> for AddressesView {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            endpoint_id: endpoint.id.clone(),
            gateway: endpoint.gateway.to_string(),
            ip_address: endpoint.address.to_string(),
            prefix_length: endpoint.prefix_length,
            mac_address: endpoint.hardware_address.to_string(),
            ..Self::default()
        }
    }
}

/// A port of a container, and of its host where it is published: Docker's `PortSummary`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PortView {
    #[serde(rename = "IP", skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    private_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    kind: String,
}

/// The networks that a container is in, or is to be in once it runs: ids and names. None where it is in another
/// container's.
pub(crate) fn networks_of(record: &ContainerRecord) -> Vec<(String, String)> {
    match NetworkMode::of(&record.config, &record.host_config) {
        Ok(NetworkMode::Node(network @ (NodeNetwork::Host | NodeNetwork::None))) => {
            vec![(network.id().to_owned(), network.name().to_owned())]
        }
        Ok(NetworkMode::Node(NodeNetwork::Bridge) | NetworkMode::Local(_)) => {
            record.attachments().iter().map(|one| (one.network.clone(), one.name.clone())).collect()
        }
        Ok(NetworkMode::Container(_)) | Err(_) => Vec::new(),
    }
}

/// The word for the network of a container, as its settings are shown.
pub(super) fn mode(record: &ContainerRecord) -> String {
    match record.host_config.network_mode.as_str() {
        "" | "default" => NodeNetwork::Bridge.name().to_owned(),
        mode => mode.to_owned(),
    }
}

/// The places of a container in its networks, by their names.
pub(super) fn endpoints(view: &ContainerView) -> BTreeMap<String, EndpointView> {
    let attachments = view.record.attachments();
    let place = |(id, name): (String, String)| {
        let attachment = attachments.iter().find(|attachment| attachment.network == id).cloned().unwrap_or_default();
        let addresses = view.state.endpoints.get(&id).map(AddressesView::from);
        let mac_address = attachment.hardware_address.map(|address| address.to_string()).unwrap_or_default();
        let some = |names: Vec<String>| Some(names).filter(|names| !names.is_empty());
        let is_of_node = NodeNetwork::find(&id).is_some();
        let shown = EndpointView {
            asked_addresses: attachment.address.map(|address| AskedView { ipv4: Some(address.to_string()) }),
            links: if is_of_node { None } else { some(attachment.links.clone()) },
            dns_names: if is_of_node { None } else { Some(attachment.dns_names(&view.record)) },
            aliases: some(attachment.aliases),
            driver_options: Some(attachment.driver_options).filter(|options| !options.is_empty()),
            gateway_priority: attachment.gateway_priority,
            network_id: id,
            addresses: addresses.unwrap_or_else(|| AddressesView { mac_address, ..AddressesView::default() }),
        };
        (name, shown)
    };
    networks_of(&view.record).into_iter().map(place).collect()
}

/// All that is known of a container's networks.
pub(super) fn settings(view: &ContainerView) -> NetworkSettingsView {
    NetworkSettingsView {
        bridge: "",
        sandbox_id: "",
        sandbox_key: "",
        ports: bindings(view),
        is_hairpin: false,
        link_local_address: "",
        link_local_prefix_length: 0,
        secondary_addresses: None,
        secondary_ipv6_addresses: None,
        default: view.state.endpoints.get(NodeNetwork::Bridge.id()).map(AddressesView::from).unwrap_or_default(),
        networks: endpoints(view),
    }
}

/// The ports of a container that is in networks, by `80/tcp`; those that are not published lead nowhere.
fn bindings(view: &ContainerView) -> BTreeMap<String, Option<Vec<BindingView>>> {
    if view.state.endpoints.is_empty() {
        return BTreeMap::new();
    }
    let exposed = view.record.config.exposed_ports.keys().map(|port| (port.clone(), None));
    let mut bindings: BTreeMap<String, Option<Vec<BindingView>>> = exposed.collect();
    for port in view.state.ports() {
        let binding = BindingView { host_ip: port.host_address.to_string(), host_port: port.host_port.to_string() };
        bindings.entry(name_of(port)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

/// The same, as a list shows them.
pub(super) fn ports(view: &ContainerView) -> Vec<PortView> {
    if view.state.endpoints.is_empty() {
        return Vec::new();
    }
    let published: BTreeSet<String> = view.state.ports().map(name_of).collect();
    let exposed = view.record.config.exposed_ports.keys().filter(|port| !published.contains(*port));
    let unpublished = exposed.filter_map(|port| {
        let (number, protocol) = port.split_once('/')?;
        Some(PortView { ip: None, private_port: number.parse().ok()?, public_port: None, kind: protocol.to_owned() })
    });
    let lead_there = view.state.ports().map(|port| PortView {
        ip: Some(port.host_address.to_string()),
        private_port: port.target_port,
        public_port: Some(port.host_port),
        kind: port.protocol.to_string(),
    });
    lead_there.chain(unpublished).collect()
}

fn name_of(port: &PublishedPort) -> String {
    format!("{}/{}", port.target_port, port.protocol)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use engine::{ContainerState, HardwareAddress, Protocol};
    use serde_json::json;

    use super::*;

    fn view(mode: &str, endpoint: Option<Endpoint>) -> ContainerView {
        let digest = format!("sha256:{}", "a".repeat(64));
        let record = json!({
            "id": "a".repeat(64), "name": "web", "created": "2026-01-01T00:00:00Z", "image": digest,
            "config": {"ExposedPorts": {"80/tcp": {}, "90/udp": {}}}, "host_config": {"NetworkMode": mode},
            "mounts": [], "hold": {"holder": "a".repeat(64), "image": digest, "chain_id": null},
        });
        let record: ContainerRecord = serde_json::from_value(record).unwrap();
        let endpoints = endpoint.map(|endpoint| (NodeNetwork::Bridge.id().to_owned(), endpoint)).into_iter().collect();
        ContainerView { record: record.into(), state: ContainerState { endpoints, ..ContainerState::default() } }
    }

    fn endpoint() -> Endpoint {
        let host_address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Endpoint {
            id: "e".repeat(64),
            address: Ipv4Addr::new(172, 17, 0, 2),
            prefix_length: 16,
            gateway: Ipv4Addr::new(172, 17, 0, 1),
            hardware_address: HardwareAddress([2, 0, 0, 0, 0, 7]),
            ports: vec![PublishedPort { target_port: 80, protocol: Protocol::Tcp, host_address, host_port: 8080 }],
            link: "eth0".to_owned(),
            leads_out: true,
        }
    }

    #[test]
    fn a_container_in_the_bridge_has_an_address_and_ports() {
        let view = view("", Some(endpoint()));

        let shown = serde_json::to_value(settings(&view)).unwrap();
        let listed = serde_json::to_value(ports(&view)).unwrap();

        assert_eq!(shown["Ports"], json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/udp": null}));
        for place in [&shown, &shown["Networks"]["bridge"]] {
            assert_eq!((&place["IPAddress"], &place["IPPrefixLen"]), (&json!("172.17.0.2"), &json!(16)));
            assert_eq!((&place["Gateway"], &place["MacAddress"]), (&json!("172.17.0.1"), &json!("02:00:00:00:00:07")));
        }
        assert_eq!(shown["Networks"]["bridge"]["NetworkID"], NodeNetwork::Bridge.id());
        assert_eq!(
            listed,
            json!([
                {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                {"PrivatePort": 90, "Type": "udp"},
            ])
        );
        assert_eq!(mode(&view.record), "bridge");
    }

    #[test]
    fn a_place_in_a_network_of_ones_own_shows_what_was_asked_for_also_before_it_is_had() {
        let id = "f".repeat(64);
        let mut view = view("front", None);
        let attachment = json!({
            "network": id, "name": "front", "aliases": ["app"], "links": ["db:base"], "address": "10.9.0.9",
            "hardware_address": "02:00:00:00:00:07", "driver_options": {"a": "b"}, "gateway_priority": 3,
        });
        let mut record = serde_json::to_value(&*view.record).unwrap();
        record["attachments"] = json!([attachment]);
        record["config"]["Hostname"] = json!("shop");
        view.record = serde_json::from_value::<ContainerRecord>(record).unwrap().into();

        let waiting = serde_json::to_value(endpoints(&view)).unwrap();
        view.state.endpoints = [(id.clone(), endpoint())].into();
        let running = serde_json::to_value(endpoints(&view)).unwrap();

        let place = &waiting["front"];
        assert_eq!((&place["NetworkID"], &place["IPAddress"]), (&json!(id), &json!("")));
        assert_eq!((&place["Aliases"], &place["Links"]), (&json!(["app"]), &json!(["db:base"])));
        assert_eq!(place["IPAMConfig"], json!({"IPv4Address": "10.9.0.9"}));
        assert_eq!((&place["MacAddress"], &place["GwPriority"]), (&json!("02:00:00:00:00:07"), &json!(3)));
        assert_eq!(place["DNSNames"], json!(["web", "app", "aaaaaaaaaaaa", "shop"]));
        assert_eq!(running["front"]["IPAddress"], "172.17.0.2");
        assert_eq!(networks_of(&view.record), [(id, "front".to_owned())]);
    }

    #[test]
    fn what_does_not_run_or_is_in_another_network_has_neither() {
        let check = |mode: &str, networks: &[&str]| {
            let view = view(mode, None);
            let shown = serde_json::to_value(settings(&view)).unwrap();
            assert_eq!((&shown["Ports"], &shown["IPAddress"]), (&json!({}), &json!("")), "{mode}");
            assert_eq!(endpoints(&view).into_keys().collect::<Vec<_>>(), networks, "{mode}");
            assert_eq!(ports(&view), [], "{mode}");
        };
        check("default", &["bridge"]);
        check("host", &["host"]);
        check("none", &["none"]);
        check("container:web", &[]);
    }
}
