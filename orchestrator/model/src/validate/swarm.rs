//! The rules of a swarm's settings.

use super::words::invalid;
use crate::{SwarmError, SwarmSpec};

/// The shortest life of a node certificate: one hour (SwarmKit's `MinNodeCertExpiration`).
const MIN_NODE_CERT_EXPIRY: i64 = 3_600_000_000_000;

/// Checks the swarm's settings as SwarmKit's `validateClusterSpec` does.
///
/// # Errors
/// An [`InvalidArgument`](crate::ErrorKind::InvalidArgument) in Docker's words.
pub fn validate_swarm_spec(spec: &SwarmSpec) -> Result<(), SwarmError> {
    if spec.ca_config.node_cert_expiry != 0 && spec.ca_config.node_cert_expiry < MIN_NODE_CERT_EXPIRY {
        return Err(invalid("minimum certificate expiry time is: 1h0m0s"));
    }
    if spec.dispatcher.heartbeat_period < 0 {
        return Err(invalid("heartbeat time period cannot be a negative duration"));
    }
    if !spec.name.is_empty() && spec.name != "default" {
        return Err(invalid("modification of cluster name is not allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_must_live_an_hour() {
        let mut spec = SwarmSpec::default();
        spec.ca_config.node_cert_expiry = 1;

        let error = validate_swarm_spec(&spec).expect_err("a nanosecond is too short");

        assert!(error.message.ends_with("minimum certificate expiry time is: 1h0m0s"));
    }
}
