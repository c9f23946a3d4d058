//! A container's place in a network: its addresses, and the ports of the host that lead to it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A container's place in a network. Whoever runs the container keeps it as long as the container runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// The container's address.
    pub address: Ipv4Addr,
    /// How many bits of it are the network's.
    pub prefix_length: u8,
    /// The host's address in the network, by which everything else is reached.
    pub gateway: Ipv4Addr,
    /// The hardware address of the container's link.
    pub hardware_address: HardwareAddress,
    /// The ports of the host that lead to it.
    pub ports: Vec<PublishedPort>,
    /// The name of the container's link.
    #[serde(default = "first_link")]
    pub link: String,
    /// Whether everything outside of the container's networks is reached by the gateway.
    #[serde(default = "yes")]
    pub leads_out: bool,
}

/// The link of a container that is in one network.
fn first_link() -> String {
    "eth0".to_owned()
}

/// A container that is in one network has no other way out.
fn yes() -> bool {
    true
}

/// A port of the host that leads to one of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The container's port.
    pub target_port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The address of the host; unspecified where every address leads there.
    pub host_address: IpAddr,
    /// The port of the host.
    pub host_port: u16,
}

impl PublishedPort {
    /// Where it is reached.
    pub fn host(&self) -> SocketAddr {
        SocketAddr::new(self.host_address, self.host_port)
    }
}

/// What ports are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A text that is no hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC address: {0}")]
pub struct InvalidHardwareAddress(pub String);

/// The address of a link: `02:42:ac:11:00:02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HardwareAddress(pub [u8; 6]);

impl HardwareAddress {
    /// The one that goes with an address of a bridge, as Docker makes them: whoever gets the address next has the same,
    /// so that no neighbor remembers a wrong one.
    pub fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.map(|byte| format!("{byte:02x}"));
        formatter.write_str(&bytes.join(":"))
    }
}

impl FromStr for HardwareAddress {
    type Err = InvalidHardwareAddress;

    fn from_str(text: &str) -> Result<Self, InvalidHardwareAddress> {
        let parse = || {
            let mut bytes = [0; 6];
            let mut parts = text.split(':');
            for byte in &mut bytes {
                let part = parts.next().filter(|part| part.len() == 2)?;
                *byte = u8::from_str_radix(part, 16).ok()?;
            }
            // The lowest bit of the first byte names a group of links.
            (parts.next().is_none() && bytes[0] & 1 == 0 && bytes != [0; 6]).then_some(Self(bytes))
        };
        parse().ok_or_else(|| InvalidHardwareAddress(text.to_owned()))
    }
}

impl From<HardwareAddress> for String {
    fn from(address: HardwareAddress) -> Self {
        address.to_string()
    }
}

impl TryFrom<String> for HardwareAddress {
    type Error = InvalidHardwareAddress;

    fn try_from(text: String) -> Result<Self, InvalidHardwareAddress> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_follows_from_the_address_and_reads_back() {
        let address = HardwareAddress::of(Ipv4Addr::new(172, 17, 0, 2));

        assert_eq!(address.to_string(), "02:42:ac:11:00:02");
        assert_eq!(address.to_string().parse(), Ok(address));
    }

    #[test]
    fn what_no_link_can_have_is_no_hardware_address() {
        for text in ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "01:00:00:00:00:01", "00:00:00:00:00:00", "2:4::::"]
        {
            assert_eq!(text.parse::<HardwareAddress>(), Err(InvalidHardwareAddress(text.to_owned())), "{text}");
        }
    }
}
