//! Tables, chains, sets and rules, as their owners write them down.

use std::net::{IpAddr, SocketAddrV4};

use super::expression::{Base, Connection, Expression, Meta, Verdict};
use crate::Prefix;

/// A name of a link fills this many bytes in a comparison.
const LINK_NAME_FIELD: usize = 16;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
}

impl Family {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
        }
    }
}

/// Where on a packet's way a chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before a packet reaches a process of this host.
    Input,
    /// While it passes through this host.
    Forward,
    /// Right after it arrived, before anything is known of its connection.
    Raw,
    /// After it arrived, where its destination is rewritten.
    Prerouting,
    /// After a process of this host sent it, where its destination is rewritten.
    Output,
    /// Before it leaves, where its source is rewritten.
    Postrouting,
}

impl Hook {
    /// The hook's number, the priority and the type of a chain there.
    pub(super) fn registration(self) -> (u32, i32, &'static str) {
        match self {
            Self::Input => (1, 0, "filter"),
            Self::Forward => (2, 0, "filter"),
            Self::Raw => (0, -300, "filter"),
            Self::Prerouting => (0, -100, "nat"),
            Self::Output => (3, -100, "nat"),
            Self::Postrouting => (4, 100, "nat"),
        }
    }
}

/// A table with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// Which packets it sees.
    pub family: Family,
    /// Its name, which only its owner uses.
    pub name: String,
    /// Its sets.
    pub sets: Vec<Set>,
    /// Its chains.
    pub chains: Vec<Chain>,
}

/// A named set of addresses, all of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name; one that ends in `6` holds IPv6 addresses.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Set {
    /// The number of its type and the length of a key.
    pub(super) fn key(&self) -> (u32, u32) {
        if self.name.ends_with('6') { (8, 16) } else { (7, 4) }
    }

    /// The addresses as keys, each once.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let (_, length) = self.key();
        let mut keys: Vec<Vec<u8>> =
            self.addresses.iter().map(octets).filter(|key| u32::try_from(key.len()) == Ok(length)).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

/// What becomes of packets that no rule decides about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// They pass.
    Accept,
    /// They end there.
    Drop,
}

impl Policy {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Accept => Verdict::Accept as u32,
            Self::Drop => Verdict::Drop as u32,
        }
    }
}

/// A chain of rules at a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub hook: Hook,
    /// What becomes of packets that no rule decides about.
    pub policy: Policy,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A rule: conditions, then what to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    pub(super) expressions: Vec<Expression>,
}

impl Rule {
    /// A rule without conditions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only packets from a prefix, in a table of the prefix's family.
    #[must_use]
    pub fn source_within(self, prefix: Prefix) -> Self {
        self.load_source(prefix.address.is_ipv6()).within(prefix)
    }

    /// Only packets to a prefix, in a table of the prefix's family.
    #[must_use]
    pub fn destination_within(self, prefix: Prefix) -> Self {
        let (offset, length) = if prefix.address.is_ipv6() { (24, 16) } else { (16, 4) };
        self.with(Expression::LoadPayload { base: Base::Network, offset, length }).within(prefix)
    }

    /// Only packets to an address of this host.
    #[must_use]
    pub fn for_this_host(self) -> Self {
        // `RTN_LOCAL`
        self.with(Expression::LoadDestinationKind).with(Expression::Equals(2_u32.to_ne_bytes().to_vec()))
    }

    /// Only packets of connections that are known, or that belong to one.
    #[must_use]
    pub fn of_known_connection(self) -> Self {
        // `NF_CT_STATE_BIT` of `IP_CT_ESTABLISHED` and `IP_CT_RELATED`
        self.with_any_bit(Connection::State, 0b110)
    }

    /// Only packets of connections whose destination was rewritten.
    #[must_use]
    pub fn with_new_destination(self) -> Self {
        // `IPS_DST_NAT`
        self.with_any_bit(Connection::Status, 1 << 5)
    }

