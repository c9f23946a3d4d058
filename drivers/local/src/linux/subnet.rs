//! The prefix of a cluster: one that nothing on this computer uses or routes to.

use std::net::IpAddr;

use driver::DriverError;
use links::Prefix;

/// Where prefixes are taken from: private ranges that few sites use, so that a site's wide route leaves some.
const POOLS: [([u8; 2], u8, u8); 3] = [([10, 201], 0, 255), ([172, 29], 0, 255), ([192, 168], 192, 254)];
/// Room for 253 machines.
const LENGTH: u8 = 24;
/// The widest and the narrowest prefix that may be asked for.
const LENGTHS: std::ops::RangeInclusive<u8> = 16..=29;
/// A route that wide is a default route, or half of one, as VPNs set them.
const DEFAULT_ROUTE_LENGTH: u8 = 1;

/// Takes the first prefix that overlaps nothing in use.
pub(super) fn choose(in_use: &[Prefix]) -> Result<Prefix, DriverError> {
    POOLS
        .iter()
        .flat_map(|([a, b], first, last)| (*first..=*last).map(|third| IpAddr::from([*a, *b, third, 0])))
        .filter_map(|address| Prefix::new(address, LENGTH))
        .find(|candidate| clash(candidate, in_use).is_none())
        .ok_or_else(|| DriverError::Unmet {
            what: "every prefix that a cluster could use overlaps a route of this computer".to_owned(),
            hint: "name one that is free: --subnet CIDR".to_owned(),
        })
}

/// Reads a prefix that was asked for.
pub(super) fn parse(text: &str) -> Result<Prefix, DriverError> {
    let invalid = |reason: String| DriverError::InvalidOption { option: "subnet".to_owned(), reason };
    let prefix: Prefix = text.parse().map_err(|error: links::InvalidPrefix| invalid(error.to_string()))?;
    if !prefix.address.is_ipv4() || !LENGTHS.contains(&prefix.length) {
        return Err(invalid(format!("`{text}` is no IPv4 prefix from /{} to /{}", LENGTHS.start(), LENGTHS.end())));
    }
    if prefix.network() != prefix {
        return Err(invalid(format!("`{text}` has a host part; the prefix is {}", prefix.network())));
    }
    Ok(prefix)
}

/// Refuses a prefix that overlaps something in use.
pub(super) fn check(prefix: Prefix, in_use: &[Prefix]) -> Result<Prefix, DriverError> {
    match clash(&prefix, in_use) {
        None => Ok(prefix),
        Some(other) => Err(DriverError::InvalidOption {
            option: "subnet".to_owned(),
            reason: format!("{prefix} overlaps {other}, which this computer uses or routes to"),
        }),
    }
}

fn clash(candidate: &Prefix, in_use: &[Prefix]) -> Option<Prefix> {
    in_use.iter().find(|used| used.length > DEFAULT_ROUTE_LENGTH && used.overlaps(candidate)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_first_free_prefix_is_taken() {
        let chosen = |in_use: &[&str]| choose(&prefixes(in_use)).unwrap().to_string();

        assert_eq!(chosen(&["0.0.0.0/0", "192.0.2.0/24"]), "10.201.0.0/24");
        assert_eq!(chosen(&["10.201.0.0/23", "10.201.2.7/32"]), "10.201.3.0/24");
        assert_eq!(chosen(&["10.0.0.0/8"]), "172.29.0.0/24");
        assert_eq!(chosen(&["10.0.0.0/8", "172.16.0.0/12"]), "192.168.192.0/24");
        assert_eq!(chosen(&["0.0.0.0/1", "128.0.0.0/1", "::/0"]), "10.201.0.0/24");
    }

    #[test]
    fn a_computer_that_routes_everything_has_no_prefix_left() {
        let refused = choose(&prefixes(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])).unwrap_err();

        assert!(refused.hint().is_some_and(|hint| hint.contains("--subnet")));
    }

    #[test]
    fn what_cannot_be_a_clusters_prefix_is_refused() {
        for text in ["", "lab", "10.9.0.0", "10.9.0.0/8", "10.9.0.0/30", "10.9.0.1/24", "fd00::/64"] {
            assert!(matches!(parse(text), Err(DriverError::InvalidOption { .. })), "`{text}` was accepted");
        }
        assert_eq!(parse("10.9.0.0/24").unwrap().to_string(), "10.9.0.0/24");
    }

    #[test]
    fn a_prefix_in_use_is_refused_by_name() {
        let refused = check(parse("10.9.0.0/24").unwrap(), &prefixes(&["10.9.0.128/25"])).unwrap_err();

        assert!(refused.to_string().contains("10.9.0.128/25"), "{refused}");
    }
}
