//! The links of bridges: a bridge itself, and a pair for each container.
//!
//! A bridge carries its owner as alias. The node's own one of another owner is taken over where nothing is plugged into
//! it: nobody is there who could miss it. A link that has the name of any other bridge is left alone.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};

use links::route::{Connection, Link, VethPair};
use links::{KernelError, Prefix, Process, namespace, sysctl};

use crate::{BridgeSettings, Endpoint, HardwareAddress, NetworkError, Subnet, pool};

/// The name of the bridge that every node has by itself, which only a node's engine uses.
pub const BRIDGE: &str = "swarmd0";
/// The beginning of the name of a container's link at a bridge; the beginning of an id follows.
const PORT: &str = "veth";
/// How much of an id a name of a link has room for.
const ID_PART: usize = links::route::LINK_NAME_LENGTH - PORT.len();

/// A bridge as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BridgeLink {
    /// Its number.
    pub(crate) index: u32,
    /// Its range.
    pub(crate) subnet: Subnet,
}

/// A bridge, where it stands and nobody else's containers are in it.
pub(crate) fn find(owner: &str, settings: &BridgeSettings) -> Result<Option<BridgeLink>, NetworkError> {
    let mut connection = Connection::open()?;
    let Some(link) = own(&mut connection, owner, settings)? else { return Ok(None) };
    Ok(subnet_of(&mut connection, &link)?.map(|subnet| BridgeLink { index: link.index, subnet }))
}

/// Makes a bridge, unless it stands: up, with the host's address in its range, which is `wanted` where it is to be made.
/// Whether it was made.
pub(crate) fn ensure(
    owner: &str,
    settings: &BridgeSettings,
    wanted: Option<Subnet>,
) -> Result<(BridgeLink, bool), NetworkError> {
    let mut connection = Connection::open()?;
    if let Some(link) = own(&mut connection, owner, settings)? {
        if let Some(subnet) = subnet_of(&mut connection, &link)? {
            if !link.is_up {
                connection.set_up(link.index)?;
            }
            return Ok((BridgeLink { index: link.index, subnet }, false));
        }
        let subnet = range(&mut connection, wanted)?;
        furnish(&mut connection, link.index, settings, subnet)?;
        return Ok((BridgeLink { index: link.index, subnet }, true));
    }
    // Of nobody who could miss it.
    connection.remove_link(&settings.link)?;
    let subnet = range(&mut connection, wanted)?;
    let index = connection.add_bridge(&settings.link, owner, HardwareAddress::of(subnet.gateway).0)?;
    furnish(&mut connection, index, settings, subnet)?;
    Ok((BridgeLink { index, subnet }, true))
}

/// Gives a bridge what it is known by to be whole: the host's address comes last.
fn furnish(
    connection: &mut Connection,
    index: u32,
    settings: &BridgeSettings,
    subnet: Subnet,
) -> Result<(), KernelError> {
    if let Some(bytes) = settings.longest_packet {
        connection.set_longest_packet(index, bytes)?;
    }
    connection.ensure_address(index, subnet.gateway_prefix())
}

/// The range that the node's own bridge would have if it were made now.
pub(crate) fn free_range() -> Result<Subnet, NetworkError> {
    range(&mut Connection::open()?, None)
}

/// A range for a bridge to come, which shares nothing with the host's routes and addresses, and nothing with these.
pub fn free_range_beside(others: &[Prefix]) -> Result<Subnet, NetworkError> {
    let mut in_use = in_use(&mut Connection::open()?)?;
    in_use.extend_from_slice(others);
    pool::choose(&in_use).ok_or(NetworkError::NoSubnet)
}

fn range(connection: &mut Connection, wanted: Option<Subnet>) -> Result<Subnet, NetworkError> {
    if let Some(wanted) = wanted {
        return Ok(wanted);
    }
    pool::choose(&in_use(connection)?).ok_or(NetworkError::NoSubnet)
}

fn in_use(connection: &mut Connection) -> Result<Vec<Prefix>, KernelError> {
    let mut in_use = connection.routes()?;
    in_use.extend(connection.addresses()?.iter().map(|address| address.prefix));
    Ok(in_use)
}

/// A bridge, where it is this owner's; one of somebody else's is an error, unless it may be taken. One without an owner
/// was just being made.
fn own(connection: &mut Connection, owner: &str, settings: &BridgeSettings) -> Result<Option<Link>, NetworkError> {
    let links = connection.links()?;
    let Some(link) = links.iter().find(|link| link.name == settings.link) else { return Ok(None) };
    if link.alias.as_deref() == Some(owner) {
        return Ok(Some(link.clone()));
    }
    let is_empty = !links.iter().any(|other| other.master == Some(link.index));
    let is_unfinished = link.alias.is_none() && subnet_of(connection, link)?.is_none();
    if is_empty && (settings.is_of_node() || is_unfinished) {
        return Ok(None);
    }
    Err(NetworkError::Foreign(settings.link.clone()))
}

/// The bridges of an owner, by the names of their links.
pub(crate) fn all_of(owner: &str) -> Result<Vec<Link>, KernelError> {
    let mut links = Connection::open()?.links()?;
    links.retain(|link| link.alias.as_deref() == Some(owner) && link.master.is_none());
    Ok(links)
}

