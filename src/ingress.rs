//! What may come in: what the members say to each other and nobody else to them, the operator's ways in, and what is
//! published. Pure.

use std::net::IpAddr;

use driver::{FirewallRule, Protocol, RuleSource};
use serde::{Deserialize, Serialize};

use crate::config::Wishes;

/// Where machines that are made listen for SSH.
const SSH_PORT: u16 = 22;
/// Everybody.
const ANYWHERE: &str = "0.0.0.0/0";

/// What may come in beyond the members themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// The prefixes (CIDR) that the operator comes from; empty: the one address that this workstation is seen by.
    pub ssh_from: Vec<String>,
    /// The ports (TCP) that everybody may reach: those that services publish.
    pub open: Vec<u16>,
    /// Whether members send each other ESP, as encrypted networks do.
    pub encrypted: bool,
}

/// Why something cannot be let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIngress {
    /// Not an address with a prefix length.
    #[error("`{text}` is not a prefix such as 203.0.113.7/32")]
    Prefix {
        /// What was given.
        text: String,
    },
    /// Not a port.
    #[error("`{text}` is not a port")]
    Port {
        /// What was given.
        text: String,
    },
    /// A port that only members or the operator may reach.
    #[error("port {port} is the swarm's own")]
    Reserved {
        /// What was given.
        port: u16,
    },
}

impl InvalidIngress {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Prefix { .. } => "give an address, with the length of its prefix after a slash".to_owned(),
            Self::Port { .. } => "give numbers from 1 to 65535, such as --open 80,443".to_owned(),
            Self::Reserved { .. } => "publish the service on another port".to_owned(),
        }
    }
}

impl Ingress {
    /// Reads what flags and files say; ports may stand in one value, separated by commas.
    fn read(ssh_from: &[String], open: &[String]) -> Result<Self, InvalidIngress> {
        let ssh_from = Self::prefixes(ssh_from)?;
        let mut ports = Vec::new();
        for text in open.iter().flat_map(|values| values.split(',')).map(str::trim) {
            let port: u16 = text
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| InvalidIngress::Port { text: text.to_owned() })?;
            if [SSH_PORT, model::API_PORT, model::CONTROL_PORT, model::GOSSIP_PORT].contains(&port) {
                return Err(InvalidIngress::Reserved { port });
            }
            ports.push(port);
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(Self { ssh_from, open: ports, encrypted: false })
    }

    /// The prefixes that are written so, an address alone as the prefix of itself.
    pub fn prefixes(texts: &[String]) -> Result<Vec<String>, InvalidIngress> {
        texts.iter().map(|text| prefix(text)).collect()
    }

    /// Settles on what flags and file say, beside what the cluster lets in already.
    pub fn resolve(flags: &Wishes, file: &Wishes, current: Option<&Self>) -> Result<Self, InvalidIngress> {
        let said = |from: fn(&Wishes) -> &Option<Vec<String>>| from(flags).as_ref().or(from(file).as_ref()).cloned();
        let (ssh_from, open) = (said(|wishes| &wishes.ssh_from), said(|wishes| &wishes.open));
        let encrypted = flags.encrypted_networks.or(file.encrypted_networks);
        let read = Self::read(ssh_from.as_deref().unwrap_or_default(), open.as_deref().unwrap_or_default())?;
        let current = current.cloned().unwrap_or_default();
        Ok(Self {
            ssh_from: if ssh_from.is_some() { read.ssh_from } else { current.ssh_from },
            open: if open.is_some() { read.open } else { current.open },
            encrypted: encrypted.unwrap_or(current.encrypted),
        })
    }

    /// The rules, with what is known of where the operator comes from where nothing is said about it.
    pub fn rules(&self, operator: &[String]) -> Vec<FirewallRule> {
        let rule = |protocol, port, source| FirewallRule { protocol, port, source };
        let members = |protocol, port| rule(protocol, Some(port), RuleSource::Members);
        let mut rules = vec![
            members(Protocol::Tcp, model::CONTROL_PORT),
            members(Protocol::Tcp, model::GOSSIP_PORT),
            members(Protocol::Udp, model::GOSSIP_PORT),
            members(Protocol::Udp, model::DATA_PATH_PORT),
        ];
        if self.encrypted {
            rules.push(rule(Protocol::Esp, None, RuleSource::Members));
        }
        let known = if self.ssh_from.is_empty() { operator } else { &self.ssh_from };
        let mut sources: Vec<_> = known.iter().cloned().map(RuleSource::Prefix).collect();
        if sources.is_empty() {
            sources.push(RuleSource::Operator);
        }
        for port in [SSH_PORT, model::API_PORT] {
            rules.extend(sources.iter().map(|source| rule(Protocol::Tcp, Some(port), source.clone())));
        }
        let everybody = || RuleSource::Prefix(ANYWHERE.to_owned());
        rules.extend(self.open.iter().map(|port| rule(Protocol::Tcp, Some(*port), everybody())));
        rules
    }
}

