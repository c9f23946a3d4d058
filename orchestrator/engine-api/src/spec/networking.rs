//! The networks that a new container is to be in: one, the one of its mode. Whether that is there, the engine says.

use std::collections::BTreeMap;

use engine::CreateRequest;
use model::NodeNetwork;
use serde::Deserialize;

use crate::body::from_value;
use crate::error::ApiError;

/// Docker's `NetworkingConfig`, as far as it can say what this engine must not pass over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkingBody {
    endpoints_config: BTreeMap<String, EndpointBody>,
}

/// Docker's `EndpointSettings`: what a client may ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EndpointBody {
    #[serde(rename = "IPAMConfig")]
    addresses: AddressesBody,
    links: Vec<String>,
    aliases: Vec<String>,
    mac_address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AddressesBody {
    #[serde(rename = "IPv4Address")]
    ipv4: String,
    #[serde(rename = "IPv6Address")]
    ipv6: String,
    #[serde(rename = "LinkLocalIPs")]
    link_local: Vec<String>,
}

/// Refuses what no container of this node can have of a network.
pub(super) fn check_networking(request: &CreateRequest) -> Result<(), ApiError> {
    let mode = name_of(&request.host_config.network_mode);
    let body: NetworkingBody = from_value(request.networking_config.clone().unwrap_or_default())?;
    if let Some(other) = body.endpoints_config.keys().find(|name| name_of(name) != mode) {
        return Err(ApiError::not_offered(format!(
            "this engine does not connect a container to a network beside the one of its mode: `{other}` is not \
             `{mode}`; name one network, with `--network`"
        )));
    }
    let links = body.endpoints_config.values().flat_map(|endpoint| &endpoint.links);
    if links.chain(request.host_config.links.iter().flatten()).next().is_some() {
        return Err(ApiError::not_offered(
            "this engine does not link containers: use `--network host`, or publish a port",
        ));
    }
    let has_address = |endpoint: &EndpointBody| {
        let EndpointBody { addresses: AddressesBody { ipv4, ipv6, link_local }, .. } = endpoint;
        !(ipv4.is_empty() && ipv6.is_empty() && link_local.is_empty())
    };
    let is_users = NodeNetwork::find(mode).is_none();
    if !is_users && body.endpoints_config.values().any(has_address) {
        let words = "user specified IP address is supported on user defined networks only";
        return Err(ApiError::invalid(words));
    }
    if !is_users && body.endpoints_config.values().any(|endpoint| !endpoint.aliases.is_empty()) {
        let words = "network-scoped alias is supported only for containers in user defined networks";
        return Err(ApiError::invalid(words));
    }
    let macs = body.endpoints_config.values().map(|endpoint| &endpoint.mac_address);
    for mac in macs.chain([&request.config.mac_address]).filter(|mac| !mac.is_empty()) {
        if !is_mac_address(mac) {
            return Err(ApiError::invalid(format!("invalid MAC address: {mac}")));
        }
        if matches!(mode, "host" | "none") {
            return Err(ApiError::invalid("conflicting options: mac-address and the network mode"));
        }
    }
    Ok(())
}

/// The name of a network, whatever it was named by.
fn name_of(network: &str) -> &str {
    if matches!(network, "" | "default") {
        return NodeNetwork::Bridge.name();
    }
    match NodeNetwork::find(network) {
        Some(known) => known.name(),
        None => network,
    }
}

fn is_mac_address(text: &str) -> bool {
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split([':', '-']).count() == 6 && text.split([':', '-']).all(is_byte)
}

#[cfg(test)]
mod tests {
    use engine::HostConfig;
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "it is a literal in every call")]
    fn check(mode: &str, endpoints: Value, expected: Result<(), (u16, &str)>) {
        let host_config = HostConfig { network_mode: mode.to_owned(), ..HostConfig::default() };
        let networking_config = Some(json!({"EndpointsConfig": endpoints}));
        let request = CreateRequest { host_config, networking_config, ..CreateRequest::default() };
        let found = check_networking(&request).map_err(|error| (error.status.as_u16(), error.message));
        assert_eq!(found, expected.map_err(|(status, words)| (status, words.to_owned())), "{mode} {endpoints:?}");
    }

    #[test]
    fn a_container_is_in_the_network_of_its_mode() {
        check("host", json!({}), Ok(()));
        check("host", json!({"host": {"IPAMConfig": null, "Aliases": null}}), Ok(()));
        check("", json!({"default": {}}), Ok(()));
        check("host", json!({NodeNetwork::Host.id(): {}}), Ok(()));
        check("container:web", json!({"container:web": {}}), Ok(()));
        check("bridge", json!({"default": {"MacAddress": "02:00:00:00:00:01"}}), Ok(()));
        check("web", json!({"web": {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}}), Ok(()));
        let words = "this engine does not connect a container to a network beside the one of its mode: `web` is not \
                     `host`; name one network, with `--network`";
        check("host", json!({"host": {}, "web": {}}), Err((501, words)));
    }

    #[test]
    fn what_cannot_be_had_of_a_network_is_refused() {
        let address = "user specified IP address is supported on user defined networks only";
        let alias = "network-scoped alias is supported only for containers in user defined networks";
        check("host", json!({"host": {"IPAMConfig": {"IPv4Address": "10.0.0.2"}}}), Err((400, address)));
        check("", json!({"default": {"IPAMConfig": {"LinkLocalIPs": ["169.254.0.1"]}}}), Err((400, address)));
        check("none", json!({"none": {"Aliases": ["a"]}}), Err((400, alias)));
        let links = "this engine does not link containers: use `--network host`, or publish a port";
        check("web", json!({"web": {"Links": ["a:b"]}}), Err((501, links)));
        check("web", json!({"web": {"MacAddress": "zz"}}), Err((400, "invalid MAC address: zz")));
        let mac = "conflicting options: mac-address and the network mode";
        check("host", json!({"host": {"MacAddress": "02:00:00:00:00:01"}}), Err((400, mac)));
    }
}
