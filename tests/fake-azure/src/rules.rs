//! The rules of security groups: what of them is refused, and what they let in.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::answer::Refusal;
use crate::bodies::{Named, RuleProperties};

/// A prefix of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Some(longest), |length| length.parse().ok())?;
        (length <= longest).then_some(Self { address, length })
    }

    pub(crate) fn holds(self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
            IpAddr::V6(address) => u128::from(address),
        };
        let mask = if self.length == 0 { 0 } else { u128::MAX << (128 - u32::from(self.length)) };
        self.address.is_ipv4() == address.is_ipv4() && bits(self.address) & mask == bits(address) & mask
    }

    pub(crate) fn is_within(self, other: Self) -> bool {
        other.length <= self.length && other.holds(self.address)
    }

    /// The addresses of a subnet that can be given out: the first three after the network's own are Azure's.
    pub(crate) fn usable(self) -> impl Iterator<Item = IpAddr> {
        let (first, count) = match self.address {
            IpAddr::V4(address) => (u32::from(address), 1_u32 << (32 - u32::from(self.length)).min(31)),
            IpAddr::V6(_) => (0, 0),
        };
        (4..count.saturating_sub(1)).map(move |offset| IpAddr::V4((first + offset).into()))
    }
}

/// Where a packet comes from and goes to, seen from a machine that it is meant for.
#[derive(Debug, Clone)]
pub(crate) struct Packet<'a> {
    pub(crate) from: IpAddr,
    pub(crate) protocol: &'a str,
    pub(crate) port: Option<u16>,
    /// The address space of the virtual network.
    pub(crate) network: &'a [Prefix],
    /// The application security groups that the sender and the receiver are in, lower-case ids.
    pub(crate) sender_groups: &'a BTreeSet<String>,
    pub(crate) receiver_groups: &'a BTreeSet<String>,
}

/// Whether the rules of a group let a packet in, with the rules that every group has.
pub(crate) fn lets_in(rules: &[Named<RuleProperties>], packet: &Packet<'_>) -> bool {
    let mut inbound: Vec<_> = rules.iter().filter(|rule| rule.properties.direction == "Inbound").collect();
    inbound.sort_by_key(|rule| rule.properties.priority);
    match inbound.iter().find(|rule| is_about(&rule.properties, packet)) {
        Some(rule) => rule.properties.access == "Allow",
        // AllowVnetInBound, 65000; then DenyAllInBound, 65500.
        None => packet.network.iter().any(|prefix| prefix.holds(packet.from)),
    }
}

fn is_about(rule: &RuleProperties, packet: &Packet<'_>) -> bool {
    let is_protocol = rule.protocol == "*" || rule.protocol.eq_ignore_ascii_case(packet.protocol);
    let is_source = match (&rule.source_address_prefix, &rule.source_application_security_groups) {
        (Some(prefix), _) => match prefix.as_str() {
            "*" => true,
            "VirtualNetwork" => packet.network.iter().any(|prefix| prefix.holds(packet.from)),
            "Internet" => !packet.network.iter().any(|prefix| prefix.holds(packet.from)),
            text => Prefix::read(text).is_some_and(|prefix| prefix.holds(packet.from)),
        },
        (None, Some(groups)) => groups.iter().any(|group| packet.sender_groups.contains(&group.id.to_lowercase())),
        (None, None) => false,
    };
    let is_destination = match &rule.destination_application_security_groups {
        Some(groups) => groups.iter().any(|group| packet.receiver_groups.contains(&group.id.to_lowercase())),
        None => true,
    };
    let ports = rule.destination_port_range.iter().chain(rule.destination_port_ranges.iter().flatten());
    let is_port = ports.into_iter().any(|range| match (range.as_str(), packet.port) {
        ("*", _) => true,
        (range, Some(port)) => ports_of(range).is_some_and(|(first, last)| first <= port && port <= last),
        (_, None) => false,
    });
    is_protocol && is_source && is_destination && is_port
}

fn ports_of(range: &str) -> Option<(u16, u16)> {
    match range.split_once('-') {
        Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        None => range.parse().ok().map(|port| (port, port)),
    }
}

