//! The networks of a node that operators make: each a bridge of its own, known by a document that outlives the agent.
//!
//! ```text
//! request ── plan ──> LocalNetwork ── on the disk ──> bridge stands ──> endpoints of containers
//!                     <root>/networks/<id>.json       link sw-<id>, table swarmd-sw-<id>
//! removed: the bridge (refused while a container is in it) ──> the document
//! ```
//! What a crash leaves between two steps is a network that nobody was told of, or one that is still there. Bridges without
//! a document are taken away when the engine opens.

mod directory;
mod plan;
mod prune;
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use links::Prefix;
use model::NodeNetwork;
use network::{Addresses, BridgeSettings, NetworkError, Subnet};
use serde::{Deserialize, Serialize};

pub(crate) use self::directory::{Directory, Entry};
pub use self::plan::{NetworkRequest, RangeRequest};
pub use self::prune::NetworkFilter;
pub use self::registry::Networks;
use crate::document::FileFailure;

/// The option that names a network's link.
const LINK: &str = "com.docker.network.bridge.name";
/// The option for the length of the longest packet.
const LONGEST_PACKET: &str = "com.docker.network.driver.mtu";
/// The option that says whether what leaves the network leaves under the host's address.
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
/// How much of a network's id is in the name of its link.
const LINK_ID: usize = 12;

/// Why something could not be done with a network. Docker's words.
#[derive(Debug, thiserror::Error)]
pub enum LocalNetworkError {
    /// There is none of this name or id.
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    /// Several ids begin so.
    #[error("network {0} is ambiguous: several ids begin so")]
    Ambiguous(String),
    /// There is one of this name.
    #[error("network with name {0} already exists")]
    Exists(String),
    /// Nobody does so: it is what every node has by itself, or a container is, or is not, in it.
    #[error("{0}")]
    Refused(String),
    /// Containers are in it.
    #[error("error while removing network: network {name} id {id} has active endpoints ({containers})")]
    InUse {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
        /// The containers, with commas between.
        containers: String,
    },
    /// It shares addresses with another network.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlaps,
    /// No network can be like this.
    #[error("{0}")]
    Invalid(String),
    /// There is no such driver.
    #[error("could not find plugin {0} in v1 plugin registry: plugin not found")]
    NoSuchDriver(String),
    /// Docker offers it, this node does not.
    #[error("{0}")]
    NotOffered(String),
    /// The kernel did not do as asked.
    #[error("failed to change the networks of this host")]
    Host(#[from] NetworkError),
    /// The file system did not do as asked.
    #[error(transparent)]
    File(#[from] FileFailure),
}

/// A network that an operator made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalNetwork {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Its name, which stays.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it has no way out.
    pub is_internal: bool,
    /// Whether containers may join it by hand; of no meaning on one node, and shown.
    pub is_attachable: bool,
    /// The driver's options.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its addresses.
    pub addresses: LocalAddresses,
}

/// The addresses of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalAddresses {
    /// Its range, and the host's address in it.
    pub subnet: Subnet,
    /// Whether an operator chose the range: then containers may choose their addresses.
    pub is_chosen: bool,
    /// The part of the range that containers get addresses of, as text.
    #[serde(default)]
    pub range: Option<String>,
    /// Addresses that no container gets, by name.
    #[serde(default)]
    pub auxiliary: BTreeMap<String, Ipv4Addr>,
    /// Options of the driver that gives addresses. Kept and shown.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl LocalNetwork {
    /// The name of its link.
    pub fn link(&self) -> String {
        self.options.get(LINK).cloned().unwrap_or_else(|| format!("sw-{}", self.id.get(..LINK_ID).unwrap_or(&self.id)))
    }

    /// What its bridge is to be.
    fn bridge(&self) -> BridgeSettings {
        let addresses = &self.addresses;
        let range: Option<Prefix> = addresses.range.as_ref().and_then(|range| range.parse().ok());
        let auxiliary: BTreeSet<Ipv4Addr> = addresses.auxiliary.values().copied().collect();
        BridgeSettings {
            network: self.name.clone(),
            link: self.link(),
            addresses: Some(Addresses { subnet: addresses.subnet, range, auxiliary }),
            is_internal: self.is_internal,
            masquerades: self.options.get(MASQUERADE).is_none_or(|text| plan::flag(text) != Some(false)),
            longest_packet: self.options.get(LONGEST_PACKET).and_then(|text| text.parse().ok()),
        }
    }
}

/// A network of a node: one that every node has by itself, or one that an operator made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Every node has it.
    Node(NodeNetwork),
    /// An operator made it.
    Local(LocalNetwork),
}

impl Network {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Node(network) => network.id(),
            Self::Local(network) => &network.id,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Node(network) => network.name(),
            Self::Local(network) => &network.name,
        }
    }

    /// Docker's word for who makes it.
    pub fn driver(&self) -> &'static str {
        match self {
            Self::Node(network) => network.driver(),
            Self::Local(_) => NodeNetwork::Bridge.driver(),
        }
    }
}
