//! The addresses of this host, for choosing among them.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use links::KernelError;
use links::route::Connection;
use model::SwarmError;

use crate::address::LocalAddress;

/// All addresses of links that are up, but for the bridge of the node's containers, which nobody else can reach.
pub(crate) async fn addresses() -> Result<Vec<LocalAddress>, SwarmError> {
    let asked = tokio::task::spawn_blocking(list).await;
    asked
        .map_err(|error| SwarmError::internal(error.to_string()))?
        .map_err(|error| SwarmError::internal(format!("failed to list this host's addresses: {error}")))
}

fn list() -> Result<Vec<LocalAddress>, KernelError> {
    let mut connection = Connection::open()?;
    let links = connection.links()?;
    let addresses = connection.addresses()?;
    let interface =
        |index: u32| links.iter().find(|link| link.index == index && link.is_up && link.name != engine::BRIDGE);
    Ok(addresses
        .into_iter()
        .filter_map(|address| {
            let link = interface(address.link)?;
            Some(LocalAddress { interface: link.name.clone(), addr: address.prefix.address })
        })
        .collect())
}

/// The address of this host that packets to another host leave from. Sends nothing.
pub(crate) fn towards(remote: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if remote.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(remote).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip())
}
