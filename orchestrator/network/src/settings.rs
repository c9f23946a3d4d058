//! What a bridge is to be: its link, its addresses, and who is reached from it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use links::Prefix;

use crate::link::BRIDGE;
use crate::pool::Subnet;
use crate::rules::TABLE;

/// What a bridge is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSettings {
    /// The network's name, for messages.
    pub network: String,
    /// The name of its link: at most 15 bytes.
    pub link: String,
    /// The addresses that it has; `None` for the node's own bridge, which takes a range that is free when it is needed.
    pub addresses: Option<Addresses>,
    /// Whether nothing outside of it is reached from it, and nothing in it from outside.
    pub is_internal: bool,
    /// Whether what leaves it leaves under the host's address.
    pub masquerades: bool,
    /// The length of its longest packet in bytes; the kernel's default where `None`.
    pub longest_packet: Option<u32>,
}

/// The addresses of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Its range, and the host's address in it.
    pub subnet: Subnet,
    /// The part of the range that containers get addresses of; all of it where `None`.
    pub range: Option<Prefix>,
    /// Addresses that no container gets.
    pub auxiliary: BTreeSet<Ipv4Addr>,
}

impl BridgeSettings {
    /// The bridge that every node has by itself.
    pub fn of_node() -> Self {
        Self {
            network: "bridge".to_owned(),
            link: BRIDGE.to_owned(),
            addresses: None,
            is_internal: false,
            masquerades: true,
            longest_packet: None,
        }
    }

    /// Whether it is the one that every node has by itself.
    pub(crate) fn is_of_node(&self) -> bool {
        self.link == BRIDGE
    }

    /// Its table of the packet filter.
    pub(crate) fn table(&self) -> String {
        if self.is_of_node() { TABLE.to_owned() } else { table_of(&self.link) }
    }
}

/// The table of a bridge other than the node's own.
pub(crate) fn table_of(link: &str) -> String {
    format!("swarmd-{link}")
}
