//! Placement constraints: what a task's node must be, in Docker's grammar and words.
//!
//! `key==value` or `key!=value`. Keys are `node.id`, `node.hostname`, `node.ip` (an address or a prefix), `node.role`,
//! `node.platform.os`, `node.platform.arch`, `node.labels.NAME` and `engine.labels.NAME`; they and the values are
//! compared without regard to case, a label's name with it. A value is compared as a whole: it is no pattern. What a
//! node does not have is the empty text. A key that nobody knows is met by no node.

use std::net::IpAddr;

use crate::Node;

/// What stands before the name of an operator's label.
const NODE_LABEL: &str = "node.labels.";
/// What stands before the name of an engine's label.
const ENGINE_LABEL: &str = "engine.labels.";

/// Why a text is no constraint, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConstraint {
    /// There is neither `==` nor `!=`.
    #[error("constraint expected one operator from ==, !=")]
    NoOperator,
    /// What stands before the operator cannot be a key.
    #[error("key '{0}' is invalid")]
    Key(String),
    /// What stands behind it cannot be a value.
    #[error("value '{0}' is invalid")]
    Value(String),
}

/// One constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    subject: Subject,
    /// Whether the node must be it (`==`) or must not (`!=`).
    is_wanted: bool,
    value: String,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Id,
    Hostname,
    /// With the addresses meant; none where the value names none.
    Ip(Option<Prefix>),
    Role,
    Os,
    Architecture,
    NodeLabel(String),
    EngineLabel(String),
    Unknown,
}

impl Constraint {
    /// Reads a constraint. A key that nobody knows is none of its errors.
    ///
    /// # Errors
    /// It has no operator, or a key or value with characters that neither can have.
    pub fn parse(text: &str) -> Result<Self, InvalidConstraint> {
        let (key, value, is_wanted) = match (text.split_once("=="), text.split_once("!=")) {
            (Some((key, value)), _) => (key.trim(), value.trim(), true),
            (None, Some((key, value))) => (key.trim(), value.trim(), false),
            (None, None) => return Err(InvalidConstraint::NoOperator),
        };
        if !is_key(key) {
            return Err(InvalidConstraint::Key(key.to_owned()));
        }
        if value.is_empty() || !value.bytes().all(is_value_byte) {
            return Err(InvalidConstraint::Value(value.to_owned()));
        }
        Ok(Self { subject: Subject::of(key, value), is_wanted, value: value.to_owned() })
    }

    /// Whether a node is what the constraint asks for.
    pub fn is_met_by(&self, node: &Node) -> bool {
        let description = node.state.description.as_ref();
        let is_it = |what: &str| self.value.eq_ignore_ascii_case(what);
        let is_it_if_any = |what: Option<&str>| is_it(what.unwrap_or_default());
        let is_so = match &self.subject {
            Subject::Id => is_it(node.id.as_str()),
            Subject::Hostname => is_it_if_any(description.map(|it| it.hostname.as_str())),
            Subject::Ip(None) | Subject::Unknown => return false,
            Subject::Ip(Some(prefix)) => {
                node.state.status.addr.parse().is_ok_and(|address: IpAddr| prefix.contains(address))
            }
            Subject::Role => is_it(node.state.role.as_str()),
            Subject::Os => is_it_if_any(description.map(|it| it.platform.os.as_str())),
            Subject::Architecture => is_it_if_any(description.map(|it| it.platform.architecture.as_str())),
            Subject::NodeLabel(name) => is_it_if_any(node.spec.labels.get(name).map(String::as_str)),
            Subject::EngineLabel(name) => {
                is_it_if_any(description.and_then(|it| it.engine.labels.get(name)).map(String::as_str))
            }
        };
        is_so == self.is_wanted
    }
}

/// Constraints that are to be met together. None at all are met by every node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints(Vec<Constraint>);

impl Constraints {
    /// Reads constraints.
    ///
    /// # Errors
    /// What is wrong with the first one that is none.
    pub fn parse(texts: &[String]) -> Result<Self, InvalidConstraint> {
        Ok(Self(texts.iter().map(|text| Constraint::parse(text)).collect::<Result<_, _>>()?))
    }

    /// Whether a node is what all of them ask for.
    pub fn are_met_by(&self, node: &Node) -> bool {
        self.0.iter().all(|constraint| constraint.is_met_by(node))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Subject {
    fn of(key: &str, value: &str) -> Self {
        const PLAIN: [(&str, Subject); 5] = [
            ("node.id", Subject::Id),
            ("node.hostname", Subject::Hostname),
            ("node.role", Subject::Role),
            ("node.platform.os", Subject::Os),
            ("node.platform.arch", Subject::Architecture),
        ];
        if let Some((_, subject)) = PLAIN.into_iter().find(|(name, _)| key.eq_ignore_ascii_case(name)) {
            subject
        } else if key.eq_ignore_ascii_case("node.ip") {
            Self::Ip(Prefix::parse(value))
        } else if let Some(name) = label(key, NODE_LABEL) {
            Self::NodeLabel(name.to_owned())
        } else if let Some(name) = label(key, ENGINE_LABEL) {
            Self::EngineLabel(name.to_owned())
        } else {
            Self::Unknown
        }
    }
}

/// The addresses that begin alike: one of them, or those of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    address: IpAddr,
    length: u32,
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let Some((address, length)) = text.split_once('/') else {
            let address = text.parse::<IpAddr>().ok()?.to_canonical();
            return Some(Self { address, length: width(address) });
        };
        let address: IpAddr = address.parse().ok()?;
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse().ok().filter(|length| is_number && *length <= width(address))?;
        Some(Self { address, length })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => u128::from(own.to_bits() ^ other.to_bits()),
            (IpAddr::V6(own), IpAddr::V6(other)) => own.to_bits() ^ other.to_bits(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differing.checked_shr(width(self.address) - self.length).unwrap_or(0) == 0
    }
}

/// How many bits an address has.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The name of a label in a key with this beginning; a label has a name.
fn label<'k>(key: &'k str, beginning: &str) -> Option<&'k str> {
    let (head, name) = key.split_at_checked(beginning.len())?;
    (head.eq_ignore_ascii_case(beginning) && !name.is_empty()).then_some(name)
}

/// Docker's `[a-z_][a-z0-9\-_.]+`, in either case.
fn is_key(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    matches!(text.as_bytes(), [first, inner @ ..] if is_first(*first) && !inner.is_empty()
        && inner.iter().all(|byte| is_inner(*byte)))
}

/// What a value may have: no character that is, or may become, part of an operator.
fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":-_ \t\n\x0c\r.*()?+[]\\^$|/".contains(&byte)
}

#[cfg(test)]
mod tests;
