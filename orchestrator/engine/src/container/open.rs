//! Opening: what runs is adopted, what ended while nobody looked is noted, what was begun is finished.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex};

use image::{ImageError, ImageStore};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use runtime::RuntimeError;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::actor::Actor;
use super::cell::Cell;
use super::exec::Execs;
use super::network_of::{self, host_of};
use super::registry::Registry;
use super::{ContainerRecord, ContainerSettings, ContainerState, Containers, Shared};
use crate::document::{self, FileFailure, blocking};
use crate::event::EventLog;
use crate::local_network::Networks;
use crate::volume::{VolumeError, Volumes};

/// Why the containers of a node could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ContainersError {
    /// The file system did not do as asked.
    #[error(transparent)]
    File(#[from] FileFailure),
    /// The images cannot be used.
    #[error("failed to open the node's images")]
    Images(#[source] ImageError),
    /// The volumes cannot be used.
    #[error("failed to open the node's volumes")]
    Volumes(#[source] VolumeError),
    /// What runs could not be found.
    #[error("failed to adopt the node's containers")]
    Adopt(#[source] RuntimeError),
}

impl Containers {
    /// Opens the containers, images and volumes of a node. On return every container that an earlier engine made is
    /// there, as it is; those that are to run by their restart policy are being started.
    pub async fn open(
        settings: ContainerSettings,
        events: Arc<EventLog>,
        rng: &mut impl rand::Rng,
    ) -> Result<Self, ContainersError> {
        let ContainerSettings { root, runtime, unpack_limits, node, engine_id } = settings;
        let rng = Mutex::new(StdRng::from_rng(rng));
        let (found, volumes, networks) = {
            let (root, events) = (root.clone(), Arc::clone(&events));
            let host = host_of(&root, engine_id);
            blocking(move || -> Result<_, ContainersError> {
                let folder = root.join("containers");
                fs::create_dir_all(&folder).map_err(FileFailure::at("make", &folder))?;
                let volumes =
                    Volumes::open(&root.join("volumes"), Arc::clone(&events)).map_err(ContainersError::Volumes)?;
                let networks = Networks::open(&root.join("networks"), host, events)?;
                Ok((read_all(&folder)?, volumes, networks))
            })
            .await?
        };
        let holds = found.iter().map(|(record, _)| record.hold.clone()).collect();
        let images =
            ImageStore::open(&root.join("images"), holds, unpack_limits).await.map_err(ContainersError::Images)?;
        let adopted = runtime.adopt().await.map_err(ContainersError::Adopt)?;
        let mut running: HashMap<_, _> =
            adopted.containers.into_iter().map(|container| (container.id().to_owned(), container)).collect();
        let (registry, execs, tasks) = (Registry::default(), Execs::default(), Mutex::new(JoinSet::new()));
        let (streams, closing) = (Mutex::new(JoinSet::new()), watch::Sender::new(false));
        let shared = Arc::new(Shared {
            root,
            runtime,
            images,
            volumes,
            networks,
            events,
            node,
            registry,
            execs,
            rng,
            tasks,
            streams,
            closing,
        });
        shared.adopt_endpoints(&found).await;
        for (record, state) in found {
            if let Err(error) = shared.claim_volumes(&record).await {
                // It cannot be started then, which is said when somebody tries.
                tracing::warn!(container = %record.id, %error, "a volume of a container is missing");
            }
            let container = running.remove(&record.id);
            let folder = shared.folder_of(&record.id);
            let (cell, commands) = Cell::new(record, state, folder);
            if !shared.registry.adopt(&cell) {
                tracing::warn!(container = %cell.id, "two containers have one name; this one is found by its id");
            }
            let mut actor = Actor::new(Arc::clone(&shared), cell);
            if actor.resume(container).await {
                shared.spawn(actor.run(commands));
            }
        }
        for (id, container) in running {
            tracing::info!(container = %id, "a container that nobody knows is removed");
            if let Err(error) = container.delete(true).await {
                tracing::warn!(container = %id, %error, "it could not be removed; the next opening tries again");
            }
        }
        shared.spawn(network_of::tend(shared.networks.clone(), shared.closing.subscribe()));
        Ok(Self { shared })
    }
}

impl Shared {
    /// Claims the volumes of a container; those that are missing are made.
    pub(super) async fn claim_volumes(&self, record: &ContainerRecord) -> Result<(), VolumeError> {
        for (name, mount) in record.volumes() {
            self.volumes.claim(name, mount.volume.clone(), record.id.clone()).await?;
        }
        Ok(())
    }
}

/// All containers on the disk, and what is known of what they did. What was never made whole is removed.
fn read_all(folder: &std::path::Path) -> Result<Vec<(ContainerRecord, ContainerState)>, FileFailure> {
    document::collect_removed(folder)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileFailure::at("list", folder))?.flatten() {
        let path = entry.path();
        match ContainerRecord::read(&path)? {
            Some(record) if entry.file_name().to_str() == Some(record.id.as_str()) => {
                found.push((record, ContainerState::read(&path)?));
            }
            Some(_) | None => tracing::warn!(path = %path.display(), "a folder holds no container; it is left alone"),
        }
    }
    Ok(found)
}
