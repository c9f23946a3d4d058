//! The pure rules of specs, in Docker's words.

mod container;
mod image;
mod kernel;
mod mount;
mod service;
mod swarm;
mod task;
mod words;

use std::net::Ipv4Addr;

pub use service::validate_service_spec;
pub use swarm::validate_swarm_spec;

/// Whether a text is a name that Docker takes for services and networks, and swarmup for clusters:
/// a DNS label of at most 63 characters.
pub fn is_valid_name(name: &str) -> bool {
    let is_inner = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    name.len() <= 63
        && name.starts_with(|character: char| character.is_ascii_alphanumeric())
        && name.ends_with(|character: char| character.is_ascii_alphanumeric())
        && name.chars().all(is_inner)
}

/// Reads an IPv4 prefix such as `10.0.0.0/8`.
pub fn parse_cidr(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, length) = text.split_once('/')?;
    let length = length.parse().ok().filter(|length| *length <= 32)?;
    Some((address.parse().ok()?, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dns_labels() {
        let check = |name: &str, expected: bool| assert_eq!(is_valid_name(name), expected, "{name}");
        check("lab", true);
        check("a", true);
        check("node-1_x", true);
        check("", false);
        check("-lab", false);
        check("lab-", false);
        check("a b", false);
        check("../x", false);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
    }

    #[test]
    fn prefixes_are_read_strictly() {
        assert_eq!(parse_cidr("10.0.0.0/8"), Some((Ipv4Addr::new(10, 0, 0, 0), 8)));
        assert_eq!(parse_cidr("10.0.0.0/33"), None);
        assert_eq!(parse_cidr("10.0.0.0"), None);
    }
}
