//! A network, as `GET /networks` shows it.

use std::collections::BTreeMap;

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
    containers: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

impl NetworkDocument {
    /// Shows a network of the node, in the scope that the client asks for: a swarm may use it too.
    pub(crate) fn new(network: NodeNetwork, scope: &'static str) -> Self {
        Self {
            name: network.name(),
            id: network.id(),
            created: UNKNOWN,
            scope,
            driver: network.driver(),
            has_ipv4: true,
            has_ipv6: false,
            addresses: AddressesView { driver: "default", options: None, config: [] },
            internal: false,
            attachable: false,
            ingress: false,
            config_from: ConfigFromView { network: "" },
            config_only: false,
            containers: BTreeMap::new(),
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AddressesView {
    driver: &'static str,
    options: Option<()>,
    config: [(); 0],
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFromView {
    network: &'static str,
}
