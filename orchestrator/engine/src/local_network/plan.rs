//! From an operator's words to a network: what is refused, and what is completed. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use links::Prefix;
use network::Subnet;
use serde::Deserialize;
use serde_json::Value;

use super::{LINK, LONGEST_PACKET, LocalAddresses, LocalNetworkError, MASQUERADE};

/// The longest name of a link.
const LINK_LENGTH: usize = 15;
/// The longest packets that a bridge may have, in bytes: from the least that IPv4 knows to the most.
const PACKETS: std::ops::RangeInclusive<u32> = 68..=65535;
/// The longest prefix with room for the host and a container.
const LONGEST_PREFIX: u8 = 30;
/// Names that mean something else.
const PREDEFINED: [&str; 4] = ["bridge", "default", "host", "none"];

/// Docker's request for a network.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "they are Docker's")]
pub struct NetworkRequest {
    /// Its name.
    pub name: String,
    /// Who makes it; a bridge where empty.
    pub driver: String,
    /// How far it reaches.
    pub scope: String,
    /// Whether it has no way out.
    #[serde(rename = "Internal")]
    pub is_internal: bool,
    /// Whether containers may join it by hand.
    #[serde(rename = "Attachable")]
    pub is_attachable: bool,
    /// Whether a swarm's published ports are to come by it.
    #[serde(rename = "Ingress")]
    pub is_ingress: bool,
    /// Whether it is to be a template only.
    #[serde(rename = "ConfigOnly")]
    pub is_template: bool,
    /// The template that it is to be made of.
    pub config_from: BTreeMap<String, Value>,
    /// Whether it has addresses of IPv4.
    #[serde(rename = "EnableIPv4")]
    pub has_ipv4: Option<bool>,
    /// Whether it has addresses of IPv6.
    #[serde(rename = "EnableIPv6")]
    pub has_ipv6: bool,
    /// Its addresses.
    #[serde(rename = "IPAM")]
    pub addresses: AddressesRequest,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Docker's `IPAM`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddressesRequest {
    /// Who gives addresses.
    pub driver: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
    /// Ranges, of which there can be one.
    pub config: Vec<RangeRequest>,
}

/// Docker's `IPAMConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RangeRequest {
    /// The range, as a prefix.
    pub subnet: String,
    /// The part of it that containers get addresses of.
    #[serde(rename = "IPRange")]
    pub ip_range: String,
    /// The host's address.
    pub gateway: String,
    /// Addresses that no container gets, by name.
    #[serde(rename = "AuxiliaryAddresses")]
    pub auxiliary: BTreeMap<String, String>,
}

fn invalid(words: impl Into<String>) -> LocalNetworkError {
    LocalNetworkError::Invalid(words.into())
}

fn not_offered(words: impl Into<String>) -> LocalNetworkError {
    LocalNetworkError::NotOffered(words.into())
}

impl NetworkRequest {
    /// Refuses what is no network of this node, whatever else there is.
    pub(super) fn check(&self) -> Result<(), LocalNetworkError> {
        let name = self.name.as_str();
        if name.trim().is_empty() {
            return Err(invalid("invalid name: name is empty"));
        }
        if PREDEFINED.contains(&name) {
            let words = format!("operation is not permitted on predefined {name} network");
            return Err(LocalNetworkError::Refused(words));
        }
        if name.starts_with("container:") || name.chars().any(char::is_control) {
            return Err(invalid(format!("invalid name: {name:?} names no network")));
        }
        self.check_driver()?;
        let has_template = self.config_from.values().any(|name| name.as_str().is_some_and(|name| !name.is_empty()));
        let refusals = [
            (self.is_ingress, "ingress networks are those of a swarm, which this engine does not make yet"),
            (self.is_template || has_template, "this engine has no networks that are templates"),
            (self.has_ipv6, "networks of this engine have no IPv6: leave out --ipv6"),
            (self.has_ipv4 == Some(false), "networks of this engine have addresses of IPv4: leave out --ipv4=false"),
        ];
        if let Some((_, words)) = refusals.iter().find(|(is_so, _)| *is_so) {
            return Err(not_offered(*words));
        }
        if !matches!(self.addresses.driver.as_str(), "" | "default") {
            return Err(LocalNetworkError::NoSuchDriver(self.addresses.driver.clone()));
        }
        self.options.iter().try_for_each(|(name, value)| check_option(name, value))
    }

    fn check_driver(&self) -> Result<(), LocalNetworkError> {
        let overlay = "this engine does not make networks of a swarm yet: leave out --driver overlay and --scope swarm";
        match self.driver.as_str() {
            "" | "bridge" | "default" => {}
            driver @ ("host" | "null") => {
                let words = format!("only one instance of \"{driver}\" network is allowed");
                return Err(LocalNetworkError::Refused(words));
            }
            "overlay" => return Err(not_offered(overlay)),
            driver @ ("macvlan" | "ipvlan") => {
                return Err(not_offered(format!("the driver \"{driver}\" is not offered by this node")));
            }
            driver => return Err(LocalNetworkError::NoSuchDriver(driver.to_owned())),
        }
        if matches!(self.scope.as_str(), "" | "local") { Ok(()) } else { Err(not_offered(overlay)) }
    }

