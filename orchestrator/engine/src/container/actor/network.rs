//! A container's places in its networks: taken before it is made, joined before its program begins, given back when it has
//! ended. And the network of another container that it joins.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use links::Process;
use model::with_causes;
use network::{Bridge, Endpoint, EndpointRequest, PortRequest};
use runtime::Container;

use super::Actor;
use crate::container::asker::linked;
use crate::container::{Attachment, ContainerError, ContainerRecord};
use crate::document::blocking;
use crate::local_network::LocalNetworkError;
use crate::settings::{self, InvalidSettings, NetworkMode, Position};

/// What a container needs of the node's networks to be made.
#[derive(Debug, Clone, Default)]
pub(super) struct Networking {
    /// Its places in networks, by their ids.
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    /// The container whose network it joins.
    pub(super) joined: Option<Joined>,
}

/// The container whose network another one joins.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    /// Its network namespace.
    pub(super) namespace: PathBuf,
    /// The folder of its own files of `/etc`, which both have.
    pub(super) folder: PathBuf,
}

/// Where a container of these endpoints is in its networks, and what it is called there.
pub(super) fn position(record: &ContainerRecord, endpoints: &BTreeMap<String, Endpoint>) -> Option<Position> {
    let in_order = in_order(endpoints);
    let first = in_order.first()?;
    let gateway = in_order.iter().find(|endpoint| endpoint.leads_out).unwrap_or(first).gateway;
    let (name, domain) = (&record.config.hostname, &record.config.domainname);
    let names = if domain.is_empty() { name.clone() } else { format!("{name}.{domain} {name}") };
    let addresses = in_order.iter().map(|endpoint| endpoint.address).collect();
    Some(Position { addresses, gateway: Some(gateway), names })
}

/// The endpoints in the order of their links.
fn in_order(endpoints: &BTreeMap<String, Endpoint>) -> Vec<&Endpoint> {
    let mut in_order: Vec<&Endpoint> = endpoints.values().collect();
    in_order.sort_by(|one, other| (one.link.len(), &one.link).cmp(&(other.link.len(), &other.link)));
    in_order
}

/// The lowest name of a link that none of these endpoints has.
fn free_link(endpoints: &BTreeMap<String, Endpoint>) -> String {
    let is_free = |name: &String| endpoints.values().all(|endpoint| endpoint.link != *name);
    // One more than there are endpoints.
    let mut names = (0..=endpoints.len()).map(|number| format!("eth{number}"));
    names.find(is_free).expect("there are more names than endpoints")
}

impl Actor {
    /// Finds what the container needs of the node's networks. Its places are on the disk before they are used.
    pub(super) async fn find_networking(&mut self, record: &ContainerRecord) -> Result<Networking, ContainerError> {
        if let NetworkMode::Container(other) = NetworkMode::of(&record.config, &record.host_config)? {
            return Ok(Networking { endpoints: BTreeMap::new(), joined: Some(self.find_joined(&other)?) });
        }
        let attachments = self.find_networks(record)?;
        if attachments.is_empty() {
            return Ok(Networking::default());
        }
        self.check_links(record, &attachments)?;
        let mut ports = settings::ports(&record.config, &record.host_config)?;
        let way_out = self.way_out(&attachments)?;
        let outcome = async {
            for attachment in &attachments {
                let leads_out = way_out.as_ref() == Some(&attachment.network);
                let ports = if leads_out { std::mem::take(&mut ports) } else { Vec::new() };
                self.reserve(attachment, ports, leads_out).await?;
            }
            Ok(())
        };
        let outcome: Result<(), ContainerError> = outcome.await;
        self.cell.set_state(self.state.clone());
        // What is not there after a crash would be given to somebody else.
        let written = self.state.write(&self.cell.folder);
        outcome?;
        written?;
        Ok(Networking { endpoints: self.state.endpoints.clone(), joined: None })
    }

    /// Finds the networks that it is to be in. One that was made anew by the same name takes the place of the one before.
    fn find_networks(&self, record: &ContainerRecord) -> Result<Vec<Attachment>, ContainerError> {
        let mut attachments = record.attachments().into_owned();
        let mut has_changed = false;
        for attachment in &mut attachments {
            if self.shared.networks.bridge_of(&attachment.network).is_some() {
                continue;
            }
            let found = self.shared.networks.find(&attachment.name)?;
            if found.name() != attachment.name {
                return Err(LocalNetworkError::NoSuchNetwork(attachment.name.clone()).into());
            }
            found.id().clone_into(&mut attachment.network);
            has_changed = true;
        }
        if has_changed {
            self.keep_attachments(record, attachments.clone())?;
        }
        Ok(attachments)
    }

