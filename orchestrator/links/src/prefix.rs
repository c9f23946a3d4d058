//! A prefix of addresses: `10.201.0.0/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A text that is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a prefix such as 10.201.0.0/24")]
pub struct InvalidPrefix(pub String);

/// An address with the length of its network part: a prefix, or an address within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address; its host part need not be zero.
    pub address: IpAddr,
    /// How many of its bits are the network's.
    pub length: u8,
}

impl Prefix {
    /// Makes a prefix; `None` where the address has fewer bits than that.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (length <= bits).then_some(Self { address, length })
    }

    /// The same prefix with a host part of zero.
    #[must_use]
    pub fn network(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & self.v4_mask())),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & self.v6_mask())),
        };
        Self { address, ..*self }
    }

    /// Whether an address belongs to it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self { address, length: self.length }.network() == self.network()
    }

    /// Whether any address belongs to both.
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.length <= other.length { self.contains(other.address) } else { other.contains(self.address) }
    }

    fn v4_mask(&self) -> u32 {
        u32::MAX.checked_shl(32_u32.saturating_sub(self.length.into())).unwrap_or(0)
    }

    fn v6_mask(&self) -> u128 {
        u128::MAX.checked_shl(128_u32.saturating_sub(self.length.into())).unwrap_or(0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let parse = || {
            let (address, length) = text.split_once('/')?;
            Self::new(address.parse().ok()?, length.parse().ok()?)
        };
        parse().ok_or_else(|| InvalidPrefix(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_contains_its_addresses_and_no_others() {
        assert!(prefix("10.201.7.0/24").contains("10.201.7.255".parse().unwrap()));
        assert!(!prefix("10.201.7.0/24").contains("10.201.8.0".parse().unwrap()));
        assert!(prefix("0.0.0.0/0").contains("192.0.2.1".parse().unwrap()));
        assert!(prefix("fd00::/64").contains("fd00::1".parse().unwrap()));
        assert!(!prefix("::/0").contains("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn prefixes_overlap_whichever_is_the_longer_one() {
        assert!(prefix("10.0.0.0/8").overlaps(&prefix("10.201.7.0/24")));
        assert!(prefix("10.201.7.0/24").overlaps(&prefix("10.0.0.0/8")));
        assert!(!prefix("10.201.7.0/24").overlaps(&prefix("10.201.8.0/24")));
        assert!(prefix("192.0.2.1/32").overlaps(&prefix("192.0.2.1/32")));
    }

    #[test]
    fn the_network_has_no_host_part() {
        assert_eq!(prefix("10.201.7.9/24").network().to_string(), "10.201.7.0/24");
        assert_eq!(prefix("10.201.7.9/0").network().to_string(), "0.0.0.0/0");
        assert_eq!(prefix("fd00::9/64").network().to_string(), "fd00::/64");
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Prefix>(), Err(InvalidPrefix(text.to_owned())));
        }
    }
}
