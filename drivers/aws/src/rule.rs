//! Firewall rules as EC2 keeps them, one source each, and what must change between two sets of them. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};
use driver::{DriverError, FirewallRule, Protocol, RuleSource};

/// The number of ESP among the IP protocols.
const ESP: &str = "50";

/// A rule with one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    protocol: String,
    from_port: Option<i32>,
    to_port: Option<i32>,
    source: Source,
}

/// Where a rule lets packets in from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Group(String),
    Prefix4(String),
    Prefix6(String),
    List(String),
}

/// The rules asked for; members are whoever has the group itself.
pub(crate) fn wanted(rules: &[FirewallRule], group: &str) -> Result<BTreeSet<Rule>, DriverError> {
    rules.iter().map(|rule| Rule::of(rule, group)).collect()
}

/// The rules that EC2 describes.
pub(crate) fn described(permissions: &[IpPermission]) -> BTreeSet<Rule> {
    permissions.iter().flat_map(Rule::of_permission).collect()
}

/// What to add to the rules that there are and what to take away.
pub(crate) fn changes(there: &BTreeSet<Rule>, wanted: &BTreeSet<Rule>) -> (Vec<IpPermission>, Vec<IpPermission>) {
    let permissions = |rules: Vec<&Rule>| rules.into_iter().map(Rule::permission).collect();
    (permissions(wanted.difference(there).collect()), permissions(there.difference(wanted).collect()))
}

impl Rule {
    fn of(rule: &FirewallRule, group: &str) -> Result<Self, DriverError> {
        let protocol = match rule.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Esp => ESP,
        };
        let port = match rule.protocol {
            Protocol::Esp => None,
            Protocol::Tcp | Protocol::Udp => {
                Some(rule.port.map(i32::from).ok_or_else(|| unusable("a rule for TCP or UDP names no port"))?)
            }
        };
        let source = match &rule.source {
            RuleSource::Members => Source::Group(group.to_owned()),
            RuleSource::Prefix(prefix) => Source::of_prefix(prefix)?,
            RuleSource::Operator => return Err(unusable("the operator's address is not known")),
        };
        Ok(Self { protocol: protocol.to_owned(), from_port: port, to_port: port, source })
    }

    fn of_permission(permission: &IpPermission) -> Vec<Self> {
        let groups = permission
            .user_id_group_pairs()
            .iter()
            .filter_map(|pair| pair.group_id())
            .map(|id| Source::Group(id.to_owned()));
        let prefixes = permission
            .ip_ranges()
            .iter()
            .filter_map(|range| range.cidr_ip())
            .map(|text| Source::Prefix4(text.to_owned()));
        let prefixes6 = permission
            .ipv6_ranges()
            .iter()
            .filter_map(|range| range.cidr_ipv6())
            .map(|text| Source::Prefix6(text.to_owned()));
        let lists = permission
            .prefix_list_ids()
            .iter()
            .filter_map(|list| list.prefix_list_id())
            .map(|id| Source::List(id.to_owned()));
        // A protocol without ports is described with -1 by some and without any by others.
        let port = |port: Option<i32>| port.filter(|port| *port >= 0);
        let rule = |source| Self {
            protocol: permission.ip_protocol().unwrap_or("-1").to_owned(),
            from_port: port(permission.from_port()),
            to_port: port(permission.to_port()),
            source,
        };
        groups.chain(prefixes).chain(prefixes6).chain(lists).map(rule).collect()
    }

    fn permission(&self) -> IpPermission {
        let permission =
            IpPermission::builder().ip_protocol(&self.protocol).set_from_port(self.from_port).set_to_port(self.to_port);
        match &self.source {
            Source::Group(id) => permission.user_id_group_pairs(UserIdGroupPair::builder().group_id(id).build()),
            Source::Prefix4(prefix) => permission.ip_ranges(IpRange::builder().cidr_ip(prefix).build()),
            Source::Prefix6(prefix) => permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(prefix).build()),
            Source::List(id) => permission.prefix_list_ids(PrefixListId::builder().prefix_list_id(id).build()),
        }
        .build()
    }
}

impl Source {
    /// A prefix as EC2 keeps it: the bits behind its length are zero.
    fn of_prefix(text: &str) -> Result<Self, DriverError> {
        let parsed =
            text.split_once('/').and_then(|(address, length)| Some((address.parse().ok()?, length.parse().ok()?)));
        match parsed {
            Some((IpAddr::V4(address), length @ 0..=32_u32)) => {
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                let network = std::net::Ipv4Addr::from_bits(address.to_bits() & mask);
                Ok(Self::Prefix4(format!("{network}/{length}")))
            }
            Some((IpAddr::V6(address), length @ 0..=128)) => {
                let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                let network = std::net::Ipv6Addr::from_bits(address.to_bits() & mask);
                Ok(Self::Prefix6(format!("{network}/{length}")))
            }
            _ => Err(unusable(format!("`{text}` is no prefix"))),
        }
    }
}

fn unusable(reason: impl Into<String>) -> DriverError {
    DriverError::provider("read the firewall's rules", reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: Protocol, port: Option<u16>, source: RuleSource) -> FirewallRule {
        FirewallRule { protocol, port, source }
    }

    fn prefix(text: &str) -> RuleSource {
        RuleSource::Prefix(text.to_owned())
    }

    #[test]
    fn rules_are_the_same_after_a_way_through_ec2() {
        let asked = [
            rule(Protocol::Tcp, Some(22), prefix("203.0.113.7/32")),
            rule(Protocol::Tcp, Some(80), prefix("0.0.0.0/0")),
            rule(Protocol::Udp, Some(4789), RuleSource::Members),
            rule(Protocol::Esp, None, RuleSource::Members),
            rule(Protocol::Tcp, Some(22), prefix("2001:db8::7/128")),
        ];
        let wanted = wanted(&asked, "sg-1").unwrap();

        let (permissions, _) = changes(&BTreeSet::new(), &wanted);

        assert_eq!(described(&permissions), wanted);
        assert_eq!(permissions.len(), 5);
    }

    #[test]
    fn only_what_differs_is_changed() {
        let before = wanted(&[rule(Protocol::Tcp, Some(22), prefix("203.0.113.7/32"))], "sg-1").unwrap();
        let after = wanted(&[rule(Protocol::Tcp, Some(22), prefix("198.51.100.9/32"))], "sg-1").unwrap();

        let (add, remove) = changes(&before, &after);

        assert_eq!((described(&add), described(&remove)), (after.clone(), before));
        assert_eq!(changes(&after, &after), (Vec::new(), Vec::new()));
    }

    #[test]
    fn prefixes_are_kept_as_ec2_keeps_them() {
        for (text, kept) in [
            ("100.68.0.18/18", Source::Prefix4("100.68.0.0/18".to_owned())),
            ("10.1.2.3/0", Source::Prefix4("0.0.0.0/0".to_owned())),
            ("2001:db8::1/32", Source::Prefix6("2001:db8::/32".to_owned())),
        ] {
            assert_eq!(Source::of_prefix(text).unwrap(), kept);
        }
    }

    #[test]
    fn what_cannot_be_a_rule_is_refused() {
        for unusable in [
            rule(Protocol::Tcp, Some(22), RuleSource::Operator),
            rule(Protocol::Tcp, None, RuleSource::Members),
            rule(Protocol::Tcp, Some(22), prefix("203.0.113.7")),
            rule(Protocol::Tcp, Some(22), prefix("203.0.113.7/33")),
        ] {
            assert!(wanted(&[unusable], "sg-1").is_err());
        }
    }
}
