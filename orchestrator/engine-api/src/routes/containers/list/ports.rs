//! Ports that a list is asked for: `80`, `80/udp`, `8000-8010/tcp`.

use std::ops::RangeInclusive;

use crate::error::ApiError;

/// A range of ports of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortRange {
    numbers: RangeInclusive<u16>,
    protocol: String,
}

impl PortRange {
    /// Reads the value of a filter; the protocol is TCP unless it is named.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let invalid = || ApiError::invalid(format!("invalid port: {text:?}"));
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (low, high) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (low, high) = (low.parse().map_err(|_| invalid())?, high.parse().map_err(|_| invalid())?);
        let protocol = protocol.to_ascii_lowercase();
        if low > high || !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(invalid());
        }
        Ok(Self { numbers: low..=high, protocol })
    }

    /// Whether a port, as containers have it (`80/tcp`), is among these.
    pub(super) fn has(&self, port: &str) -> bool {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        protocol == self.protocol && number.parse().is_ok_and(|number: u16| self.numbers.contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_ranges() {
        let check = |range: &str, port: &str, expected: bool| {
            assert_eq!(PortRange::parse(range).unwrap().has(port), expected, "{port} in {range}");
        };
        check("80", "80/tcp", true);
        check("80/udp", "80/tcp", false);
        check("8000-8010", "8005/tcp", true);
        check("8000-8010/UDP", "8011/udp", false);
        for wrong in ["", "x", "9-8", "1/icmp", "70000", "1-2-3"] {
            assert_eq!(PortRange::parse(wrong).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }
}
