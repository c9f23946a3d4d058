//! Rules of ours in chains of others: a firewall that passes nothing on unless told otherwise.
//!
//! What one table accepts another one may still drop, so a host whose firewall (ufw, Docker; both by `iptables-nft`)
//! ends all packets that pass through needs a rule inside that firewall's own chain. Ours carry their owner's name as a
//! comment, by which they are found again. Legacy `iptables` and chains that end in a rejecting rule are out of reach.

use super::table::{Family, Hook, Policy, Rule};
use super::{TABLE_NAME, kind, message, rule_in, transact};
use crate::KernelError;
use crate::error::Doing;
use crate::netlink::{Message, Socket, attributes, number, text};

/// `NFTA_RULE_CHAIN`, `NFTA_RULE_HANDLE`, `NFTA_RULE_USERDATA`.
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const RULE_COMMENT: u16 = 7;

/// Lets packets to and from a bridge pass every chain that would drop them on their way through this host.
pub fn admit(owner: &str, bridge: &str) -> Result<(), KernelError> {
    let action = || format!("let packets of `{bridge}` through the host's firewall");
    let mut messages: Vec<Message> = own_rules(owner).doing(action)?;
    for (table, chain) in closed_chains().doing(action)? {
        for rule in [Rule::new().arriving_by(bridge).accept(), Rule::new().leaving_by(bridge).accept()] {
            messages.push(rule_in(0, Family::Ip, &table, &chain, &rule).bytes(RULE_COMMENT, &comment(owner)));
        }
    }
    if messages.is_empty() { Ok(()) } else { transact(messages).doing(action) }
}

/// Takes back what [`admit`] put into chains of others.
pub fn retract(owner: &str) -> Result<(), KernelError> {
    let action = || "take rules back from the host's firewall";
    let messages = own_rules(owner).doing(action)?;
    if messages.is_empty() { Ok(()) } else { transact(messages).doing(action) }
}

/// The messages that delete the rules with an owner's comment.
fn own_rules(owner: &str) -> std::io::Result<Vec<Message>> {
    let wanted = comment(owner);
    let rules = list(kind::LIST_RULES)?;
    let deletions = rules.iter().filter_map(|rule| {
        let is_own = rule.iter().any(|(kind, value)| *kind == RULE_COMMENT && *value == wanted);
        let mut deletion = message(kind::DELETE_RULE, 0, Family::Ip);
        for wanted in [TABLE_NAME, RULE_CHAIN, RULE_HANDLE] {
            let (_, value) = rule.iter().find(|(kind, _)| *kind == wanted)?;
            deletion = deletion.bytes(wanted, value);
        }
        is_own.then_some(deletion)
    });
    Ok(deletions.collect())
}

/// The chains, with their tables, that drop what passes through unless a rule accepts it.
fn closed_chains() -> std::io::Result<Vec<(String, String)>> {
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const HOOK_NUMBER: u16 = 1;
    let (forward, _, _) = Hook::Forward.registration();
    let is_number = |value: &[u8], expected: u32| number(value) == Some(expected.to_be());
    let chains = list(kind::LIST_CHAINS)?;
    let closed = chains.iter().filter_map(|chain| {
        let find = |wanted: u16| chain.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value.as_slice());
        let stands_there =
            attributes(find(HOOK)?).any(|(kind, value)| kind == HOOK_NUMBER && is_number(value, forward));
        let is_closed = is_number(find(POLICY)?, Policy::Drop.number());
        (stands_there && is_closed).then_some((text(find(TABLE_NAME)?), text(find(NAME)?)))
    });
    Ok(closed.collect())
}

/// What the kernel tells of a chain or a rule: kinds of attributes with their values.
type Object = Vec<(u16, Vec<u8>)>;

/// Every object of a kind that the IPv4 tables hold.
fn list(kind: u16) -> std::io::Result<Vec<Object>> {
    let entries = Socket::netfilter()?.dump(&message(kind, 0, Family::Ip))?;
    let read = |entry: &Vec<u8>| {
        let (_, rest) = entry.split_at_checked(4)?;
        Some(attributes(rest).map(|(kind, value)| (kind, value.to_vec())).collect())
    };
    Ok(entries.iter().filter_map(read).collect())
}

/// A comment as `nft` writes them: type, length, text, zero. What does not fit is cut.
fn comment(owner: &str) -> Vec<u8> {
    let text = &owner.as_bytes()[..owner.len().min(120)];
    let length = u8::try_from(text.len() + 1).expect("it was cut to fit");
    let mut bytes = vec![0, length];
    bytes.extend_from_slice(text);
    bytes.push(0);
    bytes
}
