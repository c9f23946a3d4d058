//! A container's place in the node's bridge: taken before it is made, joined before its program begins, given back when it
//! has ended. And the network of another container that it joins.

use std::path::PathBuf;
use std::sync::Arc;

use links::Process;
use model::with_causes;
use network::{Endpoint, EndpointRequest};
use runtime::Container;

use super::Actor;
use crate::container::{ContainerError, ContainerRecord};
use crate::document::blocking;
use crate::settings::{self, InvalidSettings, NetworkMode, Position};

/// What a container needs of the node's networks to be made.
#[derive(Debug, Clone, Default)]
pub(super) struct Networking {
    /// Its place in the bridge.
    pub(super) endpoint: Option<Endpoint>,
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

impl Networking {
    /// Where the container is in the bridge, and what it is called there.
    pub(super) fn position(&self, record: &ContainerRecord) -> Option<Position> {
        let endpoint = self.endpoint.as_ref()?;
        let (name, domain) = (&record.config.hostname, &record.config.domainname);
        let names = if domain.is_empty() { name.clone() } else { format!("{name}.{domain} {name}") };
        Some(Position { address: endpoint.address, gateway: endpoint.gateway, names })
    }
}

impl Actor {
    /// Finds what the container needs of the node's networks. A place in the bridge is on the disk before it is used.
    pub(super) async fn find_networking(&mut self, record: &ContainerRecord) -> Result<Networking, ContainerError> {
        match NetworkMode::of(&record.config, &record.host_config)? {
            NetworkMode::Container(other) => Ok(Networking { endpoint: None, joined: Some(self.find_joined(&other)?) }),
            mode if mode == NetworkMode::BRIDGE => {
                let endpoint = self.reserve(record).await?;
                Ok(Networking { endpoint: Some(endpoint), joined: None })
            }
            NetworkMode::Node(_) => Ok(Networking::default()),
        }
    }

    async fn reserve(&mut self, record: &ContainerRecord) -> Result<Endpoint, ContainerError> {
        let request = EndpointRequest {
            id: self.shared.draw(crate::hex_id),
            name: record.name.clone(),
            hardware_address: settings::hardware_address(&record.config, record.networking_config.as_ref())?,
            ports: settings::ports(&record.config, &record.host_config)?,
        };
        let (bridge, id) = (Arc::clone(&self.shared.bridge), self.cell.id.clone());
        let endpoint = blocking(move || bridge.reserve(&id, &request)).await?;
        self.update(|state| state.endpoint = Some(endpoint.clone()));
        // What is not there after a crash would be given to somebody else.
        self.state.write(&self.cell.folder)?;
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

    /// Joins a container that has been made, and whose program has not begun, to the bridge.
    pub(super) async fn connect(&mut self, container: &Container) -> Result<(), ContainerError> {
        let init = container.state()?.init;
        let process = Process { pid: init.pid, started: init.started };
        let (bridge, id) = (Arc::clone(&self.shared.bridge), self.cell.id.clone());
        blocking(move || bridge.connect(&id, &process)).await?;
        self.shared.tell_network("connect", &self.cell.id);
        Ok(())
    }

    /// Gives its place in the bridge back. What stays is given back at the next end, or by the next engine.
    pub(super) async fn disconnect(&mut self) {
        if self.state.endpoint.is_none() {
            return;
        }
        let (bridge, id) = (Arc::clone(&self.shared.bridge), self.cell.id.clone());
        match blocking(move || bridge.release(&id)).await {
            Ok(()) => {
                self.update(|state| state.endpoint = None);
                self.shared.tell_network("disconnect", &self.cell.id);
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(container = %self.cell.id, error, "a container's place in the bridge is not free yet");
            }
        }
    }
}
