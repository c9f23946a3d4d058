//! The files of a container for whoever is not its program: `docker cp`, `diff`, `export` and `commit`.
//!
//! Whoever uses them holds a [`FileUse`]. While there is one the root stays mounted; a removal asks all to stop, and waits
//! until they have.

use std::sync::Arc;

use image::{ContainerRoot, Rootfs};
use runtime::Phase;
use tokio::sync::watch;

use super::start::sources;
use super::{Actor, Next};
use crate::container::{ContainerError, ContainerRecord, ContainerStatus};
use crate::document::blocking;
use crate::settings::MountPoint;

/// A use of a container's files. They stay as long as this is held, which must be no longer than until `ending`.
#[derive(Debug)]
pub(in crate::container) struct FileUse {
    /// What the container is.
    pub(in crate::container) record: Arc<ContainerRecord>,
    /// Its root, which is mounted.
    pub(in crate::container) root: ContainerRoot,
    /// What that stands on.
    pub(in crate::container) layers: Rootfs,
    /// What is mounted into it, with the sources that it has now.
    pub(in crate::container) mounts: Vec<MountPoint>,
    pub(in crate::container) ending: Ending,
}

/// Says when a use of files is to stop. To be held by all who take part in it, in place of the use itself.
#[derive(Debug, Clone)]
pub(in crate::container) struct Ending(watch::Receiver<bool>);

impl Ending {
    /// Done when the container is being removed, or its actor has gone.
    pub(in crate::container) async fn ended(&mut self) {
        // Closed: the actor has gone.
        let _ = self.0.wait_for(|is_ending| *is_ending).await;
    }
}

/// Who uses a container's files.
#[derive(Debug, Default)]
pub(super) struct FileUses {
    ending: watch::Sender<bool>,
    /// Whether the root is mounted for them, or was left mounted because of them.
    is_mounted: bool,
}

impl FileUses {
    fn is_used(&self) -> bool {
        self.ending.receiver_count() > 0
    }

    /// Done when the root is mounted for nobody any more.
    pub(super) async fn unused(&self) {
        if self.is_mounted {
            self.ending.closed().await;
        } else {
            std::future::pending::<()>().await;
        }
    }
}

impl Actor {
    /// Lets somebody use its files.
    pub(super) async fn use_files(&mut self) -> Result<FileUse, ContainerError> {
        if matches!(self.state.status, ContainerStatus::Removing | ContainerStatus::Dead) {
            return Err(self.is_going());
        }
        let record = self.cell.record();
        let layers = self.shared.images.rootfs_of(&record.hold).await?;
        let root = ContainerRecord::root(&self.cell.folder);
        // From here on nothing unmounts it.
        let ending = Ending(self.files.ending.subscribe());
        let mounts = if self.is_furnished() {
            let (record, merged, volumes) = (Arc::clone(&record), root.merged(), self.shared.volumes.clone());
            blocking(move || sources(&record, &merged, &volumes, false)).await?
        } else {
            self.files.is_mounted = true;
            self.mount_root().await?
        };
        Ok(FileUse { record, root, layers, mounts, ending })
    }

    /// Mounts its root and fills its volumes, as a start does; what is to be mounted into it.
    async fn mount_root(&mut self) -> Result<Vec<MountPoint>, ContainerError> {
        let record = self.cell.record();
        let layers = self.shared.images.rootfs_of(&record.hold).await?;
        let folder = self.cell.folder.clone();
        let fills = !self.state.has_filled_volumes;
        let volumes = self.shared.volumes.clone();
        let work = move || -> Result<Vec<MountPoint>, ContainerError> {
            let root = ContainerRecord::root(&folder).mount(&layers, record.durability())?;
            sources(&record, &root, &volumes, fills)
        };
        let mounts = blocking(work).await?;
        if fills {
            self.update(|state| state.has_filled_volumes = true);
        }
        Ok(mounts)
    }

    /// Nobody uses the files any more for which the root was mounted.
    pub(super) async fn files_unused(&mut self) -> Next {
        self.files.is_mounted = false;
        if !self.is_furnished() {
            self.unmount().await;
        }
        Next::Go
    }

    /// Asks all who use the files to stop, and waits until they have.
    pub(super) async fn end_file_uses(&mut self) {
        self.files.ending.send_replace(true);
        self.files.ending.closed().await;
        self.files.is_mounted = false;
    }

    /// Whether the root has to stay mounted for a while; it is unmounted when its files are unused.
    pub(super) fn keeps_root(&mut self) -> bool {
        self.files.is_mounted |= self.files.is_used();
        self.files.is_mounted
    }

    /// Whether its root is mounted for its program, which runs or is ready to.
    fn is_furnished(&self) -> bool {
        let is_there = |phase| phase != Phase::Exited;
        self.container.as_ref().is_some_and(|container| container.state().is_ok_and(|state| is_there(state.phase)))
    }
}