/// The prefix of exactly one address.
pub fn host_prefix(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// A prefix as it is written, an address alone as the prefix of itself.
fn prefix(text: &str) -> Result<String, InvalidIngress> {
    let invalid = || InvalidIngress::Prefix { text: text.to_owned() };
    let text = text.trim();
    let Some((address, length)) = text.split_once('/') else {
        return text.parse().map(host_prefix).map_err(|_| invalid());
    };
    let address: IpAddr = address.parse().map_err(|_| invalid())?;
    let length: u8 = length.parse().map_err(|_| invalid())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    if length > most {
        return Err(invalid());
    }
    // Providers refuse a prefix with bits behind its length, or silently take another one.
    let is_clear = match address {
        IpAddr::V4(address) => u32::from(address).checked_shl(u32::from(length)).is_none_or(|rest| rest == 0),
        IpAddr::V6(address) => u128::from(address).checked_shl(u32::from(length)).is_none_or(|rest| rest == 0),
    };
    if is_clear { Ok(format!("{address}/{length}")) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_checked() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(prefix(text).ok().as_deref(), expected, "{text}");
        check("203.0.113.7", Some("203.0.113.7/32"));
        check("203.0.113.7/32", Some("203.0.113.7/32"));
        check("203.0.113.0/24", Some("203.0.113.0/24"));
        check("0.0.0.0/0", Some("0.0.0.0/0"));
        check("2001:db8::1", Some("2001:db8::1/128"));
        check("2001:db8::/32", Some("2001:db8::/32"));
        check("::/0", Some("::/0"));
        check("203.0.113.7/24", None);
        check("2001:db8::1/32", None);
        check("203.0.113.0/33", None);
        check("here", None);
        check("", None);
    }

    #[test]
    fn ports_come_one_by_one_or_together() {
        let open = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            Ingress::read(&[], &values).map(|ingress| ingress.open)
        };

        assert_eq!(open(&["443, 80", "80"]), Ok(vec![80, 443]));
        assert_eq!(open(&["http"]), Err(InvalidIngress::Port { text: "http".to_owned() }));
        assert_eq!(open(&["0"]), Err(InvalidIngress::Port { text: "0".to_owned() }));
        assert_eq!(open(&["2377"]), Err(InvalidIngress::Reserved { port: 2377 }));
    }

    #[test]
    fn nobody_but_members_and_the_operator_is_let_in_unasked() {
        let rules = Ingress::default().rules(&["203.0.113.7/32".to_owned()]);

        let from_outside: Vec<_> = rules.iter().filter(|rule| rule.source != RuleSource::Members).collect();
        assert_eq!(from_outside.iter().filter_map(|rule| rule.port).collect::<Vec<_>>(), [22, 2376]);
        let one = RuleSource::Prefix("203.0.113.7/32".to_owned());
        assert!(from_outside.iter().all(|rule| rule.source == one));
        let to_members: Vec<_> = rules.iter().filter(|rule| rule.source == RuleSource::Members).collect();
        assert_eq!(to_members.iter().filter_map(|rule| rule.port).collect::<Vec<_>>(), [2377, 7946, 7946, 4789]);
    }

    #[test]
    fn what_was_asked_for_counts_instead_of_what_was_found() {
        let ingress = Ingress { ssh_from: vec!["10.0.0.0/8".to_owned()], open: vec![80], encrypted: true };

        let rules = ingress.rules(&["203.0.113.7/32".to_owned()]);

        let sources: Vec<_> = rules.iter().filter(|rule| rule.port == Some(22)).map(|rule| &rule.source).collect();
        assert_eq!(sources, [&RuleSource::Prefix("10.0.0.0/8".to_owned())]);
        assert!(rules.iter().any(|rule| rule.protocol == Protocol::Esp && rule.source == RuleSource::Members));
        assert!(rules.iter().any(|rule| rule.port == Some(80) && rule.source == RuleSource::Prefix(ANYWHERE.into())));
    }

    #[test]
    fn where_nothing_is_known_the_operator_is_whoever_comes() {
        let rules = Ingress::default().rules(&[]);

        assert_eq!(rules.iter().filter(|rule| rule.source == RuleSource::Operator).count(), 2);
    }
}
