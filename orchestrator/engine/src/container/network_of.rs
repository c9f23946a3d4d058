//! The networks of the node on behalf of its containers: who is in them when the engine opens, and that they stay as they
//! are.

use std::path::Path;
use std::time::Duration;

use network::{Endpoint, Host};
use tokio::sync::watch;

use super::asker::enter_names;
use super::{ContainerError, ContainerRecord, ContainerState, Shared};
use crate::config::{ContainerConfig, HostConfig};
use crate::document::blocking;
use crate::local_network::Networks;
use crate::settings::NetworkMode;

/// How often bridges are looked after: others may flush all rules of the host. As often as the guard of ports.
const TEND_PAUSE: Duration = Duration::from_secs(10);

/// The host of the bridges of an engine whose containers lie below this folder.
pub(crate) fn host_of(root: &Path, engine_id: String) -> Host {
    Host::new(engine_id, root.join("network"))
}

/// Looks after the bridges until the engine is to close, or is gone.
pub(super) async fn tend(networks: Networks, mut closing: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            // An error says that the engine is gone.
            _ = closing.wait_for(|is_closing| *is_closing) => return,
            () = tokio::time::sleep(TEND_PAUSE) => {}
        }
        let networks = networks.clone();
        blocking(move || networks.tend()).await;
    }
}

impl Shared {
    /// Takes over the places in networks that containers had when the engine was there last: all at once, before any of
    /// them is started, so that no address is given twice.
    pub(super) async fn adopt_endpoints(&self, found: &[(ContainerRecord, ContainerState)]) {
        let of_one = |(record, state): &(ContainerRecord, ContainerState)| {
            let of_container =
                |(network, endpoint): (&String, &Endpoint)| (record.id.clone(), network.clone(), endpoint.clone());
            state.endpoints.iter().map(of_container).collect::<Vec<_>>()
        };
        for (record, state) in found.iter().filter(|(_, state)| state.status.has_process()) {
            enter_names(&self.networks, record, state);
        }
        let endpoints = found.iter().flat_map(of_one).collect();
        let networks = self.networks.clone();
        blocking(move || networks.adopt(endpoints)).await;
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