    /// Refuses a start while a container does not run that this one is linked to in the node's own bridge.
    fn check_links(&self, record: &ContainerRecord, attachments: &[Attachment]) -> Result<(), ContainerError> {
        for attachment in attachments.iter().filter(|attachment| attachment.is_of_node()) {
            for link in &attachment.links {
                let (target, name) = linked(link);
                let cell = self.shared.registry.find(target)?;
                if !cell.state().endpoints.contains_key(&attachment.network) {
                    let (target, own) = (&cell.record().name, &record.name);
                    let words = format!("Cannot link to a non running container: /{target} AS /{own}/{name}");
                    return Err(ContainerError::Conflict(words));
                }
            }
        }
        Ok(())
    }

    /// Of the networks with a way out, the one that the container goes by.
    pub(super) fn way_out(&self, attachments: &[Attachment]) -> Result<Option<String>, ContainerError> {
        let mut open = Vec::new();
        for attachment in attachments {
            if !self.bridge_of(attachment)?.settings().is_internal {
                open.push(attachment);
            }
        }
        let best = open.into_iter().min_by_key(|attachment| (Reverse(attachment.gateway_priority), &attachment.name));
        Ok(best.map(|attachment| attachment.network.clone()))
    }

    pub(super) fn bridge_of(&self, attachment: &Attachment) -> Result<Arc<Bridge>, ContainerError> {
        let bridge = self.shared.networks.bridge_of(&attachment.network);
        Ok(bridge.ok_or_else(|| LocalNetworkError::NoSuchNetwork(attachment.name.clone()))?)
    }

    /// Takes a place in a network, in memory alone.
    pub(super) async fn reserve(
        &mut self,
        attachment: &Attachment,
        ports: Vec<PortRequest>,
        leads_out: bool,
    ) -> Result<Endpoint, ContainerError> {
        let request = EndpointRequest {
            id: self.shared.draw(crate::hex_id),
            name: self.cell.record().name.clone(),
            hardware_address: attachment.hardware_address,
            address: attachment.address,
            ports,
            link: free_link(&self.state.endpoints),
            leads_out,
        };
        let (bridge, id) = (self.bridge_of(attachment)?, self.cell.id.clone());
        let endpoint = blocking(move || bridge.reserve(&id, &request)).await?;
        self.state.endpoints.insert(attachment.network.clone(), endpoint.clone());
        Ok(endpoint)
    }

    fn find_joined(&self, other: &str) -> Result<Joined, ContainerError> {
        let cell = self.shared.registry.find(other)?;
        let state = cell.state();
        if cell.id == self.cell.id {
            return Err(InvalidSettings::new("cannot join own network").into());
        }
        if !state.status.has_process() {
            let words = format!("cannot join network of a non running container: {}", cell.id);
            return Err(ContainerError::Conflict(words));
        }
        let namespace = PathBuf::from(format!("/proc/{}/ns/net", state.pid));
        Ok(Joined { namespace, folder: cell.folder.clone() })
    }

    /// Joins a container that has been made, and whose program has not begun, to its networks.
    pub(super) async fn connect(&mut self, container: &Container) -> Result<(), ContainerError> {
        let init = container.state()?.init;
        let process = Process { pid: init.pid, started: init.started };
        let record = self.cell.record();
        for attachment in record.attachments().iter() {
            self.connect_to(attachment, process).await?;
        }
        self.serve_names(process).await
    }

    /// Joins a process to a network in which the container has a place.
    pub(super) async fn connect_to(&mut self, attachment: &Attachment, process: Process) -> Result<(), ContainerError> {
        let (bridge, id) = (self.bridge_of(attachment)?, self.cell.id.clone());
        blocking(move || bridge.connect(&id, &process)).await?;
        self.enter_names();
        self.tell_network("connect", &attachment.network);
        Ok(())
    }

    /// Gives its places in networks back. What stays is given back at the next end, or by the next engine.
    pub(super) async fn disconnect(&mut self) {
        self.leave_names();
        self.name_server.shutdown().await;
        for network in self.state.endpoints.keys().cloned().collect::<Vec<_>>() {
            if let Err(error) = self.release(&network).await {
                let error = with_causes(&error);
                tracing::warn!(container = %self.cell.id, error, "a container's place in a network is not free yet");
            }
        }
    }

    /// Gives its place in a network back, with the ports that lead there.
    pub(super) async fn release(&mut self, network: &str) -> Result<network::PortHold, ContainerError> {
        self.shared.networks.directory().leave(network, &self.cell.id);
        let Some(bridge) = self.shared.networks.bridge_of(network) else {
            // Networks are there as long as a container is in them.
            self.update(|state| drop(state.endpoints.remove(network)));
            return Err(LocalNetworkError::NoSuchNetwork(network.to_owned()).into());
        };
        let id = self.cell.id.clone();
        let ports = blocking(move || bridge.release(&id)).await?;
        self.update(|state| drop(state.endpoints.remove(network)));
        self.tell_network("disconnect", network);
        Ok(ports)
    }

    fn tell_network(&self, action: &str, network: &str) {
        if let Ok(network) = self.shared.networks.find(network) {
            self.shared.networks.tell(action, &network, Some(&self.cell.id));
        }
    }
}