    /// The addresses that were asked for; `None` where any range will do.
    pub(super) fn chosen_addresses(&self) -> Result<Option<LocalAddresses>, LocalNetworkError> {
        let options = self.addresses.options.clone();
        let wanted = match &self.addresses.config[..] {
            [] => return Ok(None),
            [wanted] if *wanted == RangeRequest::default() => return Ok(None),
            [wanted] => wanted,
            [_, _, ..] => return Err(not_offered("a network of this engine has one range of addresses")),
        };
        if wanted.subnet.is_empty() {
            return Err(invalid("invalid network config: a gateway, range or auxiliary address needs a subnet"));
        }
        let prefix = prefix_of("subnet", &wanted.subnet)?;
        let range = if wanted.ip_range.is_empty() { None } else { Some(prefix_of("ip-range", &wanted.ip_range)?) };
        if range.is_some_and(|range| range.length < prefix.length || !prefix.contains(range.address)) {
            return Err(invalid(format!("invalid ip-range {}: it is not in subnet {prefix}", wanted.ip_range)));
        }
        let subnet = Subnet { gateway: gateway(wanted, prefix, range)?, prefix_length: prefix.length };
        let mut auxiliary = BTreeMap::new();
        for (name, text) in &wanted.auxiliary {
            auxiliary.insert(name.clone(), address_in("auxiliary address", text, prefix)?);
        }
        let range = range.map(|range| range.to_string());
        Ok(Some(LocalAddresses { subnet, is_chosen: true, range, auxiliary, options }))
    }

    /// The addresses of a network for which any range will do, and this one was found.
    pub(super) fn found_addresses(&self, subnet: Subnet) -> LocalAddresses {
        let options = self.addresses.options.clone();
        LocalAddresses { subnet, is_chosen: false, range: None, auxiliary: BTreeMap::new(), options }
    }
}

/// The host's address: the one that was asked for, else the second of the part that containers get addresses of, else the
/// second of all.
fn gateway(wanted: &RangeRequest, prefix: Prefix, range: Option<Prefix>) -> Result<Ipv4Addr, LocalNetworkError> {
    if !wanted.gateway.is_empty() {
        return address_in("gateway", &wanted.gateway, prefix);
    }
    let second = |prefix: Prefix| match prefix.address {
        IpAddr::V4(first) => first.to_bits().checked_add(1).map(Ipv4Addr::from_bits),
        IpAddr::V6(_) => None,
    };
    let mut seconds = range.into_iter().chain([prefix]).filter_map(second);
    let found = seconds.find(|address| network::is_inner(prefix, *address));
    found.ok_or_else(|| invalid(format!("invalid subnet {prefix}: it has no room for the host")))
}

/// Reads a prefix of IPv4 whose host part is zero.
fn prefix_of(what: &str, text: &str) -> Result<Prefix, LocalNetworkError> {
    let parsed: Result<Prefix, _> = text.parse();
    let prefix = parsed.map_err(|_| invalid(format!("invalid {what} {text}: invalid CIDR address: {text}")))?;
    if prefix.address.is_ipv6() {
        return Err(not_offered(format!("networks of this engine have no IPv6: {what} {text}")));
    }
    if prefix != prefix.network() {
        return Err(invalid(format!("invalid {what} {text}: it should be {}", prefix.network())));
    }
    if what == "subnet" && !(1..=LONGEST_PREFIX).contains(&prefix.length) {
        return Err(invalid(format!("invalid subnet {text}: it has no room for a container")));
    }
    Ok(prefix)
}

/// Reads an address of a range, neither its first nor its last one.
fn address_in(what: &str, text: &str, prefix: Prefix) -> Result<Ipv4Addr, LocalNetworkError> {
    let address: Ipv4Addr =
        text.parse().map_err(|_| invalid(format!("invalid {what} {text}: it is no address of IPv4")))?;
    if network::is_inner(prefix, address) {
        return Ok(address);
    }
    Err(invalid(format!("invalid {what} {text}: it is not in subnet {prefix}")))
}

/// Refuses what the driver would not keep. What it does not know is let pass, as by Docker.
fn check_option(name: &str, value: &str) -> Result<(), LocalNetworkError> {
    let wrong = || invalid(format!("invalid value for option {name}: {value:?}"));
    match name {
        LINK => {
            let is_name = !value.is_empty()
                && value.len() <= LINK_LENGTH
                && !matches!(value, "." | ".." | "lo" | network::BRIDGE)
                && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':');
            if is_name { Ok(()) } else { Err(wrong()) }
        }
        LONGEST_PACKET => {
            let bytes = value.parse::<u32>().map_err(|_| wrong())?;
            if PACKETS.contains(&bytes) { Ok(()) } else { Err(wrong()) }
        }
        MASQUERADE => flag(value).map(drop).ok_or_else(wrong),
        "com.docker.network.bridge.enable_icc" if flag(value) != Some(true) => {
            Err(not_offered(format!("the option {name}={value} is not offered by this node")))
        }
        "com.docker.network.bridge.default_bridge" if flag(value) != Some(false) => Err(wrong()),
        "com.docker.network.bridge.host_binding_ipv4" if value != "0.0.0.0" => {
            Err(not_offered(format!("the option {name}={value} is not offered by this node: name it with each port")))
        }
        _ => Ok(()),
    }
}

