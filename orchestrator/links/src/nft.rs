//! Packet filter rules by nfnetlink: our own tables, each replaced as a whole in one transaction.
//!
//! A table is named by its owner and nobody else writes into it, so replacing it is idempotent, and removing it
//! leaves the rules of every other table alone. No `nft` program is needed.

mod expression;
mod guest;
mod table;

use std::net::IpAddr;

use rustix::io::Errno;

use crate::error::Doing;
use crate::netlink::{APPEND, Attributes, CREATE, Message, Socket, attributes, text};
use crate::{KernelError, Prefix};

pub use guest::{admit, retract};
pub use table::{Chain, Family, Hook, Policy, Rule, Ruleset, Set};

/// Messages of the packet filter (`NFT_MSG_*` behind their subsystem's number).
mod kind {
    pub(super) const BATCH_BEGIN: u16 = 0x10;
    pub(super) const BATCH_END: u16 = 0x11;
    const SUBSYSTEM: u16 = 10 << 8;
    pub(super) const NEW_TABLE: u16 = SUBSYSTEM;
    pub(super) const LIST_TABLES: u16 = SUBSYSTEM + 1;
    pub(super) const DELETE_TABLE: u16 = SUBSYSTEM + 2;
    pub(super) const NEW_CHAIN: u16 = SUBSYSTEM + 3;
    pub(super) const LIST_CHAINS: u16 = SUBSYSTEM + 4;
    pub(super) const NEW_RULE: u16 = SUBSYSTEM + 6;
    pub(super) const LIST_RULES: u16 = SUBSYSTEM + 7;
    pub(super) const DELETE_RULE: u16 = SUBSYSTEM + 8;
    pub(super) const NEW_SET: u16 = SUBSYSTEM + 9;
    pub(super) const NEW_ELEMENTS: u16 = SUBSYSTEM + 12;
}

/// `NFTA_LIST_ELEM`, and the name of a table in every message that has one.
const LIST_ELEMENT: u16 = 1;
const TABLE_NAME: u16 = 1;
/// More elements of a set in one message would not fit an attribute.
const ELEMENTS_IN_A_MESSAGE: usize = 500;
/// `NFNL_SUBSYS_NFTABLES`, in network byte order.
const SUBSYSTEM_ID: [u8; 2] = [0, 10];

/// Puts a table in place of the one with its name, if there is one, in one step.
pub fn replace(ruleset: &Ruleset) -> Result<(), KernelError> {
    let (family, name) = (ruleset.family, ruleset.name.as_str());
    let mut messages = removal(family, name);
    messages.push(table_message(kind::NEW_TABLE, CREATE, family, name));
    for (id, set) in (1..).zip(&ruleset.sets) {
        messages.extend(set_messages(ruleset, id, set));
    }
    for chain in &ruleset.chains {
        messages.push(chain_message(ruleset, chain));
        messages.extend(chain.rules.iter().map(|rule| rule_message(ruleset, chain, rule)));
    }
    transact(messages).doing(|| format!("put packet filter table `{name}` in place"))
}

/// Removes a table; one that does not exist is fine.
pub fn remove(family: Family, name: &str) -> Result<(), KernelError> {
    if !tables()?.iter().any(|(_, existing)| existing == name) {
        return Ok(());
    }
    transact(removal(family, name)).doing(|| format!("remove packet filter table `{name}`"))
}

/// The names of all tables of the caller's network namespace, with the numbers of their families. A kernel without
/// packet filter has none.
pub fn tables() -> Result<Vec<(u8, String)>, KernelError> {
    let action = || "list packet filter tables";
    let listed = Socket::netfilter().and_then(|mut socket| socket.dump(&Message::new(kind::LIST_TABLES, 0, &[0; 4])));
    let list = match listed {
        Err(error) if is_missing(&error) => Vec::new(),
        listed => listed.doing(action)?,
    };
    Ok(list
        .iter()
        .filter_map(|entry| {
            let (header, rest) = entry.split_at_checked(4)?;
            let (_, name) = attributes(rest).find(|(kind, _)| *kind == TABLE_NAME)?;
            Some((header[0], text(name)))
        })
        .collect())
}

/// The rules that give the machines behind a bridge a way out: replies come back under the host's address.
pub fn masquerade(name: &str, machines: Prefix, bridge: &str) -> Ruleset {
    Ruleset {
        family: Family::Ip,
        name: name.to_owned(),
        sets: Vec::new(),
        chains: vec![
            Chain {
                name: "postrouting".to_owned(),
                hook: Hook::Postrouting,
                policy: Policy::Accept,
                rules: vec![Rule::new().source_within(machines).not_leaving_by(bridge).masquerade()],
            },
            Chain {
                name: "forward".to_owned(),
                hook: Hook::Forward,
                policy: Policy::Accept,
                rules: vec![Rule::new().arriving_by(bridge).accept(), Rule::new().leaving_by(bridge).accept()],
            },
        ],
    }
}

