//! Why a container could not be put into its network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use links::KernelError;

use crate::Protocol;

/// Why a container could not be put into its network. Docker's words, where it has some.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel did not do as asked.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Every address of a network is in use.
    #[error("no available IPv4 addresses on this network's address pools: {0}")]
    NoAddress(String),
    /// The address that was asked for is another container's, or the network's own.
    #[error("Address already in use")]
    AddressInUse(Ipv4Addr),
    /// The network has no such address.
    #[error("invalid address {0}: no configured subnet or ip-range contain the IP address")]
    NoSuchAddress(Ipv4Addr),
    /// The network was removed.
    #[error("network {0} not found")]
    Gone(String),
    /// Every range that a bridge may have is in use on this host.
    #[error(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
    )]
    NoSubnet,
    /// The bridge is somebody else's: another engine's, with containers in it, or a link that is not ours to take.
    #[error("the link `{0}` of this host belongs to somebody else")]
    Foreign(String),
    /// The container is in no network.
    #[error("the container has no endpoint")]
    NoEndpoint,
    /// Its ports could not be published.
    #[error("driver failed programming external connectivity on endpoint {name} ({endpoint})")]
    Ports {
        /// The container's name.
        name: String,
        /// The endpoint's id.
        endpoint: String,
        /// Why.
        #[source]
        source: PortError,
    },
    /// The host's settings before ours could not be kept.
    #[error("failed to {action} `{}`", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// Why a port of the host cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another container has it.
    #[error("Bind for {0} failed: port is already allocated")]
    Allocated(SocketAddr),
    /// Another process has it, or the host does not have the address.
    #[error("failed to bind host port {address}/{protocol}")]
    Bind {
        /// The port.
        address: SocketAddr,
        /// Its protocol.
        protocol: Protocol,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// None of a range is free.
    #[error("all ports are allocated")]
    AllAllocated,
}
