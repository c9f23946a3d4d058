//! Ports of the host that lead to containers. Each is bound by a socket of ours as long as its container has it, so that
//! the kernel refuses it to everybody else.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;

use crate::{PortError, Protocol, PublishedPort};

/// The ports that are given where none was asked for: the kernel's default for outgoing connections, as in Docker.
const DYNAMIC: RangeInclusive<u16> = 32768..=60999;

/// A port of a container that is to be reached from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRequest {
    /// The container's port.
    pub target_port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The address of the host; unspecified for all of them.
    pub host_address: IpAddr,
    /// The ports of the host of which one is wanted; any where `None`.
    pub host_ports: Option<RangeInclusive<u16>>,
}

/// A port of the host that is ours as long as this lives.
#[derive(Debug)]
#[expect(dead_code, reason = "sockets are held, not used")]
pub(crate) enum Reservation {
    /// Listens, because two that only are bound may share a port.
    Tcp(TcpListener),
    /// Bound.
    Udp(UdpSocket),
}

impl Reservation {
    /// Takes a port; an error of the kernel where somebody has it.
    pub(crate) fn of(port: &PublishedPort) -> io::Result<Self> {
        match port.protocol {
            Protocol::Tcp => TcpListener::bind(port.host()).map(Self::Tcp),
            Protocol::Udp => UdpSocket::bind(port.host()).map(Self::Udp),
        }
    }
}

/// Finds and takes a port for a request. `others` are the ports that other containers have; `next` is where the search
/// for any port begins, and is moved on.
pub(crate) fn reserve(
    request: &PortRequest,
    others: &[PublishedPort],
    next: &mut u16,
) -> Result<(PublishedPort, Reservation), PortError> {
    let named = request.host_ports.clone();
    let port = |host_port: u16| PublishedPort {
        target_port: request.target_port,
        protocol: request.protocol,
        host_address: request.host_address,
        host_port,
    };
    let only = named.as_ref().filter(|range| range.start() == range.end()).map(|range| *range.start());
    if let Some(host_port) = only {
        return take(port(host_port), others);
    }
    let first = *next;
    let wanted: Box<dyn Iterator<Item = u16>> = match named {
        Some(range) => Box::new(range),
        None => Box::new((first..=*DYNAMIC.end()).chain(*DYNAMIC.start()..first)),
    };
    for host_port in wanted {
        match take(port(host_port), others) {
            Ok(taken) => {
                if request.host_ports.is_none() {
                    *next = if host_port >= *DYNAMIC.end() { *DYNAMIC.start() } else { host_port + 1 };
                }
                return Ok(taken);
            }
            Err(PortError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
            Err(PortError::Allocated(_)) => {}
            Err(error @ (PortError::Bind { .. } | PortError::AllAllocated)) => return Err(error),
        }
    }
    Err(PortError::AllAllocated)
}

/// Where the search for any port begins at first.
pub(crate) const FIRST_DYNAMIC: u16 = *DYNAMIC.start();

fn take(port: PublishedPort, others: &[PublishedPort]) -> Result<(PublishedPort, Reservation), PortError> {
    if others.iter().any(|other| is_same(other, &port)) {
        return Err(PortError::Allocated(port.host()));
    }
    match Reservation::of(&port) {
        Ok(reservation) => Ok((port, reservation)),
        Err(source) => Err(PortError::Bind { address: port.host(), protocol: port.protocol, source }),
    }
}

/// Whether a packet could be for both.
fn is_same(one: &PublishedPort, other: &PublishedPort) -> bool {
    let (first, second): (SocketAddr, SocketAddr) = (one.host(), other.host());
    one.protocol == other.protocol
        && first.port() == second.port()
        && first.is_ipv4() == second.is_ipv4()
        && (first.ip() == second.ip() || first.ip().is_unspecified() || second.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn request(host_ports: Option<RangeInclusive<u16>>) -> PortRequest {
        PortRequest { target_port: 80, protocol: Protocol::Tcp, host_address: LOOPBACK, host_ports }
    }

    #[test]
    fn a_port_that_a_container_or_a_process_has_is_refused_in_dockers_words() {
        let taken = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let number = taken.local_addr().unwrap().port();
        let other = PublishedPort {
            target_port: 1,
            protocol: Protocol::Tcp,
            host_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            host_port: number,
        };
        let refusal = |others: &[PublishedPort]| {
            reserve(&request(Some(number..=number)), others, &mut FIRST_DYNAMIC.clone()).unwrap_err().to_string()
        };

        assert_eq!(refusal(&[other]), format!("Bind for 127.0.0.1:{number} failed: port is already allocated"));
        assert_eq!(refusal(&[]), format!("failed to bind host port 127.0.0.1:{number}/tcp"));
        let udp = PublishedPort { protocol: Protocol::Udp, ..other };
        assert!(!is_same(&udp, &other));
    }

    #[test]
    fn any_port_is_another_one_each_time_and_a_range_ends() {
        let mut next = FIRST_DYNAMIC;

        let (one, _held) = reserve(&request(None), &[], &mut next).unwrap();
        let (other, _held_too) = reserve(&request(None), &[one], &mut next).unwrap();
        let range = one.host_port..=one.host_port;
        let wide = PortRequest { host_ports: Some(one.host_port..=one.host_port + 1), ..request(Some(range)) };
        let others = [one, PublishedPort { host_port: one.host_port + 1, ..one }];
        let none = reserve(&wide, &others, &mut next).unwrap_err();

        assert!(DYNAMIC.contains(&one.host_port) && one.host_port < other.host_port);
        assert_eq!(none.to_string(), "all ports are allocated");
    }
}