    /// Only packets of one family from addresses outside a set of the same table.
    #[must_use]
    pub fn source_outside(self, set: &str, is_v6: bool) -> Self {
        const NFPROTO_IPV4: u8 = 2;
        const NFPROTO_IPV6: u8 = 10;
        let family = if is_v6 { NFPROTO_IPV6 } else { NFPROTO_IPV4 };
        self.with(Expression::LoadMeta(Meta::Family))
            .with(Expression::Equals(vec![family]))
            .load_source(is_v6)
            .with(Expression::NotIn(set.to_owned()))
    }

    /// Only UDP datagrams to a port.
    #[must_use]
    pub fn udp_to(self, port: u16) -> Self {
        self.with_port(UDP, port)
    }

    /// Only TCP segments to a port.
    #[must_use]
    pub fn tcp_to(self, port: u16) -> Self {
        self.with_port(TCP, port)
    }

    /// Only packets that arrived by a link.
    #[must_use]
    pub fn arriving_by(self, link: &str) -> Self {
        self.with(Expression::LoadMeta(Meta::ArrivingLink)).with(Expression::Equals(link_name(link)))
    }

    /// Only packets that leave by a link.
    #[must_use]
    pub fn leaving_by(self, link: &str) -> Self {
        self.with(Expression::LoadMeta(Meta::LeavingLink)).with(Expression::Equals(link_name(link)))
    }

    /// Only packets that leave by another link.
    #[must_use]
    pub fn not_leaving_by(self, link: &str) -> Self {
        self.with(Expression::LoadMeta(Meta::LeavingLink)).with(Expression::Differs(link_name(link)))
    }

    /// Lets them pass this chain; other tables may still refuse them.
    #[must_use]
    pub fn accept(self) -> Self {
        self.with(Expression::Decide(Verdict::Accept))
    }

    /// Drops them.
    #[must_use]
    pub fn drop(self) -> Self {
        self.with(Expression::Decide(Verdict::Drop))
    }

    /// Sends them on under the address of the link they leave by.
    #[must_use]
    pub fn masquerade(self) -> Self {
        self.with(Expression::Masquerade)
    }

    /// Sends them on to another address and port.
    #[must_use]
    pub fn redirect_to(self, destination: SocketAddrV4) -> Self {
        self.with(Expression::Redirect(destination))
    }

    fn within(self, prefix: Prefix) -> Self {
        let network = octets(&prefix.network().address);
        let ones = Prefix { address: all_ones(prefix.address), length: prefix.length };
        let mask = octets(&ones.network().address);
        self.with(Expression::Mask(mask)).with(Expression::Equals(network))
    }

    fn with_any_bit(self, what: Connection, bits: u32) -> Self {
        self.with(Expression::LoadConnection(what))
            .with(Expression::Mask(bits.to_ne_bytes().to_vec()))
            .with(Expression::Differs(vec![0; 4]))
    }

    fn with_port(self, protocol: u8, port: u16) -> Self {
        self.with(Expression::LoadMeta(Meta::Transport))
            .with(Expression::Equals(vec![protocol]))
            .with(Expression::LoadPayload { base: Base::Transport, offset: 2, length: 2 })
            .with(Expression::Equals(port.to_be_bytes().to_vec()))
    }

    fn load_source(self, is_v6: bool) -> Self {
        let (offset, length) = if is_v6 { (8, 16) } else { (12, 4) };
        self.with(Expression::LoadPayload { base: Base::Network, offset, length })
    }

    fn with(mut self, expression: Expression) -> Self {
        self.expressions.push(expression);
        self
    }
}

fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn all_ones(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { IpAddr::from([255; 4]) } else { IpAddr::from([255; 16]) }
}

fn link_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(LINK_NAME_FIELD, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_becomes_a_mask_and_a_network() {
        let rule = Rule::new().source_within("10.201.7.9/20".parse().unwrap());

        assert_eq!(rule.expressions[1], Expression::Mask(vec![255, 255, 240, 0]));
        assert_eq!(rule.expressions[2], Expression::Equals(vec![10, 201, 0, 0]));
    }

    #[test]
    fn a_set_has_each_address_of_its_family_once() {
        let addresses = ["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"].map(|text| text.parse().unwrap()).to_vec();

        let keys = Set { name: "members4".to_owned(), addresses }.keys();

        assert_eq!(keys, [vec![10, 0, 0, 1], vec![10, 0, 0, 2]]);
    }
}
