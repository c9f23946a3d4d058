//! Links, addresses and routes of a network namespace, by rtnetlink.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};

use crate::error::Doing;
use crate::netlink::{Attributes, CREATE, EXCLUSIVE, Message, REPLACE, Socket, attributes, number, text};
use crate::{KernelError, Prefix, Process, namespace};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const LIST_LINKS: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const LIST_ADDRESSES: u16 = 22;
const NEW_ROUTE: u16 = 24;
const LIST_ROUTES: u16 = 26;

/// Attributes of a link (`IFLA_*`).
mod link {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const NAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const MASTER: u16 = 10;
    pub(super) const OPERATION: u16 = 16;
    pub(super) const INFO: u16 = 18;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
    pub(super) const NAMESPACE_OF_PROCESS: u16 = 19;
    pub(super) const ALIAS: u16 = 20;
    pub(super) const VETH_PEER: u16 = 1;
    /// `IFF_UP`.
    pub(super) const UP: u32 = 1;
    /// `IF_OPER_UP`.
    pub(super) const CARRYING: u8 = 6;
}

/// How long a link is waited for that does not carry packets yet: the kernel takes microseconds, or its next second.
const CARRIER_LIMIT: Duration = Duration::from_millis(200);
/// The pause between two looks at it (ns).
const CARRIER_PAUSE: i64 = 1_000_000;
/// `RT_TABLE_MAIN`, `RTPROT_STATIC`, `RT_SCOPE_UNIVERSE`, `RTN_UNICAST`.
const STATIC_UNICAST: [u8; 4] = [254, 4, 0, 1];
/// Longest name of a link.
pub const LINK_NAME_LENGTH: usize = 15;

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What its owner wrote on it.
    pub alias: Option<String>,
    /// Whether it is up.
    pub is_up: bool,
    /// Whether it is known to carry packets: the other end is up, too.
    pub is_carrying: bool,
    /// The number of the bridge it is plugged into.
    pub master: Option<u32>,
}

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkAddress {
    /// The number of the link.
    pub link: u32,
    /// The address with the length of its prefix.
    pub prefix: Prefix,
}

/// A pair of links: one here, up, and one in the network namespace of a process, to be set up there.
#[derive(Debug, Clone, Copy)]
pub struct VethPair<'a> {
    /// The name of the link here.
    pub name: &'a str,
    /// The bridge it is plugged into, by number.
    pub master: Option<u32>,
    /// The process whose network namespace gets the other link.
    pub peer_of: u32,
    /// The name of the other link.
    pub peer_name: &'a str,
    /// The hardware address of the other link.
    pub peer_hardware_address: [u8; 6],
}

/// A connection to the links of one network namespace, whichever thread uses it.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
}

impl Connection {
    /// Connects to the caller's network namespace.
    pub fn open() -> Result<Self, KernelError> {
        Ok(Self { socket: Socket::route().doing(|| "open a socket to the kernel's links")? })
    }

    /// Connects to the network namespace of a process.
    pub fn open_inside(process: &Process) -> Result<Self, KernelError> {
        namespace::inside_network(process, Self::open)?
    }

    /// All links.
    pub fn links(&mut self) -> Result<Vec<Link>, KernelError> {
        let list = self.socket.dump(&Message::new(LIST_LINKS, 0, &link_header(0, 0, 0))).doing(|| "list links")?;
        Ok(list.iter().filter_map(|entry| parse_link(entry)).collect())
    }

    /// The link of this name, if there is one.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, KernelError> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }

    /// All addresses of all links.
    pub fn addresses(&mut self) -> Result<Vec<LinkAddress>, KernelError> {
        let list = self.socket.dump(&Message::new(LIST_ADDRESSES, 0, &[0; 8])).doing(|| "list addresses")?;
        Ok(list.iter().filter_map(|entry| parse_address(entry)).collect())
    }

    /// The destinations of all routes in all tables; a default route is `0.0.0.0/0` or `::/0`.
    pub fn routes(&mut self) -> Result<Vec<Prefix>, KernelError> {
        let list = self.socket.dump(&Message::new(LIST_ROUTES, 0, &[0; 12])).doing(|| "list routes")?;
        Ok(list.iter().filter_map(|entry| parse_route(entry)).collect())
    }

