//! The sockets that a container's questions arrive at: in its network namespace, at ports that the kernel gives.
//!
//! Port 53 stays the container's own, which may be a name server itself: the namespace's packet filter leads what is for
//! port 53 of our address alone to the ports that were given.

use std::io;
use std::net::{IpAddr, SocketAddrV4, TcpListener, UdpSocket};

use links::nft::{self, Chain, Family, Hook, Policy, Rule, Ruleset};
use links::{KernelError, Prefix, Process, namespace};

use crate::ADDRESS;

/// The port of name servers.
const PORT: u16 = 53;
/// The name of our table in the network namespaces of containers.
const TABLE: &str = "swarmd-resolver";

/// Why a container has no name server.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The kernel did not do as asked.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A socket could not be used.
    #[error("failed to {action} the name server of a container")]
    Socket {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl ResolverError {
    pub(crate) fn at(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Socket { action, source }
    }
}

/// The sockets of a container's name server.
#[derive(Debug)]
pub struct Sockets {
    pub(crate) datagrams: UdpSocket,
    pub(crate) streams: TcpListener,
}

impl Sockets {
    /// Opens the sockets in the network namespace of a process, whose loopback is up, and has questions arrive there. Those
    /// of an earlier process get none any more. Blocks.
    pub fn open_inside(process: &Process) -> Result<Self, ResolverError> {
        namespace::inside_network(process, Self::open)?
    }

    fn open() -> Result<Self, ResolverError> {
        let open = || -> io::Result<(Self, u16, u16)> {
            let datagrams = UdpSocket::bind((ADDRESS, 0))?;
            let streams = TcpListener::bind((ADDRESS, 0))?;
            datagrams.set_nonblocking(true)?;
            streams.set_nonblocking(true)?;
            let ports = (datagrams.local_addr()?.port(), streams.local_addr()?.port());
            Ok((Self { datagrams, streams }, ports.0, ports.1))
        };
        let (sockets, datagrams, streams) = open().map_err(ResolverError::at("open"))?;
        nft::replace(&ruleset(datagrams, streams))?;
        Ok(sockets)
    }
}

/// The table that leads questions to these ports.
fn ruleset(datagrams: u16, streams: u16) -> Ruleset {
    let ours = Prefix { address: IpAddr::V4(ADDRESS), length: 32 };
    let rules = vec![
        Rule::new().destination_within(ours).udp_to(PORT).redirect_to(SocketAddrV4::new(ADDRESS, datagrams)),
        Rule::new().destination_within(ours).tcp_to(PORT).redirect_to(SocketAddrV4::new(ADDRESS, streams)),
    ];
    let chain = Chain { name: "output".to_owned(), hook: Hook::Output, policy: Policy::Accept, rules };
    Ruleset { family: Family::Ip, name: TABLE.to_owned(), sets: Vec::new(), chains: vec![chain] }
}
