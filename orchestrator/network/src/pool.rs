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

    /// The lowest address of the range that is nobody's: neither the host's, nor the range's own first and last one.
    pub(crate) fn lowest_free(self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let size = 1_u32.checked_shl(32 - u32::from(self.prefix_length)).unwrap_or(0);
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_length)).unwrap_or(0);
        let first = self.gateway.to_bits() & mask;
        (1..size.saturating_sub(1))
            .map(|host| Ipv4Addr::from_bits(first + host))
            .find(|address| *address != self.gateway && !taken.contains(address))
    }
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
            let address = subnet.lowest_free(&taken)?;
            taken.insert(address);
            Some(address.to_string())
        })
        .collect();

        assert_eq!(given, ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"]);
        taken.remove(&Ipv4Addr::new(192, 0, 2, 3));
        assert_eq!(subnet.lowest_free(&taken), Some(Ipv4Addr::new(192, 0, 2, 3)));
    }
}