/// Reads yes or no as Go does.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(value: Value) -> NetworkRequest {
        let mut request: NetworkRequest = serde_json::from_value(value).unwrap();
        if request.name.is_empty() {
            request.name = "front".to_owned();
        }
        request
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is a literal in every call")]
    fn range(value: Value) -> Result<Option<LocalAddresses>, String> {
        let request = request(json!({"IPAM": {"Config": [value]}}));
        request.check().and_then(|()| request.chosen_addresses()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_range_is_completed_with_the_hosts_address() {
        let check = |wanted: Value, gateway: &str| {
            let addresses = range(wanted).unwrap().unwrap();
            assert_eq!((addresses.subnet.gateway.to_string().as_str(), addresses.is_chosen), (gateway, true));
        };

        check(json!({"Subnet": "10.1.0.0/16"}), "10.1.0.1");
        check(json!({"Subnet": "10.1.0.0/16", "Gateway": "10.1.9.9"}), "10.1.9.9");
        check(json!({"Subnet": "10.1.0.0/16", "IPRange": "10.1.5.0/24"}), "10.1.5.1");
        check(json!({"Subnet": "10.1.0.0/16", "IPRange": "10.1.255.255/32"}), "10.1.0.1");
        check(json!({"Subnet": "255.255.255.252/30", "IPRange": "255.255.255.255/32"}), "255.255.255.253");
        assert_eq!(range(json!({})), Ok(None));
        assert_eq!(request(json!({"IPAM": {"Driver": "default"}})).chosen_addresses().unwrap(), None);
        let auxiliary = range(json!({"Subnet": "10.1.0.0/16", "AuxiliaryAddresses": {"router": "10.1.0.9"}}));
        assert_eq!(auxiliary.unwrap().unwrap().auxiliary["router"], Ipv4Addr::new(10, 1, 0, 9));
    }

    #[test]
    fn addresses_that_do_not_fit_are_refused() {
        let check = |wanted: Value, expected: &str| assert_eq!(range(wanted).unwrap_err(), expected);

        check(json!({"Subnet": "here"}), "invalid subnet here: invalid CIDR address: here");
        check(json!({"Subnet": "10.1.0.1/16"}), "invalid subnet 10.1.0.1/16: it should be 10.1.0.0/16");
        check(json!({"Subnet": "10.1.0.0/31"}), "invalid subnet 10.1.0.0/31: it has no room for a container");
        check(json!({"Subnet": "0.0.0.0/0"}), "invalid subnet 0.0.0.0/0: it has no room for a container");
        check(
            json!({"Subnet": "10.1.0.0/16", "Gateway": "10.2.0.1"}),
            "invalid gateway 10.2.0.1: it is not in subnet 10.1.0.0/16",
        );
        check(
            json!({"Subnet": "10.1.0.0/16", "Gateway": "10.1.255.255"}),
            "invalid gateway 10.1.255.255: it is not in subnet 10.1.0.0/16",
        );
        check(
            json!({"Subnet": "10.1.0.0/16", "IPRange": "10.0.0.0/8"}),
            "invalid ip-range 10.0.0.0/8: it is not in subnet 10.1.0.0/16",
        );
        check(
            json!({"Gateway": "10.1.0.1"}),
            "invalid network config: a gateway, range or auxiliary address needs a subnet",
        );
        check(json!({"Subnet": "fd00::/64"}), "networks of this engine have no IPv6: subnet fd00::/64");
    }

    #[test]
    fn what_is_no_bridge_of_this_node_is_refused_by_name() {
        let check = |wanted: Value, expected: &str| {
            assert_eq!(request(wanted).check().unwrap_err().to_string(), expected);
        };

        check(json!({"Name": " "}), "invalid name: name is empty");
        check(json!({"Name": "host"}), "operation is not permitted on predefined host network");
        check(json!({"Driver": "host"}), "only one instance of \"host\" network is allowed");
        check(json!({"Driver": "weave"}), "could not find plugin weave in v1 plugin registry: plugin not found");
        check(json!({"EnableIPv6": true}), "networks of this engine have no IPv6: leave out --ipv6");
        let option = |name: &str, value: &str| json!({"Options": {name: value}});
        check(option(LINK, "a/b"), "invalid value for option com.docker.network.bridge.name: \"a/b\"");
        check(option(LONGEST_PACKET, "7"), "invalid value for option com.docker.network.driver.mtu: \"7\"");
        assert!(request(option("com.example.whatever", "1")).check().is_ok(), "Docker does not ask either");
        assert!(request(option(LINK, "br-front")).check().is_ok());
    }
}
