//! The firewall that a cluster asks for, as rules of Compute Engine. Pure.
//!
//! ```text
//!   swu-KEY-members      from machines with the cluster's tag       allow   priority  900
//!   swu-KEY-from-HASH    from one prefix                            allow   priority  900
//!   swu-KEY-deny         from everywhere                            deny    priority 65533
//! ```
//! Every rule holds for machines with the cluster's tag only. The last one is made in networks that are not ours: there
//! `default-allow-ssh` and `default-allow-internal`, which Google puts into each default network at priority 65534,
//! would let in what nobody asked for. What the network's owner allows at a higher priority is left as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use driver::{DriverError, FirewallRule, Protocol, RuleSource};
use google_cloud_compute_v1::model::Firewall;
use google_cloud_compute_v1::model::firewall::{Allowed, Denied, Direction};
use sha2::{Digest as _, Sha256};

use crate::machines::tail;
use crate::marking::PREFIX;

/// Of what is allowed: before the rules that a network's owner makes without saying a priority.
const ALLOW: i32 = 900;
/// Of what is denied: just before the rules of default networks.
const DENY: i32 = 65_533;
/// What is denied: all but ICMP, by which hosts learn how large packets may be.
const DENIED: [&str; 5] = ["ah", "esp", "sctp", "tcp", "udp"];

/// Protocols and their ports; none are all of them.
type Ports = BTreeMap<String, BTreeSet<String>>;

/// A rule of Compute Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    source_tags: BTreeSet<String>,
    source_ranges: BTreeSet<String>,
    allowed: Ports,
    denied: Ports,
    priority: i32,
    network: String,
}

/// The tag of a cluster's machines.
pub(crate) fn tag(key: &str) -> String {
    format!("{PREFIX}{key}")
}

/// The rules of a cluster in a network; `is_shared` where others have made it.
pub(crate) fn wanted(
    asked: &[FirewallRule],
    key: &str,
    network: &str,
    is_shared: bool,
) -> Result<Vec<Rule>, DriverError> {
    let empty = |name: String, priority| Rule {
        name: format!("{PREFIX}{key}-{name}"),
        source_tags: BTreeSet::new(),
        source_ranges: BTreeSet::new(),
        allowed: Ports::new(),
        denied: Ports::new(),
        priority,
        network: network.to_owned(),
    };
    let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
    for rule in asked {
        let (name, tags, ranges) = match &rule.source {
            RuleSource::Members => ("members".to_owned(), Some(tag(key)), None),
            RuleSource::Prefix(prefix) => (format!("from-{}", hash(prefix)), None, Some(prefix.clone())),
            RuleSource::Operator => {
                return Err(DriverError::provider(
                    "make the firewall",
                    "the operator's address must be given as a prefix",
                ));
            }
        };
        let wanted = rules.entry(name.clone()).or_insert_with(|| empty(name, ALLOW));
        wanted.source_tags.extend(tags);
        wanted.source_ranges.extend(ranges);
        let protocol = match rule.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Esp => "esp",
        };
        let ports = wanted.allowed.entry(protocol.to_owned()).or_default();
        ports.extend(rule.port.map(|port| port.to_string()));
    }
    if is_shared {
        let mut deny = empty("deny".to_owned(), DENY);
        deny.source_ranges.insert("0.0.0.0/0".to_owned());
        deny.denied = DENIED.iter().map(|protocol| ((*protocol).to_owned(), BTreeSet::new())).collect();
        rules.insert("deny".to_owned(), deny);
    }
    Ok(rules.into_values().collect())
}

fn hash(prefix: &str) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(prefix.as_bytes()).iter().take(4) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

impl Rule {
    /// The rule as it stands at the provider.
    pub(crate) fn read(firewall: &Firewall) -> Self {
        let ports = |protocol: &Option<String>, ports: &[String]| {
            (protocol.clone().unwrap_or_default(), ports.iter().cloned().collect())
        };
        Self {
            name: firewall.name.clone().unwrap_or_default(),
            source_tags: firewall.source_tags.iter().cloned().collect(),
            source_ranges: firewall.source_ranges.iter().cloned().collect(),
            allowed: firewall.allowed.iter().map(|rule| ports(&rule.ip_protocol, &rule.ports)).collect(),
            denied: firewall.denied.iter().map(|rule| ports(&rule.ip_protocol, &rule.ports)).collect(),
            priority: firewall.priority.unwrap_or_default(),
            network: tail(firewall.network.as_deref()).to_owned(),
        }
    }

