//! Networks as operators change them: made, joined by containers, left, removed. What was begun is done to its end.

use model::NodeNetwork;

use super::actor::Command;
use super::attachment::beside;
use super::{Attachment, ContainerError, Containers, EndpointSettings};
use crate::local_network::{LocalNetwork, Network, NetworkFilter, NetworkRequest};
use crate::settings::{InvalidSettings, NetworkMode};

/// Docker's words for a network that nobody joins or leaves by hand.
const HOSTS_OWN: &str = "container cannot be disconnected from host network or connected to host network";

impl Containers {
    /// Makes a network. On return it stands.
    pub async fn create_network(&self, request: NetworkRequest) -> Result<LocalNetwork, ContainerError> {
        let networks = self.shared.networks.clone();
        let id = self.shared.draw(crate::hex_id);
        self.owned(async move { Ok(networks.create(id, request).await?) }).await
    }

    /// Removes a network. Refused while a container is in it, and for those that every node has by itself.
    pub async fn remove_network(&self, network: &str) -> Result<(), ContainerError> {
        let (networks, network) = (self.shared.networks.clone(), network.to_owned());
        self.owned(async move { Ok(networks.remove(&network).await?) }).await
    }

    /// Removes the networks that no container is in and the filter allows; their names.
    pub async fn prune_networks(&self, filter: NetworkFilter) -> Result<Vec<String>, ContainerError> {
        let networks = self.shared.networks.clone();
        self.owned(async move { Ok(networks.prune(&filter).await?) }).await
    }

    /// Puts a container into a network: at once where it runs, else from when it is started.
    pub async fn join_network(
        &self,
        network: &str,
        container: &str,
        settings: &EndpointSettings,
    ) -> Result<(), ContainerError> {
        let network = self.shared.networks.find(network)?;
        let cell = self.cell(container)?;
        check(&network)?;
        let attachment = Attachment::new(&network, settings)?;
        cell.ask(|reply| Command::Join(Box::new(attachment), reply)).await
    }

    /// Takes a container out of a network: at once where it runs.
    pub async fn leave_network(&self, network: &str, container: &str) -> Result<(), ContainerError> {
        let network = self.shared.networks.find(network)?;
        let cell = self.cell(container)?;
        check(&network)?;
        let (id, name) = (network.id().to_owned(), network.name().to_owned());
        cell.ask(|reply| Command::Leave(id, name, reply)).await
    }
}

/// Refuses the networks that nobody joins or leaves by hand.
fn check(network: &Network) -> Result<(), InvalidSettings> {
    match network {
        Network::Node(NodeNetwork::Host) => Err(InvalidSettings::new(HOSTS_OWN)),
        Network::Node(NodeNetwork::None) => Err(InvalidSettings::new(beside(&NetworkMode::NONE))),
        Network::Node(NodeNetwork::Bridge) | Network::Local(_) => Ok(()),
    }
}
