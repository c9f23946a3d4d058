//! The node's bridge on behalf of its containers: who is in it when the engine opens, and that it stays as it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{NodeNetwork, with_causes};
use network::{Bridge, BridgeSettings, Endpoint};
use tokio::sync::watch;

use super::{ContainerError, ContainerRecord, ContainerState, Shared};
use crate::config::{ContainerConfig, HostConfig};
use crate::document::blocking;
use crate::event::EventKind;
use crate::settings::NetworkMode;

/// How often the bridge is looked after: others may flush all rules of the host. As often as the guard of ports.
const TEND_PAUSE: Duration = Duration::from_secs(10);

/// The bridge of an engine whose containers lie below this folder.
pub(crate) fn bridge_settings(root: &Path, engine_id: String) -> BridgeSettings {
    BridgeSettings { owner: engine_id, folder: root.join("network") }
}

/// Looks after the bridge until the engine is to close, or is gone.
pub(super) async fn tend(bridge: Arc<Bridge>, mut closing: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            // An error says that the engine is gone.
            _ = closing.wait_for(|is_closing| *is_closing) => return,
            () = tokio::time::sleep(TEND_PAUSE) => {}
        }
        let bridge = Arc::clone(&bridge);
        if let Err(error) = blocking(move || bridge.tend()).await {
            tracing::warn!(error = with_causes(&error), "the node's bridge is not as it should be; trying again");
        }
    }
}

impl Shared {
    /// Takes over the places in the bridge that containers had when the engine was there last: all at once, before any
    /// of them is started, so that no address is given twice.
    pub(super) async fn adopt_endpoints(&self, found: &[(ContainerRecord, ContainerState)]) {
        let endpoints: Vec<(String, Endpoint)> =
            found.iter().filter_map(|(record, state)| Some((record.id.clone(), state.endpoint.clone()?))).collect();
        let bridge = Arc::clone(&self.bridge);
        if let Err(error) = blocking(move || bridge.adopt(endpoints)).await {
            tracing::warn!(error = with_causes(&error), "the node's bridge is not as it should be; trying again");
        }
    }

    /// Tells that a container has come into a network, or has left it.
    pub(super) fn tell_network(&self, action: &str, container: &str) {
        let network = NodeNetwork::Bridge;
        let attributes = [("container", container), ("name", network.name()), ("type", network.driver())];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.events.tell(EventKind::Network, action, network.id(), attributes.into());
    }

    /// Names the container whose network another one is to be in by its id, which stays when names change.
    pub(super) fn name_joined(&self, config: &ContainerConfig, host: &mut HostConfig) -> Result<(), ContainerError> {
        if let NetworkMode::Container(other) = NetworkMode::of(config, host)? {
            let other = self.registry.find(&other)?;
            host.network_mode = NetworkMode::Container(other.id.clone()).name();
        }
        Ok(())
    }
}
