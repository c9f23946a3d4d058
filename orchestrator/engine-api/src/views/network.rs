//! A network, as `GET /networks` shows it.

use std::collections::BTreeMap;

use engine::{BRIDGE, ContainerView, Subnet};
use model::NodeNetwork;
use serde::Serialize;

/// Docker's word for a time that nobody knows: Go's zero.
const UNKNOWN: &str = "0001-01-01T00:00:00Z";

/// Docker's `Network`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "they are Docker's")]
pub(crate) struct NetworkDocument {
    name: &'static str,
    id: &'static str,
    created: &'static str,
    scope: &'static str,
    driver: &'static str,
    #[serde(rename = "EnableIPv4")]
    has_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    has_ipv6: bool,
    #[serde(rename = "IPAM")]
    addresses: AddressesView,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: ConfigFromView,
    config_only: bool,
    containers: BTreeMap<String, PlaceView>,
    options: BTreeMap<&'static str, &'static str>,
    labels: BTreeMap<String, String>,
}

impl NetworkDocument {
    /// Shows a network of the node, in the scope that the client asks for: a swarm may use it too. The bridge has a range
    /// of addresses.
    pub(crate) fn new(network: NodeNetwork, scope: &'static str, subnet: Option<Subnet>) -> Self {
        let config =
            subnet.map(|subnet| RangeView { subnet: subnet.prefix().to_string(), gateway: subnet.gateway.to_string() });
        Self {
            name: network.name(),
            id: network.id(),
            created: UNKNOWN,
            scope,
            driver: network.driver(),
            has_ipv4: true,
            has_ipv6: false,
            addresses: AddressesView { driver: "default", options: None, config: config.into_iter().collect() },
            internal: false,
            attachable: false,
            ingress: false,
            config_from: ConfigFromView { network: "" },
            config_only: false,
            containers: BTreeMap::new(),
            options: options(network),
            labels: BTreeMap::new(),
        }
    }

    /// Shows a container in it.
    pub(crate) fn add(&mut self, container: &ContainerView) {
        let mut place = PlaceView { name: container.record.name.clone(), ..PlaceView::default() };
        if let Some(endpoint) = &container.state.endpoint {
            place.endpoint_id.clone_from(&endpoint.id);
            place.mac_address = endpoint.hardware_address.to_string();
            place.ipv4_address = format!("{}/{}", endpoint.address, endpoint.prefix_length);
        }
        self.containers.insert(container.record.id.clone(), place);
    }
}

/// What Docker shows of its own bridge.
fn options(network: NodeNetwork) -> BTreeMap<&'static str, &'static str> {
    match network {
        NodeNetwork::Bridge => BTreeMap::from([
            ("com.docker.network.bridge.default_bridge", "true"),
            ("com.docker.network.bridge.enable_icc", "true"),
            ("com.docker.network.bridge.enable_ip_masquerade", "true"),
            ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
            ("com.docker.network.bridge.name", BRIDGE),
            ("com.docker.network.driver.mtu", "1500"),
        ]),
        NodeNetwork::Host | NodeNetwork::None => BTreeMap::new(),
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AddressesView {
    driver: &'static str,
    options: Option<()>,
    config: Vec<RangeView>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RangeView {
    subnet: String,
    gateway: String,
}

/// Docker's `EndpointResource`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PlaceView {
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    mac_address: String,
    #[serde(rename = "IPv4Address")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    ipv6_address: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFromView {
    network: &'static str,
}
