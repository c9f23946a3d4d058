//! The packet filter's table of the bridge network: the way out, published ports, and who may come in. Pure.
//!
//! ```text
//! raw          from the bridge to 127.0.0.0/8 ──────────────────────> dropped
//! prerouting   to a published port, from elsewhere or a container ──> the container's address and port
//! output       to a published port, from this host ─────────────────> the same, by 127.0.0.1 too
//! forward      into the bridge: replies, published ports, other containers; nothing else
//! postrouting  out of the bridge ───────────────────────────────────> from the host's address
//!              to a published port, from a container or 127.0.0.1 ──> from the bridge's, so that replies come by here
//! ```
//! Each bridge has a table of its own, so that what one lets in does not matter to another: what comes from elsewhere, from
//! another bridge too, is dropped unless it is for a published port. An internal bridge has no way out, and no ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use links::Prefix;
use links::nft::{Chain, Family, Hook, Policy, Rule, Ruleset};

use crate::{BridgeSettings, Endpoint, Protocol, PublishedPort, Subnet};

/// The name of the table of the node's own bridge, of the family `ip`, which only a node's engine uses.
pub(crate) const TABLE: &str = "swarmd-bridge";
/// Its family.
pub(crate) const FAMILY: Family = Family::Ip;
/// Addresses that never leave a host.
const LOOPBACK: Prefix = Prefix { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), length: 8 };

/// The table of a bridge for these endpoints.
pub(crate) fn ruleset<'e>(
    settings: &BridgeSettings,
    subnet: Subnet,
    endpoints: impl Iterator<Item = &'e Endpoint>,
) -> Ruleset {
    let bridge = settings.link.as_str();
    let ports: Vec<(&PublishedPort, Ipv4Addr)> =
        endpoints.flat_map(|endpoint| endpoint.ports.iter().map(|port| (port, endpoint.address))).collect();
    // Nobody but this host itself has any business with a port of its loopback.
    let from_elsewhere = ports.iter().filter(|(port, _)| !port.host_address.is_loopback());
    let chain = |name: &str, hook, rules| Chain { name: name.to_owned(), hook, policy: Policy::Accept, rules };
    let mut chains =
        vec![chain("raw", Hook::Raw, vec![Rule::new().arriving_by(bridge).destination_within(LOOPBACK).drop()])];
    if settings.is_internal {
        chains.push(chain("forward", Hook::Forward, closed(bridge)));
    } else {
        chains.push(chain("prerouting", Hook::Prerouting, from_elsewhere.filter_map(redirect).collect()));
        chains.push(chain("output", Hook::Output, ports.iter().filter_map(redirect).collect()));
        chains.push(chain("forward", Hook::Forward, open(bridge)));
        chains.push(chain("postrouting", Hook::Postrouting, departing(settings, subnet.prefix())));
    }
    Ruleset { family: FAMILY, name: settings.table(), sets: Vec::new(), chains }
}

/// Who comes into a bridge with a way out.
fn open(bridge: &str) -> Vec<Rule> {
    vec![
        Rule::new().leaving_by(bridge).arriving_by(bridge).accept(),
        Rule::new().leaving_by(bridge).of_known_connection().accept(),
        Rule::new().leaving_by(bridge).with_new_destination().accept(),
        Rule::new().leaving_by(bridge).drop(),
    ]
}

/// Nobody passes between an internal bridge and anything else.
fn closed(bridge: &str) -> Vec<Rule> {
    vec![
        Rule::new().leaving_by(bridge).arriving_by(bridge).accept(),
        Rule::new().leaving_by(bridge).drop(),
        Rule::new().arriving_by(bridge).drop(),
    ]
}

/// Under which address packets leave.
fn departing(settings: &BridgeSettings, range: Prefix) -> Vec<Rule> {
    let bridge = settings.link.as_str();
    let out = Rule::new().source_within(range).not_leaving_by(bridge).masquerade();
    let back = [
        Rule::new().source_within(range).leaving_by(bridge).with_new_destination().masquerade(),
        Rule::new().source_within(LOOPBACK).leaving_by(bridge).masquerade(),
    ];
    Some(out).filter(|_| settings.masquerades).into_iter().chain(back).collect()
}

/// The rule that leads to a container; none for a port of IPv6, which the bridge does not have.
fn redirect((port, container): &(&PublishedPort, Ipv4Addr)) -> Option<Rule> {
    let IpAddr::V4(host) = port.host_address else { return None };
    let rule = if host.is_unspecified() {
        Rule::new().for_this_host()
    } else {
        Rule::new().destination_within(Prefix { address: host.into(), length: 32 })
    };
    let rule = match port.protocol {
        Protocol::Tcp => rule.tcp_to(port.host_port),
        Protocol::Udp => rule.udp_to(port.host_port),
    };
    Some(rule.redirect_to(SocketAddrV4::new(*container, port.target_port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HardwareAddress;

    #[test]
    fn a_port_of_the_loopback_is_for_this_host_alone() {
        let subnet = Subnet { gateway: Ipv4Addr::new(172, 17, 0, 1), prefix_length: 16 };
        let address = Ipv4Addr::new(172, 17, 0, 2);
        let port = |host: [u8; 4]| PublishedPort {
            target_port: 80,
            protocol: Protocol::Tcp,
            host_address: IpAddr::from(host),
            host_port: 8080,
        };
        let endpoint = Endpoint {
            id: "e".to_owned(),
            address,
            prefix_length: 16,
            gateway: subnet.gateway,
            hardware_address: HardwareAddress::of(address),
            ports: vec![port([127, 0, 0, 1]), port([0; 4])],
            link: "eth0".to_owned(),
            leads_out: true,
        };

        let rules = ruleset(&BridgeSettings::of_node(), subnet, std::iter::once(&endpoint));

        let count = |name: &str| rules.chains.iter().find(|chain| chain.name == name).unwrap().rules.len();
        assert_eq!((count("prerouting"), count("output")), (1, 2));
        let internal = BridgeSettings { is_internal: true, ..BridgeSettings::of_node() };
        let chains = ruleset(&internal, subnet, std::iter::once(&endpoint)).chains;
        let names: Vec<_> = chains.iter().map(|chain| chain.name.as_str()).collect();
        assert_eq!(names, ["raw", "forward"], "no port leads into an internal network");
    }
}