    /// Makes a bridge that is up and returns its number; `AlreadyExists` where a link has that name.
    ///
    /// It carries the alias an instant later: the kernel takes none while a link is made.
    pub fn add_bridge(&mut self, name: &str, alias: &str, hardware_address: [u8; 6]) -> Result<u32, KernelError> {
        let action = || format!("make bridge `{name}`");
        let message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &link_header(0, link::UP, link::UP))
            .text(link::NAME, name)
            .bytes(link::ADDRESS, &hardware_address)
            .nested(link::INFO, &Attributes::new().text(link::INFO_KIND, "bridge"));
        self.socket.request(message).doing(action)?;
        let index = self.link(name)?.ok_or_else(|| KernelError::new(action(), io::ErrorKind::NotFound))?.index;
        let message = Message::new(NEW_LINK, 0, &link_header(index, 0, 0)).text(link::ALIAS, alias);
        self.socket.request(message).doing(action)?;
        Ok(index)
    }

    /// Makes a pair of links; `AlreadyExists` where a link has one of the names.
    pub fn add_veth(&mut self, pair: &VethPair<'_>) -> Result<(), KernelError> {
        let peer = Attributes::after(&link_header(0, 0, 0))
            .text(link::NAME, pair.peer_name)
            .bytes(link::ADDRESS, &pair.peer_hardware_address)
            .number(link::NAMESPACE_OF_PROCESS, pair.peer_of);
        let info = Attributes::new()
            .text(link::INFO_KIND, "veth")
            .nested(link::INFO_DATA, &Attributes::new().nested(link::VETH_PEER, &peer));
        let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &link_header(0, link::UP, link::UP))
            .text(link::NAME, pair.name)
            .nested(link::INFO, &info);
        if let Some(master) = pair.master {
            message = message.number(link::MASTER, master);
        }
        self.socket.request(message).doing(|| format!("make link `{}`", pair.name))
    }

    /// Sets a link up.
    pub fn set_up(&mut self, index: u32) -> Result<(), KernelError> {
        let message = Message::new(NEW_LINK, 0, &link_header(index, link::UP, link::UP));
        self.socket.request(message).doing(|| format!("set link {index} up"))
    }

    /// Waits a moment until a link carries packets, and says whether it does: of a pair, the kernel learns a while after
    /// both are set up that they are, and drops until then what is sent.
    pub fn wait_until_carrying(&mut self, index: u32) -> Result<bool, KernelError> {
        let deadline = Instant::now() + CARRIER_LIMIT;
        loop {
            // Asked for one link, a kernel since 6.8 first does what it has put off.
            let message = Message::new(LIST_LINKS, 0, &link_header(index, 0, 0));
            self.socket.request(message).doing(|| format!("look at link {index}"))?;
            let is_carrying = self.links()?.iter().any(|link| link.index == index && link.is_carrying);
            if is_carrying || Instant::now() >= deadline {
                return Ok(is_carrying);
            }
            let pause = Timespec { tv_sec: 0, tv_nsec: CARRIER_PAUSE };
            poll(&mut [], Some(&pause)).doing(|| "pause")?;
        }
    }

    /// Sets the length of the longest packet that a link carries, in bytes.
    pub fn set_longest_packet(&mut self, index: u32, bytes: u32) -> Result<(), KernelError> {
        let message = Message::new(NEW_LINK, 0, &link_header(index, 0, 0)).number(link::MTU, bytes);
        self.socket.request(message).doing(|| format!("let link {index} carry packets of {bytes} bytes"))
    }

    /// Plugs a link into a bridge, out of the one that it was in.
    pub fn plug(&mut self, index: u32, bridge: u32) -> Result<(), KernelError> {
        let message = Message::new(NEW_LINK, 0, &link_header(index, 0, 0)).number(link::MASTER, bridge);
        self.socket.request(message).doing(|| format!("plug link {index} into bridge {bridge}"))
    }

    /// Lets what comes into a bridge by a link go out by it again.
    pub fn let_return(&mut self, index: u32) -> Result<(), KernelError> {
        // `RTM_SETLINK`, `AF_BRIDGE`, `IFLA_PROTINFO`, `IFLA_BRPORT_MODE`
        const CHANGE_LINK: u16 = 19;
        const FAMILY_BRIDGE: u8 = 7;
        const OF_FAMILY: u16 = 12;
        const MODE: u16 = 4;
        let mut fixed = link_header(index, 0, 0);
        fixed[0] = FAMILY_BRIDGE;
        let message = Message::new(CHANGE_LINK, 0, &fixed).nested(OF_FAMILY, &Attributes::new().bytes(MODE, &[1]));
        self.socket.request(message).doing(|| format!("let packets return by link {index}"))
    }

    /// Gives a link an address; one that it has already is fine. IPv6 addresses are usable at once: whoever gives them
    /// knows that they are unique.
    pub fn ensure_address(&mut self, index: u32, prefix: Prefix) -> Result<(), KernelError> {
        const ADDRESS: u16 = 1;
        const LOCAL: u16 = 2;
        let bytes = address_bytes(prefix.address);
        // `IFA_F_NODAD`
        let flags = if prefix.address.is_ipv6() { 2 } else { 0 };
        let mut fixed = vec![family(prefix.address), prefix.length, flags, 0];
        fixed.extend_from_slice(&index.to_ne_bytes());
        let message = Message::new(NEW_ADDRESS, CREATE | REPLACE, &fixed).bytes(LOCAL, &bytes).bytes(ADDRESS, &bytes);
        self.socket.request(message).doing(|| format!("add address {prefix} to link {index}"))
    }

    /// Sends everything that has no route of its own to a gateway.
    pub fn ensure_default_route(&mut self, gateway: IpAddr) -> Result<(), KernelError> {
        const GATEWAY: u16 = 5;
        let mut fixed = vec![family(gateway), 0, 0, 0];
        fixed.extend_from_slice(&STATIC_UNICAST);
        fixed.extend_from_slice(&[0; 4]);
        let message = Message::new(NEW_ROUTE, CREATE | REPLACE, &fixed).bytes(GATEWAY, &address_bytes(gateway));
        self.socket.request(message).doing(|| format!("add the default route by {gateway}"))
    }

    /// Removes a link; returns whether there was one.
    pub fn remove_link(&mut self, name: &str) -> Result<bool, KernelError> {
        let message = Message::new(DELETE_LINK, 0, &link_header(0, 0, 0)).text(link::NAME, name);
        match self.socket.request(message) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(false),
            Err(error) => Err(KernelError::new(format!("remove link `{name}`"), error)),
        }
    }
}

