//! The firewall's rules as a security group holds them.
//!
//! Azure lets everybody of a virtual network in by a rule of its own (65000), so what members may do is followed by a
//! rule that lets in nobody else of the network. Priorities follow from the order of the rules alone: the same rules
//! give the same security group.

use std::collections::BTreeMap;

use driver::{DriverError, FirewallRule, Protocol, RuleSource};
use serde_json::{Value, json};

/// The priority of the first rule, and the distance between two.
const FIRST: usize = 100;
const STEP: usize = 10;
/// The priority of the rule that keeps the rest of the network out, after all others.
const LAST: usize = 4000;

/// How members are told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Members {
    /// By the subnet that holds nobody else.
    Prefix(String),
    /// By the application security group that they are in, where the subnet is shared with others.
    Group(String),
}

/// The rules of the security group.
pub(crate) fn security_rules(rules: &[FirewallRule], members: &Members) -> Result<Vec<Value>, DriverError> {
    let mut ports: BTreeMap<(String, &'static str), Vec<Option<u16>>> = BTreeMap::new();
    for rule in rules {
        let source = match &rule.source {
            // Sorts before any prefix.
            RuleSource::Members => String::new(),
            RuleSource::Prefix(prefix) => prefix.clone(),
            RuleSource::Operator => {
                return Err(DriverError::provider("make the firewall's rules", "the operator's address was not named"));
            }
        };
        let of_source = ports.entry((source, protocol_name(rule.protocol))).or_default();
        if !of_source.contains(&rule.port) {
            of_source.push(rule.port);
        }
    }
    let room = (LAST - FIRST) / STEP;
    if ports.len() > room {
        return Err(DriverError::provider(
            "make the firewall's rules",
            format!("{} sources and protocols are more than the {room} that fit", ports.len()),
        ));
    }
    let allowed = ports.into_iter().enumerate().map(|(index, ((source, protocol), mut ports))| {
        ports.sort_unstable();
        let source = Some(source).filter(|source| !source.is_empty());
        allow(FIRST + index * STEP, source.as_deref(), protocol, &ports, members)
    });
    Ok(allowed.chain([deny_network()]).collect())
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "Tcp",
        Protocol::Udp => "Udp",
        Protocol::Esp => "Esp",
    }
}

/// A rule that lets in; a port that is absent stands for all.
fn allow(priority: usize, source: Option<&str>, protocol: &str, ports: &[Option<u16>], members: &Members) -> Value {
    let who = source.map_or_else(|| "members".to_owned(), |prefix| prefix.replace(['.', ':', '/'], "-"));
    let mut properties = json!({
        "protocol": protocol,
        "access": "Allow",
        "direction": "Inbound",
        "priority": priority,
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
    });
    match (source, members) {
        (Some(prefix), _) => properties["sourceAddressPrefix"] = json!(prefix),
        (None, Members::Prefix(prefix)) => properties["sourceAddressPrefix"] = json!(prefix),
        (None, Members::Group(id)) => properties["sourceApplicationSecurityGroups"] = json!([{ "id": id }]),
    }
    let all: Option<Vec<String>> = ports.iter().map(|port| port.map(|port| port.to_string())).collect();
    match all.as_deref() {
        None => properties["destinationPortRange"] = json!("*"),
        Some([port]) => properties["destinationPortRange"] = json!(port),
        Some(ports) => properties["destinationPortRanges"] = json!(ports),
    }
    json!({ "name": format!("allow-{}-{}-{priority}", who, protocol.to_lowercase()), "properties": properties })
}

fn deny_network() -> Value {
    json!({
        "name": "deny-network",
        "properties": {
            "protocol": "*",
            "access": "Deny",
            "direction": "Inbound",
            "priority": LAST,
            "sourceAddressPrefix": "VirtualNetwork",
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRange": "*",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: Protocol, port: Option<u16>, source: RuleSource) -> FirewallRule {
        FirewallRule { protocol, port, source }
    }

    fn operator() -> RuleSource {
        RuleSource::Prefix("203.0.113.7/32".to_owned())
    }

    #[test]
    fn rules_are_gathered_by_source_and_protocol_in_an_order_of_their_own() {
        let rules = [
            rule(Protocol::Tcp, Some(22), operator()),
            rule(Protocol::Tcp, Some(7946), RuleSource::Members),
            rule(Protocol::Tcp, Some(2377), RuleSource::Members),
            rule(Protocol::Esp, None, RuleSource::Members),
        ];
        let members = Members::Prefix("10.77.1.0/24".to_owned());

        let made = security_rules(&rules, &members).unwrap();
        let mut turned = rules.to_vec();
        turned.reverse();

        let names: Vec<_> = made.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["allow-members-esp-100", "allow-members-tcp-110", "allow-203-0-113-7-32-tcp-120", "deny-network"]
        );
        assert_eq!(made[0]["properties"]["destinationPortRange"], "*");
        assert_eq!(made[1]["properties"]["destinationPortRanges"], json!(["2377", "7946"]));
        assert_eq!(made[1]["properties"]["sourceAddressPrefix"], "10.77.1.0/24");
        assert_eq!(security_rules(&turned, &members).unwrap(), made);
    }

    #[test]
    fn members_of_a_shared_subnet_are_told_by_their_group() {
        let rules = [rule(Protocol::Udp, Some(4789), RuleSource::Members)];

        let made = security_rules(&rules, &Members::Group("/id".to_owned())).unwrap();

        assert_eq!(made[0]["properties"]["sourceApplicationSecurityGroups"], json!([{ "id": "/id" }]));
        assert_eq!(made[0]["properties"]["sourceAddressPrefix"], Value::Null);
    }

    #[test]
    fn an_operator_without_an_address_is_a_mistake_of_ours() {
        let rules = [rule(Protocol::Tcp, Some(22), RuleSource::Operator)];

        assert!(security_rules(&rules, &Members::Group("/id".to_owned())).is_err());
    }
}