/// The rules that keep strangers away from ports: packets to them pass from members and from this host only.
pub fn members_only(name: &str, members: &[IpAddr], udp_ports: &[u16], tcp_ports: &[u16]) -> Ruleset {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = members.iter().partition(|address| address.is_ipv4());
    let ports = udp_ports.iter().map(|port| (false, *port)).chain(tcp_ports.iter().map(|port| (true, *port)));
    let mut rules = vec![Rule::new().arriving_by("lo").accept()];
    for (is_tcp, port) in ports {
        for (set, is_v6) in [("members4", false), ("members6", true)] {
            let rule = Rule::new();
            let rule = if is_tcp { rule.tcp_to(port) } else { rule.udp_to(port) };
            rules.push(rule.source_outside(set, is_v6).drop());
        }
    }
    Ruleset {
        family: Family::Inet,
        name: name.to_owned(),
        sets: vec![
            Set { name: "members4".to_owned(), addresses: v4 },
            Set { name: "members6".to_owned(), addresses: v6 },
        ],
        chains: vec![Chain { name: "input".to_owned(), hook: Hook::Input, policy: Policy::Accept, rules }],
    }
}

/// Whether listing failed because the kernel knows no packet filter: no netlink family for it, or nobody who answers.
fn is_missing(error: &std::io::Error) -> bool {
    let missing = [Errno::PROTONOSUPPORT, Errno::INVAL, Errno::OPNOTSUPP];
    error.raw_os_error().is_some_and(|code| missing.iter().any(|errno| errno.raw_os_error() == code))
}

/// Making the table first lets its removal succeed whether it was there or not.
fn removal(family: Family, name: &str) -> Vec<Message> {
    vec![table_message(kind::NEW_TABLE, CREATE, family, name), table_message(kind::DELETE_TABLE, 0, family, name)]
}

fn transact(messages: Vec<Message>) -> std::io::Result<()> {
    let [high, low] = SUBSYSTEM_ID;
    let edge = |kind| Message::new(kind, 0, &[0, 0, high, low]);
    Socket::netfilter()?.transact(edge(kind::BATCH_BEGIN), messages, edge(kind::BATCH_END))
}

fn message(kind: u16, flags: u16, family: Family) -> Message {
    Message::new(kind, flags, &[family.number(), 0, 0, 0])
}

fn table_message(kind: u16, flags: u16, family: Family, name: &str) -> Message {
    message(kind, flags, family).text(TABLE_NAME, name)
}

fn chain_message(ruleset: &Ruleset, chain: &Chain) -> Message {
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const TYPE: u16 = 7;
    const HOOK_NUMBER: u16 = 1;
    const HOOK_PRIORITY: u16 = 2;
    let (number, priority, chain_type) = chain.hook.registration();
    let hook =
        Attributes::new().network_number(HOOK_NUMBER, number).network_number(HOOK_PRIORITY, priority.cast_unsigned());
    message(kind::NEW_CHAIN, CREATE, ruleset.family)
        .text(TABLE_NAME, &ruleset.name)
        .text(NAME, &chain.name)
        .nested(HOOK, &hook)
        .bytes(POLICY, &chain.policy.number().to_be_bytes())
        .text(TYPE, chain_type)
}

fn rule_message(ruleset: &Ruleset, chain: &Chain, rule: &Rule) -> Message {
    rule_in(APPEND, ruleset.family, &ruleset.name, &chain.name, rule)
}

/// Appends a rule to a chain, or puts it first.
fn rule_in(place: u16, family: Family, table: &str, chain: &str, rule: &Rule) -> Message {
    const CHAIN: u16 = 2;
    const EXPRESSIONS: u16 = 4;
    let list = rule
        .expressions
        .iter()
        .flat_map(expression::Expression::encode)
        .fold(Attributes::new(), |list, element| list.nested(LIST_ELEMENT, &element));
    message(kind::NEW_RULE, CREATE | place, family)
        .text(TABLE_NAME, table)
        .text(CHAIN, chain)
        .nested(EXPRESSIONS, &list)
}

fn set_messages(ruleset: &Ruleset, id: u32, set: &Set) -> Vec<Message> {
    const NAME: u16 = 2;
    const KEY_TYPE: u16 = 4;
    const KEY_LENGTH: u16 = 5;
    const SET_ID: u16 = 10;
    const ELEMENTS: u16 = 3;
    const ELEMENTS_SET_ID: u16 = 4;
    const ELEMENT_KEY: u16 = 1;
    let (key_type, key_length) = set.key();
    let header = |kind| message(kind, CREATE, ruleset.family).text(TABLE_NAME, &ruleset.name).text(NAME, &set.name);
    let mut messages = vec![
        header(kind::NEW_SET)
            .bytes(KEY_TYPE, &key_type.to_be_bytes())
            .bytes(KEY_LENGTH, &key_length.to_be_bytes())
            .bytes(SET_ID, &id.to_be_bytes()),
    ];
    for chunk in set.keys().chunks(ELEMENTS_IN_A_MESSAGE) {
        let list = chunk.iter().fold(Attributes::new(), |list, key| {
            let element = Attributes::new().nested(ELEMENT_KEY, &expression::value(key));
            list.nested(LIST_ELEMENT, &element)
        });
        let elements = header(kind::NEW_ELEMENTS).bytes(ELEMENTS_SET_ID, &id.to_be_bytes()).nested(ELEMENTS, &list);
        messages.push(elements);
    }
    messages
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn a_kernel_without_packet_filter_is_told_from_a_refusal() {
        let check = |errno: Errno, expected: bool| {
            assert_eq!(is_missing(&Error::from_raw_os_error(errno.raw_os_error())), expected, "{errno:?}");
        };

        check(Errno::PROTONOSUPPORT, true);
        check(Errno::INVAL, true);
        check(Errno::OPNOTSUPP, true);
        check(Errno::PERM, false);
        check(Errno::NOBUFS, false);
    }
}
