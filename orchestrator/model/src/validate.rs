//! The pure rules of specs, in Docker's words.

use std::net::Ipv4Addr;

use crate::{SwarmError, SwarmSpec};

/// The shortest life of a node certificate: one hour (SwarmKit's `MinNodeCertExpiration`).
const MIN_NODE_CERT_EXPIRY: i64 = 3_600_000_000_000;

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

/// Checks the swarm's settings as SwarmKit's `validateClusterSpec` does.
///
/// # Errors
/// An [`InvalidArgument`](crate::ErrorKind::InvalidArgument) in Docker's words.
pub fn validate_swarm_spec(spec: &SwarmSpec) -> Result<(), SwarmError> {
    let prefix = "rpc error: code = InvalidArgument desc =";
    if spec.ca_config.node_cert_expiry != 0 && spec.ca_config.node_cert_expiry < MIN_NODE_CERT_EXPIRY {
        return Err(SwarmError::invalid(format!("{prefix} minimum certificate expiry time is: 1h0m0s")));
    }
    if spec.dispatcher.heartbeat_period < 0 {
        return Err(SwarmError::invalid(format!("{prefix} heartbeat time period cannot be a negative duration")));
    }
    if !spec.name.is_empty() && spec.name != "default" {
        return Err(SwarmError::invalid(format!("{prefix} modification of cluster name is not allowed")));
    }
    Ok(())
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

    #[test]
    fn a_certificate_must_live_an_hour() {
        let mut spec = SwarmSpec::default();
        spec.ca_config.node_cert_expiry = 1;

        let error = validate_swarm_spec(&spec).expect_err("a nanosecond is too short");

        assert!(error.message.ends_with("minimum certificate expiry time is: 1h0m0s"));
    }
}