fn subnet_of(connection: &mut Connection, link: &Link) -> Result<Option<Subnet>, KernelError> {
    let addresses = connection.addresses()?;
    let of_link = addresses.iter().filter(|address| address.link == link.index);
    let mut ranges = of_link.filter_map(|address| match address.prefix.address {
        IpAddr::V4(gateway) => Some(Subnet { gateway, prefix_length: address.prefix.length }),
        IpAddr::V6(_) => None,
    });
    Ok(ranges.next())
}

/// The name of a container's link at a bridge. A container is in the node's own one once, and is known there by its id;
/// in any other its endpoint is.
pub(crate) fn port_of(settings: &BridgeSettings, container: &str, endpoint: &Endpoint) -> String {
    let id = if settings.is_of_node() { container } else { &endpoint.id };
    format!("{PORT}{}", id.get(..ID_PART).unwrap_or(id))
}

/// Joins the network namespace of a process to a bridge by a link of this name: inside, the loopback and the endpoint's
/// link are up, with its address, and everything else is reached by the gateway where the endpoint leads there.
pub(crate) fn connect(
    bridge: u32,
    settings: &BridgeSettings,
    name: &str,
    endpoint: &Endpoint,
    process: &Process,
) -> Result<(), NetworkError> {
    let pair = VethPair {
        name,
        master: Some(bridge),
        peer_of: process.pid,
        peer_name: &endpoint.link,
        peer_hardware_address: endpoint.hardware_address.0,
    };
    let mut connection = Connection::open()?;
    match connection.add_veth(&pair) {
        // Of a run before, whose network namespace somebody else still holds.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            connection.remove_link(name)?;
            connection.add_veth(&pair)?;
        }
        outcome => outcome?,
    }
    let packet = settings.longest_packet;
    let mut join = || -> Result<bool, NetworkError> {
        let outer = returning(&mut connection, name, packet)?;
        let inner_carries = namespace::inside_network(process, || configure(endpoint, packet))??;
        // A program that begins to talk sooner would lose its first packets, and the second until it repeats them.
        Ok(inner_carries && connection.wait_until_carrying(outer)?)
    };
    match join() {
        Ok(true) => Ok(()),
        Ok(false) => {
            tracing::debug!(link = name, "a container's link does not carry packets yet");
            Ok(())
        }
        Err(error) => {
            connection.remove_link(name)?;
            Err(error)
        }
    }
}

/// Has everything that has no other way in the network namespace of a process go by this gateway.
pub(crate) fn lead_out(process: &Process, gateway: Ipv4Addr) -> Result<(), KernelError> {
    Connection::open_inside(process)?.ensure_default_route(gateway.into())
}

/// Lets a container reach itself by a port that it publishes: where the kernel filters bridged packets, they do not leave
/// the bridge on their way. The number of its link.
fn returning(connection: &mut Connection, name: &str, packet: Option<u32>) -> Result<u32, KernelError> {
    let link = connection.link(name)?;
    let link = link.ok_or_else(|| KernelError::new(format!("find link `{name}`"), ErrorKind::NotFound))?;
    if let Some(bytes) = packet {
        connection.set_longest_packet(link.index, bytes)?;
    }
    connection.let_return(link.index)?;
    Ok(link.index)
}

/// Sets the links up in the caller's network namespace; whether the endpoint's carries packets.
fn configure(endpoint: &Endpoint, packet: Option<u32>) -> Result<bool, KernelError> {
    let mut connection = Connection::open()?;
    let mut is_carrying = false;
    for (name, address) in [("lo", None), (endpoint.link.as_str(), Some(endpoint.address))] {
        let link = connection.link(name)?;
        let link = link.ok_or_else(|| KernelError::new(format!("find link `{name}`"), ErrorKind::NotFound))?;
        if let Some(address) = address {
            without_ipv6(name)?;
            let address = links::Prefix { address: address.into(), length: endpoint.prefix_length };
            connection.ensure_address(link.index, address)?;
            if let Some(bytes) = packet {
                connection.set_longest_packet(link.index, bytes)?;
            }
        }
        connection.set_up(link.index)?;
        if address.is_some() {
            is_carrying = connection.wait_until_carrying(link.index)?;
        }
    }
    if endpoint.leads_out {
        connection.ensure_default_route(endpoint.gateway.into())?;
    }
    Ok(is_carrying)
}

/// The bridge has no IPv6, so a link of it has no address of that kind either.
fn without_ipv6(link: &str) -> Result<(), KernelError> {
    match sysctl::write(&format!("net/ipv6/conf/{link}/disable_ipv6"), "1") {
        // The kernel has none.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Takes a pair of links away; fine where there is none.
pub(crate) fn disconnect(name: &str) -> Result<(), KernelError> {
    Connection::open()?.remove_link(name).map(drop)
}

/// Plugs links in where they are not, and takes away what else is in the bridge: it belongs to containers that nobody
/// knows any more.
pub(crate) fn settle(bridge: u32, known: &[String]) -> Result<(), KernelError> {
    let mut connection = Connection::open()?;
    for link in connection.links()? {
        let is_in = link.master == Some(bridge);
        match (known.contains(&link.name), is_in) {
            (true, false) => {
                connection.plug(link.index, bridge)?;
                connection.let_return(link.index)?;
            }
            (false, true) => {
                tracing::info!(link = link.name, "a link that belongs to no container is removed");
                connection.remove_link(&link.name)?;
            }
            (true, true) | (false, false) => {}
        }
    }
    Ok(())
}
