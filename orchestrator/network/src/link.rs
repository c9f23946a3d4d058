//! The links of the bridge network: the bridge itself, and a pair for each container.
//!
//! The bridge carries its owner as alias. One of another owner is taken over where nothing is plugged into it: nobody is
//! there who could miss it.

use std::io::ErrorKind;
use std::net::IpAddr;

use links::route::{Connection, Link, VethPair};
use links::{KernelError, Process, namespace, sysctl};

use crate::{Endpoint, HardwareAddress, NetworkError, Subnet, pool};

/// The name of the bridge, which only a node's engine uses.
pub const BRIDGE: &str = "swarmd0";
/// The container's link, inside.
const INSIDE: &str = "eth0";
/// The beginning of the name of a container's link at the bridge; the beginning of its id follows.
const PORT: &str = "veth";
/// How much of an id a name of a link has room for.
const ID_PART: usize = links::route::LINK_NAME_LENGTH - PORT.len();

/// The bridge as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BridgeLink {
    /// Its number.
    pub(crate) index: u32,
    /// Its range.
    pub(crate) subnet: Subnet,
}

/// The bridge, where it stands and nobody else's containers are in it.
pub(crate) fn find(owner: &str) -> Result<Option<BridgeLink>, NetworkError> {
    let mut connection = Connection::open()?;
    let Some(link) = own(&mut connection, owner)? else { return Ok(None) };
    Ok(subnet_of(&mut connection, &link)?.map(|subnet| BridgeLink { index: link.index, subnet }))
}

/// Makes the bridge, unless it stands: up, with the host's address in its range, which is `wanted` where it is to be made.
/// Whether it was made.
pub(crate) fn ensure(owner: &str, wanted: Option<Subnet>) -> Result<(BridgeLink, bool), NetworkError> {
    let mut connection = Connection::open()?;
    if let Some(link) = own(&mut connection, owner)? {
        if let Some(subnet) = subnet_of(&mut connection, &link)? {
            if !link.is_up {
                connection.set_up(link.index)?;
            }
            return Ok((BridgeLink { index: link.index, subnet }, false));
        }
        let subnet = range(&mut connection, wanted)?;
        connection.ensure_address(link.index, subnet.gateway_prefix())?;
        return Ok((BridgeLink { index: link.index, subnet }, true));
    }
    // Of another owner, who has nothing in it.
    connection.remove_link(BRIDGE)?;
    let subnet = range(&mut connection, wanted)?;
    let index = connection.add_bridge(BRIDGE, owner, HardwareAddress::of(subnet.gateway).0)?;
    connection.ensure_address(index, subnet.gateway_prefix())?;
    Ok((BridgeLink { index, subnet }, true))
}

/// The range that a bridge would have if it were made now.
pub(crate) fn free_range() -> Result<Subnet, NetworkError> {
    range(&mut Connection::open()?, None)
}

fn range(connection: &mut Connection, wanted: Option<Subnet>) -> Result<Subnet, NetworkError> {
    if let Some(wanted) = wanted {
        return Ok(wanted);
    }
    let mut in_use = connection.routes()?;
    in_use.extend(connection.addresses()?.iter().map(|address| address.prefix));
    pool::choose(&in_use).ok_or(NetworkError::NoSubnet)
}

/// The bridge, where it is this owner's; one of another owner with something in it is an error. One without an owner was
/// just being made.
fn own(connection: &mut Connection, owner: &str) -> Result<Option<Link>, NetworkError> {
    let links = connection.links()?;
    let Some(link) = links.iter().find(|link| link.name == BRIDGE) else { return Ok(None) };
    if link.alias.as_deref() == Some(owner) {
        return Ok(Some(link.clone()));
    }
    if links.iter().any(|other| other.master == Some(link.index)) {
        return Err(NetworkError::Foreign(BRIDGE));
    }
    Ok(None)
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

/// The name of a container's link at the bridge.
pub(crate) fn port_of(container: &str) -> String {
    format!("{PORT}{}", container.get(..ID_PART).unwrap_or(container))
}

/// Joins the network namespace of a process to the bridge: inside, the loopback and `eth0` are up, with the endpoint's
/// address, and everything else is reached by the gateway.
pub(crate) fn connect(
    bridge: u32,
    container: &str,
    endpoint: &Endpoint,
    process: &Process,
) -> Result<(), NetworkError> {
    let name = port_of(container);
    let pair = VethPair {
        name: &name,
        master: Some(bridge),
        peer_of: process.pid,
        peer_name: INSIDE,
        peer_hardware_address: endpoint.hardware_address.0,
    };
    let mut connection = Connection::open()?;
    match connection.add_veth(&pair) {
        // Of a run before, whose network namespace somebody else still holds.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            connection.remove_link(&name)?;
            connection.add_veth(&pair)?;
        }
        outcome => outcome?,
    }
    let outer = returning(&mut connection, &name).map_err(NetworkError::from);
    let configured = outer.and_then(|()| Ok(namespace::inside_network(process, || configure(endpoint))??));
    if let Err(error) = configured {
        connection.remove_link(&name)?;
        return Err(error);
    }
    Ok(())
}

/// Lets a container reach itself by a port that it publishes: where the kernel filters bridged packets, they do not leave
/// the bridge on their way.
fn returning(connection: &mut Connection, name: &str) -> Result<(), KernelError> {
    let link = connection.link(name)?;
    let link = link.ok_or_else(|| KernelError::new(format!("find link `{name}`"), ErrorKind::NotFound))?;
    connection.let_return(link.index)
}

/// Sets the links up in the caller's network namespace.
fn configure(endpoint: &Endpoint) -> Result<(), KernelError> {
    let mut connection = Connection::open()?;
    for (name, address) in [("lo", None), (INSIDE, Some(endpoint.address))] {
        let link = connection.link(name)?;
        let link = link.ok_or_else(|| KernelError::new(format!("find link `{name}`"), ErrorKind::NotFound))?;
        if let Some(address) = address {
            without_ipv6(name)?;
            let address = links::Prefix { address: address.into(), length: endpoint.prefix_length };
            connection.ensure_address(link.index, address)?;
        }
        connection.set_up(link.index)?;
    }
    connection.ensure_default_route(endpoint.gateway.into())
}

/// The bridge has no IPv6, so a link of it has no address of that kind either.
fn without_ipv6(link: &str) -> Result<(), KernelError> {
    match sysctl::write(&format!("net/ipv6/conf/{link}/disable_ipv6"), "1") {
        // The kernel has none.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Takes a container's links away; fine where there are none.
pub(crate) fn disconnect(container: &str) -> Result<(), KernelError> {
    Connection::open()?.remove_link(&port_of(container)).map(drop)
}

/// Plugs the links of these containers in where they are not, and takes away what else is in the bridge: it belongs to
/// containers that nobody knows any more.
pub(crate) fn settle(bridge: u32, containers: &[String]) -> Result<(), KernelError> {
    let mut connection = Connection::open()?;
    let known: Vec<String> = containers.iter().map(|container| port_of(container)).collect();
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
