//! What names mean to one container: others in its networks, and whom else its name server asks.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use model::NodeNetwork;
use resolver::Names;

use crate::local_network::{Entry, Networks};
use crate::settings;

use super::{Attachment, ContainerRecord, ContainerState};

/// Where the host names its name servers.
const HOST_SERVERS: &str = "/etc/resolv.conf";

/// A container that asks for names.
#[derive(Debug)]
pub(super) struct Asker {
    networks: Networks,
    container: String,
    /// The name servers that it was given; the host's where there are none.
    servers: Vec<String>,
}

impl Asker {
    pub(super) fn new(networks: Networks, record: &ContainerRecord) -> Self {
        Self { networks, container: record.id.clone(), servers: record.host_config.dns.clone() }
    }
}

impl Names for Asker {
    fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.networks.directory().addresses_of(&self.container, name)
    }

    fn name_of(&self, address: IpAddr) -> Option<String> {
        self.networks.directory().name_of(&self.container, address)
    }

    fn servers(&self) -> Vec<SocketAddr> {
        if !self.networks.directory().leads_out(&self.container) {
            // Whoever is kept in gets nothing out by asking for names either.
            return Vec::new();
        }
        settings::servers(&self.servers, &fs::read_to_string(HOST_SERVERS).unwrap_or_default())
    }
}

/// Enters a container in the directory of the networks in which it has a place.
pub(super) fn enter_names(networks: &Networks, record: &ContainerRecord, state: &ContainerState) {
    for attachment in record.attachments().iter() {
        let Some(endpoint) = state.endpoints.get(&attachment.network) else { continue };
        let lower = |names: Vec<String>| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let entry = Entry {
            names: lower(attachment.dns_names(record)),
            address: endpoint.address,
            links: attachment.links.iter().map(|link| link_of(link)).collect(),
            leads_out: endpoint.leads_out,
        };
        networks.directory().enter(&attachment.network, &attachment.name, &record.id, entry);
    }
}

/// The name that a link gives, and the one that it stands for.
fn link_of(link: &str) -> (String, String) {
    let (target, name) = linked(link);
    (name.to_ascii_lowercase(), target.to_ascii_lowercase())
}

/// Reads `container:name`; `container` alone is its name, too.
pub(super) fn linked(link: &str) -> (&str, &str) {
    let (target, name) = link.split_once(':').unwrap_or((link, link));
    (target.trim_start_matches('/'), name.trim_start_matches('/'))
}

impl Attachment {
    /// Whether the container finds others by name in the network: all of them, or those that it is linked to.
    pub(super) fn has_names(&self) -> bool {
        !self.is_of_node() || !self.links.is_empty()
    }

    /// Whether it is in the node's own bridge.
    pub fn is_of_node(&self) -> bool {
        NodeNetwork::find(&self.network).is_some()
    }
}
