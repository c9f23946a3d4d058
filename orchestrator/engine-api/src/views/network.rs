//! A network, as `GET /networks` shows it.

use std::collections::BTreeMap;

use engine::{BRIDGE, ContainerView, LocalNetwork, Subnet};
use model::NodeNetwork;
use serde::Serialize;

/// Docker's word for a time that nobody knows: Go's zero.
const UNKNOWN: &str = "0001-01-01T00:00:00Z";

/// Docker's `Network`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "they are Docker's")]
pub(crate) struct NetworkDocument {
    name: String,
    id: String,
    created: String,
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
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

impl NetworkDocument {
    /// Shows a network that the node has by itself, in the scope that the client asks for: a swarm may use it too. The
    /// bridge has a range of addresses.
    pub(crate) fn of_node(network: NodeNetwork, scope: &'static str, subnet: Option<Subnet>) -> Self {
        Self {
            name: network.name().to_owned(),
            id: network.id().to_owned(),
            created: UNKNOWN.to_owned(),
            scope,
            driver: network.driver(),
            has_ipv4: true,
            has_ipv6: false,
            addresses: AddressesView {
                driver: "default",
                options: None,
                config: subnet.map(RangeView::from).into_iter().collect(),
            },
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

    /// Shows a network that an operator made.
    pub(crate) fn local(network: &LocalNetwork) -> Self {
        let addresses = &network.addresses;
        let range = RangeView {
            ip_range: addresses.range.clone(),
            auxiliary: addresses.auxiliary.iter().map(|(name, address)| (name.clone(), address.to_string())).collect(),
            ..RangeView::from(addresses.subnet)
        };
        Self {
            name: network.name.clone(),
            id: network.id.clone(),
            created: network.created.to_string(),
            addresses: AddressesView {
                driver: "default",
                options: Some(addresses.options.clone()).filter(|options| !options.is_empty()),
                config: vec![range],
            },
            internal: network.is_internal,
            attachable: network.is_attachable,
            options: network.options.clone(),
            labels: network.labels.clone(),
            ..Self::of_node(NodeNetwork::Bridge, "local", None)
        }
    }

    /// Shows a container in it.
    pub(crate) fn add(&mut self, container: &ContainerView) {
        let mut place = PlaceView { name: container.record.name.clone(), ..PlaceView::default() };
        if let Some(endpoint) = container.state.endpoints.get(&self.id) {
            place.endpoint_id.clone_from(&endpoint.id);
            place.mac_address = endpoint.hardware_address.to_string();
            place.ipv4_address = format!("{}/{}", endpoint.address, endpoint.prefix_length);
        }
        self.containers.insert(container.record.id.clone(), place);
    }
}

/// What Docker shows of its own bridge.
fn options(network: NodeNetwork) -> BTreeMap<String, String> {
    let options: &[(&str, &str)] = match network {
        NodeNetwork::Bridge => &[
            ("com.docker.network.bridge.default_bridge", "true"),
            ("com.docker.network.bridge.enable_icc", "true"),
            ("com.docker.network.bridge.enable_ip_masquerade", "true"),
            ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
            ("com.docker.network.bridge.name", BRIDGE),
            ("com.docker.network.driver.mtu", "1500"),
        ],
        NodeNetwork::Host | NodeNetwork::None => &[],
    };
    options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AddressesView {
    driver: &'static str,
    options: Option<BTreeMap<String, String>>,
    config: Vec<RangeView>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RangeView {
    subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "Option::is_none")]
    ip_range: Option<String>,
    gateway: String,
    #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "BTreeMap::is_empty")]
    auxiliary: BTreeMap<String, String>,
}

impl From<Subnet> for RangeView {
    fn from(subnet: Subnet) -> Self {
        let (ip_range, auxiliary) = (None, BTreeMap::new());
        Self { subnet: subnet.prefix().to_string(), ip_range, gateway: subnet.gateway.to_string(), auxiliary }
    }
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