/// Every prefix that the caller's network namespace has an address in, loopback left out.
pub fn prefixes() -> Result<Vec<Prefix>, KernelError> {
    let mut found: Vec<Prefix> = Connection::open()?
        .addresses()?
        .iter()
        .filter(|address| !address.prefix.address.is_loopback())
        .map(|address| address.prefix.network())
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// The addresses of a link, IPv4 first; `NotFound` where there is no such link.
pub fn addresses_of(name: &str) -> Result<Vec<IpAddr>, KernelError> {
    let mut connection = Connection::open()?;
    let link = connection
        .link(name)?
        .ok_or_else(|| KernelError::new(format!("find link `{name}`"), io::ErrorKind::NotFound))?;
    let mut found: Vec<IpAddr> = connection
        .addresses()?
        .iter()
        .filter(|address| address.link == link.index)
        .map(|address| address.prefix.address)
        .collect();
    found.sort();
    Ok(found)
}

/// A `struct ifinfomsg`.
fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

fn parse_link(entry: &[u8]) -> Option<Link> {
    let (header, rest) = entry.split_at_checked(16)?;
    let mut found = Link {
        index: number(&header[4..8])?,
        name: String::new(),
        alias: None,
        is_up: number(&header[8..12])? & link::UP != 0,
        is_carrying: false,
        master: None,
    };
    for (kind, value) in attributes(rest) {
        match kind {
            link::NAME => found.name = text(value),
            link::ALIAS => found.alias = Some(text(value)),
            link::MASTER => found.master = number(value),
            link::OPERATION => found.is_carrying = value == [link::CARRYING],
            _ => {}
        }
    }
    Some(found)
}

fn parse_address(entry: &[u8]) -> Option<LinkAddress> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let (header, rest) = entry.split_at_checked(8)?;
    let mut address = None;
    for (kind, value) in attributes(rest) {
        // On a point-to-point link ADDRESS is the other side's.
        if kind == LOCAL || (kind == ADDRESS && address.is_none()) {
            address = parse_ip(value);
        }
    }
    Some(LinkAddress { link: number(&header[4..8])?, prefix: Prefix::new(address?, header[1])? })
}

fn parse_route(entry: &[u8]) -> Option<Prefix> {
    const DESTINATION: u16 = 1;
    let (header, rest) = entry.split_at_checked(12)?;
    let destination = attributes(rest).find(|(kind, _)| *kind == DESTINATION).and_then(|(_, value)| parse_ip(value));
    let any =
        if header[0] == FAMILY_V4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    Prefix::new(destination.unwrap_or(any), header[1])
}

const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 10;

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { FAMILY_V4 } else { FAMILY_V6 }
}

fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn parse_ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(IpAddr::from(octets));
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_link_is_listed_with_its_address() {
        let mut connection = Connection::open().unwrap();

        let loopback = connection.link("lo").unwrap().expect("every namespace has one");

        assert_eq!(loopback.index, 1);
        assert!(addresses_of("lo").unwrap().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(!prefixes().unwrap().iter().any(|prefix| prefix.address.is_loopback()));
    }

    #[test]
    fn a_link_that_does_not_exist_is_named() {
        assert_eq!(addresses_of("no-such").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_the_kernel_cut_short_is_passed_over() {
        assert_eq!(parse_link(&[0; 15]), None);
        assert_eq!(parse_address(&[2, 24, 0, 0, 1, 0, 0, 0]), None);
        assert_eq!(parse_route(&[0; 3]), None);
    }
}
