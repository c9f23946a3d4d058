//! Making a container: decided first, written down next, and its own only once all of it is there.
//!
//! A container that is being made is on the disk as one that is being removed. So whoever is killed in the middle leaves
//! nothing that the next opening would not take away.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::actor::Actor;
use super::asker::linked;
use super::cell::Cell;
use super::registry::{self, Claim, Reservation};
use super::{
    Attachment, ContainerError, ContainerRecord, ContainerState, ContainerStatus, Containers, Shared, attachment,
};
use crate::config::{ContainerConfig, CreateRequest, HostConfig};
use crate::document::{FileFailure, blocking};
use crate::event::EventKind;
use crate::settings::{self, InvalidSettings, MountKind, MountPoint, NetworkMode, SharedMounts};
use crate::task::TASK_ID_LABEL;
use crate::volume::{ANONYMOUS_LABEL, VolumeName};

/// How many drawn names are tried; from the fourth on they carry a number, so one is free.
const NAMES_TRIED: u32 = 16;

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// What the operator is to be warned of.
    pub warnings: Vec<String>,
}

impl Containers {
    /// Makes a container under this name, else under one of our own words. Its image must be there.
    ///
    /// A caller that goes away meanwhile has made it all the same.
    pub async fn create(&self, name: Option<&str>, request: CreateRequest) -> Result<Created, ContainerError> {
        let name = name.map(|name| name.strip_prefix('/').unwrap_or(name).to_owned());
        let shared = Arc::clone(&self.shared);
        self.owned(Box::pin(async move {
            let id = shared.draw(crate::hex_id);
            let reservation = match name {
                Some(name) => match registry::claim(&shared, &name, &id)? {
                    Claim::Reserved(reservation) => reservation,
                    Claim::Coming(holder, _) => return Err(ContainerError::NameTaken { name, holder }),
                    Claim::Taken(cell) => return Err(ContainerError::NameTaken { name, holder: cell.id.clone() }),
                },
                None => shared.draw_name(&id)?,
            };
            shared.make(id, reservation, request).await
        }))
        .await
    }

    /// Makes the container of a task, unless it is there: the one of this name and with the same id of a task among its
    /// labels. Where it is just being made, waits for it.
    pub async fn ensure(&self, name: &str, request: CreateRequest) -> Result<Created, ContainerError> {
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        self.owned(Box::pin(async move {
            let id = shared.draw(crate::hex_id);
            loop {
                match registry::claim(&shared, &name, &id)? {
                    Claim::Reserved(reservation) => return shared.make(id, reservation, request).await,
                    Claim::Coming(_, mut coming) => {
                        // Closed, which is an error, once it is there or is not to be.
                        let _ = coming.changed().await;
                    }
                    Claim::Taken(cell) => {
                        let record = cell.record();
                        let task = request.config.labels.get(TASK_ID_LABEL);
                        if task.is_some() && record.config.labels.get(TASK_ID_LABEL) == task {
                            return Ok(Created { id: cell.id.clone(), warnings: Vec::new() });
                        }
                        return Err(ContainerError::NameTaken { name, holder: cell.id.clone() });
                    }
                }
            }
        }))
        .await
    }

    /// Does work to its end, also when its caller goes away.
    pub(super) async fn owned<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ContainerError>> + Send + 'static,
    ) -> Result<T, ContainerError> {
        let (reply, answer) = oneshot::channel();
        self.shared.spawn(async move {
            let _ = reply.send(work.await);
        });
        answer.await.unwrap_or(Err(ContainerError::Closed))
    }
}

impl Shared {
    fn draw_name(self: &Arc<Self>, id: &str) -> Result<Reservation, ContainerError> {
        for attempt in 0..NAMES_TRIED {
            let name = self.draw(|rng| crate::id::container_name(rng, attempt));
            if let Claim::Reserved(reservation) = registry::claim(self, &name, id)? {
                return Ok(reservation);
            }
        }
        Err(ContainerError::Conflict("no name is free".to_owned()))
    }

    async fn make(
        self: &Arc<Self>,
        id: String,
        reservation: Reservation,
        request: CreateRequest,
    ) -> Result<Created, ContainerError> {
        let CreateRequest { config, mut host_config, networking_config } = request;
        let image = self.images.find(&config.image)?;
        let mut config = settings::with_image(config, &image.config.config)?;
        self.name_host(&id, &mut config, &host_config)?;
        self.name_joined(&config, &mut host_config)?;
        let mut attachments = attachment::plan(&config, &host_config, networking_config.as_ref(), &self.networks)?;
        self.name_linked(&mut attachments)?;
        let warnings = settings::check(&config, &host_config, self.node.cpus)?;
        let shared_mounts = self.shared_mounts(&host_config)?;
        let mut mounts = settings::plan(&config, &host_config, &shared_mounts)?;
        self.name_volumes(&mut mounts);
        let checked = mounts.clone();
        blocking(move || checked.iter().try_for_each(settings::check_bind)).await?;
        let (hold, _) = self.images.hold(&id, image.id).await?;
        let name = reservation.name.clone();
        let created = Timestamp::now();
        let record = ContainerRecord {
            id: id.clone(),
            name,
            created,
            image: image.id,
            config,
            host_config,
            networking_config,
            attachments: Some(attachments),
            mounts,
            hold,
        };
        match self.put(record).await {
            Ok(cell) => {
                reservation.fill(&cell);
                let attributes = cell.record().attributes();
                self.events.tell(EventKind::Container, "create", &id, attributes);
                Ok(Created { id, warnings })
            }
            Err(error) => {
                self.take_back(&id).await;
                Err(error)
            }
        }
    }

