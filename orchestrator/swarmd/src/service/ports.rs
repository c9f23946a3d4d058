//! Who holds a port of this host: from `/proc/net` and the files that processes hold open.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};

use crate::process;

/// The ports an agent needs: control, gossip, VXLAN, Engine API.
pub(crate) const NEEDED: [(u16, Transport); 5] = [
    (model::CONTROL_PORT, Transport::Tcp),
    (model::GOSSIP_PORT, Transport::Udp),
    (model::GOSSIP_PORT, Transport::Tcp),
    (model::DATA_PATH_PORT, Transport::Udp),
    (model::API_PORT, Transport::Tcp),
];

/// The state of a listening TCP socket in `/proc/net/tcp`.
const TCP_LISTEN: &str = "0A";

/// The protocols whose ports are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// TCP: only sockets that listen count.
    Tcp,
    /// UDP: every bound socket counts.
    Udp,
}

impl Transport {
    /// As it is written after a port (`2377/tcp`).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A process.
    Process {
        /// Its name.
        name: String,
        /// Its number.
        pid: u32,
    },
    /// The kernel itself, as for a VXLAN link.
    Kernel,
    /// A process that is not to be seen from here.
    Hidden,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { name, pid } => write!(formatter, "`{name}` (pid {pid})"),
            Self::Kernel => formatter.write_str("the kernel (a VXLAN link?)"),
            Self::Hidden => formatter.write_str("a process of another namespace"),
        }
    }
}

/// Who holds a port; `None` where it is free.
///
/// The kernel's tables are read only where the port cannot be had: reading them takes milliseconds.
pub(crate) fn holder_of(port: u16, transport: Transport) -> Option<Holder> {
    if is_free(port, transport) {
        return None;
    }
    let tables = match transport {
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let inode = tables
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| inode_of(&table, port, transport))?;
    Some(if inode == 0 { Holder::Kernel } else { process_with(inode) })
}

/// Whether a port can be had, in both families. A host may lack one of them.
fn is_free(port: u16, transport: Transport) -> bool {
    let families: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
    families.into_iter().all(|address| {
        let bound = match transport {
            Transport::Tcp => TcpListener::bind((address, port)).map(drop),
            Transport::Udp => UdpSocket::bind((address, port)).map(drop),
        };
        bound.err().is_none_or(|error| error.kind() != io::ErrorKind::AddrInUse)
    })
}

/// The inode of the socket that holds a port, in a table of `/proc/net`.
fn inode_of(table: &str, port: u16, transport: Transport) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (_, local_port) = fields.next()?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        let is_held =
            u16::from_str_radix(local_port, 16).ok()? == port && (transport == Transport::Udp || state == TCP_LISTEN);
        is_held.then(|| inode.parse().ok()).flatten()
    })
}

/// The process that has the socket with this inode open.
fn process_with(inode: u64) -> Holder {
    let target = format!("socket:[{inode}]");
    let holds = |pid: &u32| {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|entries| {
            entries.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == &*target))
        })
    };
    match process::all_pids().into_iter().find(holds) {
        Some(pid) => Holder::Process { name: process::name_of(pid).unwrap_or_else(|| "?".to_owned()), pid },
        None => Holder::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:0949 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
        \x20  1: 0100007F:0947 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1\n";

    #[test]
    fn a_listening_socket_holds_its_port() {
        assert_eq!(inode_of(TABLE, 2377, Transport::Tcp), Some(4711));
    }

    #[test]
    fn a_connection_does_not_hold_its_local_port() {
        assert_eq!(inode_of(TABLE, 2375, Transport::Tcp), None);
    }

    #[test]
    fn the_process_behind_a_listening_socket_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();

        let holder = holder_of(port, Transport::Tcp);

        let pid = std::process::id();
        assert_eq!(holder, Some(Holder::Process { name: process::name_of(pid).unwrap(), pid }));
    }

    #[test]
    fn a_port_that_is_held_on_one_address_is_not_free() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A host may lack IPv6.
            let Ok(socket) = UdpSocket::bind(address) else { continue };
            let listener = TcpListener::bind(address).unwrap();

            assert!(!is_free(socket.local_addr().unwrap().port(), Transport::Udp), "{address}");
            assert!(!is_free(listener.local_addr().unwrap().port(), Transport::Tcp), "{address}");
        }
    }

    #[test]
    fn a_port_is_free_again_once_its_socket_is_closed() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(holder_of(port, Transport::Udp).is_some());

        drop(socket);

        assert_eq!(holder_of(port, Transport::Udp), None);
    }
}