    /// The rule as it is sent to the provider.
    pub(crate) fn body(&self, key: &str, description: &str) -> Firewall {
        let allowed = self
            .allowed
            .iter()
            .map(|(protocol, ports)| Allowed::new().set_ip_protocol(protocol).set_ports(ports.iter().cloned()));
        let denied = self
            .denied
            .iter()
            .map(|(protocol, ports)| Denied::new().set_ip_protocol(protocol).set_ports(ports.iter().cloned()));
        Firewall::new()
            .set_name(&self.name)
            .set_description(description)
            .set_network(format!("global/networks/{}", self.network))
            .set_direction(Direction::Ingress)
            .set_priority(self.priority)
            .set_source_tags(self.source_tags.iter().cloned())
            .set_source_ranges(self.source_ranges.iter().cloned())
            .set_target_tags([tag(key)])
            .set_allowed(allowed)
            .set_denied(denied)
    }
}

/// What is to be done so that the rules that stand become those that are wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) insert: Vec<Rule>,
    pub(crate) patch: Vec<Rule>,
    /// By name.
    pub(crate) delete: Vec<String>,
}

impl Changes {
    /// Compares what stands with what is wanted. `standing` are the cluster's own rules only.
    pub(crate) fn between(standing: &[Rule], wanted: &[Rule]) -> Self {
        let mut changes = Self::default();
        for rule in wanted {
            match standing.iter().find(|known| known.name == rule.name) {
                None => changes.insert.push(rule.clone()),
                Some(known) if known != rule => changes.patch.push(rule.clone()),
                Some(_) => {}
            }
        }
        let is_unwanted = |known: &&Rule| wanted.iter().all(|rule| rule.name != known.name);
        changes.delete = standing.iter().filter(is_unwanted).map(|rule| rule.name.clone()).collect();
        changes
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: Protocol, port: Option<u16>, source: RuleSource) -> FirewallRule {
        FirewallRule { protocol, port, source }
    }

    fn asked(operator: &str) -> Vec<FirewallRule> {
        vec![
            rule(Protocol::Tcp, Some(2377), RuleSource::Members),
            rule(Protocol::Udp, Some(4789), RuleSource::Members),
            rule(Protocol::Esp, None, RuleSource::Members),
            rule(Protocol::Tcp, Some(22), RuleSource::Prefix(operator.to_owned())),
            rule(Protocol::Tcp, Some(2376), RuleSource::Prefix(operator.to_owned())),
        ]
    }

    #[test]
    fn rules_of_one_source_are_one_rule() {
        let rules = wanted(&asked("203.0.113.7/32"), "key", "default", false).unwrap();

        assert_eq!(rules.len(), 2);
        let members = rules.iter().find(|rule| rule.name == "swu-key-members").unwrap();
        assert_eq!(members.allowed["esp"], BTreeSet::new());
        assert_eq!(members.allowed["tcp"], BTreeSet::from(["2377".to_owned()]));
        let operator = rules.iter().find(|rule| rule.name != "swu-key-members").unwrap();
        assert_eq!(operator.source_ranges, BTreeSet::from(["203.0.113.7/32".to_owned()]));
    }

    #[test]
    fn in_a_shared_network_everything_else_is_denied_after_what_is_allowed() {
        let rules = wanted(&asked("203.0.113.7/32"), "key", "default", true).unwrap();

        let deny = rules.iter().find(|rule| rule.name == "swu-key-deny").unwrap();
        assert!(rules.iter().filter(|rule| *rule != deny).all(|rule| rule.priority < deny.priority));
        assert!(deny.denied.contains_key("tcp") && !deny.denied.contains_key("icmp"));
    }

    #[test]
    fn the_operator_must_come_as_a_prefix() {
        let refused = wanted(&[rule(Protocol::Tcp, Some(22), RuleSource::Operator)], "key", "default", true);

        assert!(refused.is_err());
    }

    #[test]
    fn only_what_differs_is_changed() {
        let before = wanted(&asked("203.0.113.7/32"), "key", "default", true).unwrap();
        let moved = wanted(&asked("203.0.113.8/32"), "key", "default", true).unwrap();
        let open = [asked("203.0.113.7/32"), vec![rule(Protocol::Tcp, Some(80), RuleSource::Members)]].concat();
        let open = wanted(&open, "key", "default", true).unwrap();

        let changes = Changes::between(&before, &moved);
        let opened = Changes::between(&before, &open);

        assert!(Changes::between(&before, &before).is_empty());
        assert_eq!((changes.insert.len(), changes.patch.len(), changes.delete.len()), (1, 0, 1));
        assert_eq!((opened.insert.len(), opened.patch.len(), opened.delete.len()), (0, 1, 0));
    }

    #[test]
    fn a_rule_that_was_sent_reads_back_as_itself() {
        for rule in wanted(&asked("203.0.113.7/32"), "key", "default", true).unwrap() {
            assert_eq!(Rule::read(&rule.body("key", "description")), rule);
        }
    }
}