    /// Writes a container down, claims its volumes, and gives it an actor.
    async fn put(self: &Arc<Self>, record: ContainerRecord) -> Result<Arc<Cell>, ContainerError> {
        let folder = self.folder_of(&record.id);
        let coming =
            ContainerState { status: ContainerStatus::Removing, removes_volumes: true, ..ContainerState::default() };
        {
            let (record, folder, coming) = (record.clone(), folder.clone(), coming);
            blocking(move || write_folder(&record, &coming, &folder)).await?;
        }
        self.claim_volumes(&record).await?;
        let state = ContainerState::default();
        state.write(&folder)?;
        let (cell, commands) = Cell::new(record, state, folder);
        self.spawn(Actor::new(Arc::clone(self), Arc::clone(&cell)).run(commands));
        Ok(cell)
    }

    /// Takes back what was made of a container that could not be made whole.
    async fn take_back(&self, id: &str) {
        let folder = self.folder_of(id);
        let released = self.volumes.release(id, true).await.map_err(ContainerError::from);
        let removed = blocking(move || crate::document::remove_folder(&folder)).await.map_err(ContainerError::from);
        let given_up = self.images.release(id).await.map_err(ContainerError::from);
        if let Err(error) = released.and(removed).and(given_up) {
            tracing::warn!(container = %id, %error, "remains of a container that was not made stay until the next start");
        }
    }

    /// Names the host of a container that was given no name: as the node or another container, where it has its network.
    fn name_host(&self, id: &str, config: &mut ContainerConfig, host: &HostConfig) -> Result<(), ContainerError> {
        let network = NetworkMode::of(config, host)?;
        if let NetworkMode::Container(other) = &network {
            if !config.hostname.is_empty() {
                return Err(InvalidSettings::new("conflicting options: hostname and the network mode").into());
            }
            let other = self.registry.find(other)?.record();
            (config.hostname, config.domainname) = (other.config.hostname.clone(), other.config.domainname.clone());
        }
        if config.hostname.is_empty() {
            let is_nodes = network == NetworkMode::HOST || host.uts_mode == "host";
            config.hostname = if is_nodes { self.node.hostname.clone() } else { id[..12].to_owned() };
        }
        Ok(())
    }

    /// Names the containers that one in the node's own bridge is linked to by the beginnings of their ids, which stay when
    /// names change. Refused where one is not there.
    fn name_linked(&self, attachments: &mut [Attachment]) -> Result<(), ContainerError> {
        let of_node = attachments.iter_mut().filter(|attachment| attachment.is_of_node());
        for link in of_node.flat_map(|attachment| &mut attachment.links) {
            let (target, name) = linked(link);
            let missing =
                |error: ContainerError| InvalidSettings(format!("could not get container for {target}: {error}"));
            let cell = self.registry.find(target).map_err(missing)?;
            *link = format!("{}:{name}", &cell.id[..12]);
        }
        Ok(())
    }

    /// Names the volumes that were given no name, and finds the place of all.
    fn name_volumes(&self, mounts: &mut [MountPoint]) {
        for mount in mounts.iter_mut().filter(|mount| mount.kind == MountKind::Volume) {
            let given = mount.name.as_deref().and_then(|name| name.parse::<VolumeName>().ok());
            let name = given.unwrap_or_else(|| {
                mount.volume.labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
                self.draw(VolumeName::generate)
            });
            mount.source = self.volumes.place_of(&name);
            mount.name = Some(name.into());
        }
    }

    /// The mounts of the containers that `VolumesFrom` names.
    fn shared_mounts(&self, host: &HostConfig) -> Result<Vec<SharedMounts>, ContainerError> {
        let mut shared = Vec::new();
        for wanted in host.volumes_from.iter().flatten() {
            let (name, mode) = wanted.split_once(':').unwrap_or((wanted, ""));
            let mounts = self.registry.find(name)?.record().mounts.clone();
            shared.push(SharedMounts { mounts, is_read_only: mode.split(',').any(|word| word == "ro") });
        }
        Ok(shared)
    }
}

/// Makes the folder of a container, which has its name once all of it is there.
fn write_folder(record: &ContainerRecord, state: &ContainerState, folder: &std::path::Path) -> Result<(), FileFailure> {
    let unfinished = folder.with_file_name(format!(".new-{}", record.id));
    std::fs::create_dir_all(&unfinished).map_err(FileFailure::at("make", &unfinished))?;
    record.write(&unfinished)?;
    state.write(&unfinished)?;
    std::fs::rename(&unfinished, folder).map_err(FileFailure::at("make", folder))
}
