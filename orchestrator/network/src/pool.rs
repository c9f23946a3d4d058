//! Which range of addresses a bridge has, and which of them a container gets. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use links::Prefix;
use serde::{Deserialize, Serialize};

/// The range of a bridge, and the host's address in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The host's address.
    pub gateway: Ipv4Addr,
    /// How many bits of it are the network's.
    pub prefix_length: u8,
}

impl Subnet {
    /// The range of addresses.
    pub fn prefix(self) -> Prefix {
        Prefix { address: IpAddr::V4(self.gateway), length: self.prefix_length }.network()
    }

    /// The host's address with the length of the range's prefix.
    pub(crate) fn gateway_prefix(self) -> Prefix {
        Prefix { address: IpAddr::V4(self.gateway), length: self.prefix_length }
    }

    /// The lowest address of a part of the range that is nobody's: neither the host's, nor the range's own first and last
    /// one.
    pub(crate) fn lowest_free(self, part: Option<Prefix>, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let (first, last) = bounds(part.unwrap_or_else(|| self.prefix()))?;
        (first..=last)
            .map(Ipv4Addr::from_bits)
            .find(|address| self.is_for_containers(*address) && !taken.contains(address))
    }

    /// Whether a container may have an address: one of the range, but for the host's and its own first and last one.
    pub fn is_for_containers(self, address: Ipv4Addr) -> bool {
        is_inner(self.prefix(), address) && address != self.gateway
    }
}

/// Whether an address is one of a prefix, but neither its first nor its last one.
pub fn is_inner(prefix: Prefix, address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    bounds(prefix).is_some_and(|(first, last)| first < bits && bits < last)
}

/// The first and the last address of a prefix of IPv4, as numbers.
fn bounds(prefix: Prefix) -> Option<(u32, u32)> {
    let IpAddr::V4(first) = prefix.network().address else { return None };
    let others = u32::MAX.checked_shr(prefix.length.into()).unwrap_or(0);
    Some((first.to_bits(), first.to_bits() | others))
}

/// The ranges that a bridge may have, best first, as Docker has them: 172.17.0.0/16 and on, then 192.168.0.0/20 and on.
fn candidates() -> impl Iterator<Item = Subnet> {
    let large = (17..32).map(|second| Subnet { gateway: Ipv4Addr::new(172, second, 0, 1), prefix_length: 16 });
    let small =
        (0..=240).step_by(16).map(|third| Subnet { gateway: Ipv4Addr::new(192, 168, third, 1), prefix_length: 20 });
    large.chain(small)
}

/// The first range that shares no address with any prefix in use: the host's addresses, routes and name servers.
/// Default routes do not count.
pub(crate) fn choose(in_use: &[Prefix]) -> Option<Subnet> {
    candidates().find(|subnet| {
        let range = subnet.prefix();
        !in_use.iter().any(|prefix| prefix.length > 0 && prefix.overlaps(&range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(in_use: &[&str]) -> Option<String> {
        let in_use: Vec<Prefix> = in_use.iter().map(|text| text.parse().unwrap()).collect();
        choose(&in_use).map(|subnet| subnet.prefix().to_string())
    }

    #[test]
    fn a_bridge_takes_the_first_range_that_nobody_uses() {
        let check = |in_use: &[&str], expected: Option<&str>| assert_eq!(chosen(in_use).as_deref(), expected);

        check(&[], Some("172.17.0.0/16"));
        check(&["0.0.0.0/0", "::/0", "10.0.0.0/8", "fd00::/64"], Some("172.17.0.0/16"));
        check(&["172.17.4.5/32"], Some("172.18.0.0/16"));
        check(&["172.17.0.0/16", "172.18.0.0/24"], Some("172.19.0.0/16"));
        check(&["172.16.0.0/12"], Some("192.168.0.0/20"));
        check(&["172.16.0.0/12", "192.168.0.0/24"], Some("192.168.16.0/20"));
        check(&["172.16.0.0/12", "192.168.0.0/16"], None);
    }

    #[test]
    fn containers_get_the_lowest_address_that_is_free() {
        let subnet = Subnet { gateway: Ipv4Addr::new(192, 0, 2, 1), prefix_length: 29 };
        let mut taken = BTreeSet::new();

        let given: Vec<String> = std::iter::from_fn(|| {
            let address = subnet.lowest_free(None, &taken)?;
            taken.insert(address);
            Some(address.to_string())
        })
        .collect();

        assert_eq!(given, ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"]);
        taken.remove(&Ipv4Addr::new(192, 0, 2, 3));
        assert_eq!(subnet.lowest_free(None, &taken), Some(Ipv4Addr::new(192, 0, 2, 3)));
        let part = "192.0.2.4/30".parse().unwrap();
        assert_eq!(subnet.lowest_free(Some(part), &BTreeSet::new()), Some(Ipv4Addr::new(192, 0, 2, 4)));
        assert_eq!(subnet.lowest_free(Some(part), &taken), None);
        for not_theirs in [0, 1, 7, 8] {
            assert!(!subnet.is_for_containers(Ipv4Addr::new(192, 0, 2, not_theirs)), "{not_theirs}");
        }
    }
}