/// Refuses rules that Azure refuses.
pub(crate) fn check(rules: &[Named<RuleProperties>]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    for Named { name, properties: rule } in rules {
        let refuse = |code: &str, what: String| Err(Refusal::new(400, code, format!("Security rule {name}: {what}")));
        if !(100..=4096).contains(&rule.priority) {
            return refuse(
                "SecurityRuleInvalidPriority",
                format!("priority {} is not between 100 and 4096.", rule.priority),
            );
        }
        if !seen.insert((rule.direction.clone(), rule.priority)) || !names.insert(name.to_lowercase()) {
            return refuse(
                "SecurityRuleConflict",
                "has the name, or the priority and direction, of another.".to_owned(),
            );
        }
        let is_protocol = matches!(rule.protocol.as_str(), "Tcp" | "Udp" | "Icmp" | "Esp" | "Ah" | "*");
        let is_known = is_protocol
            && matches!(rule.access.as_str(), "Allow" | "Deny")
            && matches!(rule.direction.as_str(), "Inbound" | "Outbound");
        if !is_known {
            return refuse(
                "SecurityRuleParameterContainsUnsupportedValue",
                "protocol, access or direction.".to_owned(),
            );
        }
        let has_source = rule.source_address_prefix.is_some() != rule.source_application_security_groups.is_some();
        let has_destination =
            rule.destination_address_prefix.is_some() != rule.destination_application_security_groups.is_some();
        let has_ports = rule.destination_port_range.is_some() != rule.destination_port_ranges.is_some();
        if !has_source || !has_destination || !has_ports || rule.source_port_range.is_none() {
            return refuse(
                "SecurityRuleMissingOrDuplicateParameter",
                "needs one source, one destination, source ports and destination ports.".to_owned(),
            );
        }
        let prefixes = [&rule.source_address_prefix, &rule.destination_address_prefix];
        for prefix in prefixes.into_iter().flatten() {
            let is_word = matches!(prefix.as_str(), "*" | "VirtualNetwork" | "Internet" | "AzureLoadBalancer");
            if !is_word && Prefix::read(prefix).is_none() {
                return refuse("SecurityRuleInvalidAddressPrefix", format!("'{prefix}' is no prefix."));
            }
        }
        let ports = rule.destination_port_range.iter().chain(rule.destination_port_ranges.iter().flatten());
        for range in ports {
            let has_none = matches!(rule.protocol.as_str(), "Esp" | "Ah" | "Icmp");
            if range != "*" && (has_none || ports_of(range).is_none_or(|(first, last)| first > last)) {
                return refuse(
                    "SecurityRuleInvalidPortRange",
                    format!("'{range}' is no range of ports of {}.", rule.protocol),
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(priority: u32, access: &str, source: &str, port: &str) -> Named<RuleProperties> {
        Named {
            name: format!("rule-{priority}"),
            properties: RuleProperties {
                description: None,
                protocol: "Tcp".to_owned(),
                access: access.to_owned(),
                direction: "Inbound".to_owned(),
                priority,
                source_address_prefix: Some(source.to_owned()),
                source_application_security_groups: None,
                source_port_range: Some("*".to_owned()),
                destination_address_prefix: Some("*".to_owned()),
                destination_application_security_groups: None,
                destination_port_range: Some(port.to_owned()),
                destination_port_ranges: None,
            },
        }
    }

    fn check_packet(rules: &[Named<RuleProperties>], from: &str, port: u16, expected: bool) {
        let none = BTreeSet::new();
        let network = [Prefix::read("10.77.0.0/16").unwrap()];
        let packet = Packet {
            from: from.parse().unwrap(),
            protocol: "Tcp",
            port: Some(port),
            network: &network,
            sender_groups: &none,
            receiver_groups: &none,
        };

        assert_eq!(lets_in(rules, &packet), expected, "{from} to {port}");
    }

    #[test]
    fn the_rule_of_the_lowest_priority_number_decides() {
        let rules = [rule(300, "Deny", "VirtualNetwork", "*"), rule(200, "Allow", "10.77.1.0/24", "2377")];

        check_packet(&rules, "10.77.1.5", 2377, true);
        check_packet(&rules, "10.77.2.5", 2377, false);
        check_packet(&rules, "10.77.1.5", 80, false);
    }

    #[test]
    fn without_a_rule_the_virtual_network_gets_in_and_nobody_else() {
        check_packet(&[], "10.77.9.9", 2377, true);
        check_packet(&[], "198.51.100.1", 22, false);
    }

    #[test]
    fn rules_that_azure_refuses_are_refused() {
        let refused = |rules: &[Named<RuleProperties>]| check(rules).unwrap_err().code;

        assert_eq!(refused(&[rule(99, "Allow", "*", "22")]), "SecurityRuleInvalidPriority");
        assert_eq!(refused(&[rule(100, "Allow", "*", "22"), rule(100, "Deny", "*", "23")]), "SecurityRuleConflict");
        assert_eq!(refused(&[rule(100, "Permit", "*", "22")]), "SecurityRuleParameterContainsUnsupportedValue");
        assert_eq!(refused(&[rule(100, "Allow", "nowhere", "22")]), "SecurityRuleInvalidAddressPrefix");
        assert_eq!(refused(&[rule(100, "Allow", "*", "ssh")]), "SecurityRuleInvalidPortRange");
    }

    #[test]
    fn the_first_address_that_a_subnet_gives_out_is_the_fourth() {
        let usable: Vec<_> = Prefix::read("10.77.1.0/29").unwrap().usable().collect();

        assert_eq!(usable, ["10.77.1.4", "10.77.1.5", "10.77.1.6"].map(|text| text.parse::<IpAddr>().unwrap()));
    }
}
