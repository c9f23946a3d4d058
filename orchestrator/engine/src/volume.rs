//! The volumes of a node: folders with names that outlive containers.
//!
//! ```text
//! <root>/<name>/volume.json   what it is; written before the folder has its name
//!               filling       is there while _data gets what the image has
//!               _data/        what containers see; where the volume has options, what they name is mounted here
//! ```
//! A volume stays as long as a container claims it, also while that container does not run.

mod mount;
mod name;
mod prune;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use image::ImageError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use self::mount::unmount_all;
use self::mount::{LocalMount, MountUses};
pub use self::name::{InvalidVolumeName, VolumeName};
pub use self::prune::{VolumeFilter, VolumesPruned};
pub(crate) use self::prune::{bytes_below, has_label};
use crate::document::{self, Durability, FileFailure, blocking};
use crate::event::{EventKind, EventLog};
use crate::settings::VolumeRequest;

/// The label of volumes that were given no name. Empty.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";
/// What is known of a volume.
const DOCUMENT: &str = "volume.json";
/// Stands beside its content while that is being copied from an image.
const FILLING: &str = "filling";
/// What containers see of it.
const DATA: &str = "_data";

/// Why something could not be done with a volume. Docker's words.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// There is none of this name.
    #[error("get {0}: no such volume")]
    NoSuchVolume(String),
    /// What was given cannot name a volume.
    #[error(transparent)]
    InvalidName(#[from] InvalidVolumeName),
    /// There is no driver of this name.
    #[error("error looking up volume plugin {0}: plugin \"{0}\" not found")]
    NoSuchDriver(String),
    /// A volume like this is not offered.
    #[error("{0}")]
    NotOffered(String),
    /// A container claims it.
    #[error("remove {name}: volume is in use - [{holders}]")]
    InUse {
        /// The volume.
        name: String,
        /// The containers, with commas between.
        holders: String,
    },
    /// What its options name could not be mounted.
    #[error("error while mounting volume \"{name}\": failed to mount `{device}` as {kind}")]
    Mount {
        /// The volume.
        name: String,
        /// The kind of file system.
        kind: String,
        /// What was to be mounted.
        device: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It could not be looked at whether it is mounted, or not unmounted.
    #[error(transparent)]
    Unmount(Box<ImageError>),
    /// The file system did not do as asked.
    #[error(transparent)]
    File(#[from] FileFailure),
}

impl From<ImageError> for VolumeError {
    fn from(error: ImageError) -> Self {
        Self::Unmount(Box::new(error))
    }
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// When it was made.
    pub created: Timestamp,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What is mounted in its place; by the names that the driver `local` has for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Where it lies on the host.
    #[serde(skip)]
    pub path: PathBuf,
}

impl Volume {
    /// Whether it was given no name.
    pub fn is_anonymous(&self) -> bool {
        self.labels.contains_key(ANONYMOUS_LABEL)
    }
}

/// The volumes of a node. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct Volumes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    events: Arc<EventLog>,
    /// One volume is filled at a time: two containers may begin with the same one.
    filling: Mutex<()>,
    /// Held while something is mounted, which may take long.
    mounted: Mutex<MountUses>,
    /// Also held while folders get and lose their names, so that claims and removals never cross.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    volumes: BTreeMap<VolumeName, Volume>,
    /// The containers that claim each.
    claims: BTreeMap<VolumeName, BTreeSet<String>>,
}

impl Volumes {
    /// Opens the volumes below `root`, which is made where it is missing. Blocks.
    pub fn open(root: &Path, events: Arc<EventLog>) -> Result<Self, VolumeError> {
        fs::create_dir_all(root).map_err(FileFailure::at("make", root))?;
        document::collect_removed(root)?;
        let mut known = Known::default();
        for entry in fs::read_dir(root).map_err(FileFailure::at("list", root))?.flatten() {
            let path = entry.path();
            let Some(mut volume) = document::read::<Volume>(&path.join(DOCUMENT))? else { continue };
            if entry.file_name().to_str() == Some(volume.name.as_str()) {
                volume.path = path.join(DATA);
                known.volumes.insert(volume.name.clone(), volume);
            }
        }
        Ok(Self {
            shared: Arc::new(Shared {
                root: root.to_owned(),
                events,
                filling: Mutex::new(()),
                mounted: Mutex::default(),
                known: Mutex::new(known),
            }),
        })
    }

    /// All volumes, by name.
    pub fn list(&self) -> Vec<Volume> {
        self.shared.known().volumes.values().cloned().collect()
    }

    /// The volume of this name.
    pub fn find(&self, name: &str) -> Result<Volume, VolumeError> {
        let no_such = || VolumeError::NoSuchVolume(name.to_owned());
        let parsed: VolumeName = name.parse().map_err(|_| no_such())?;
        self.shared.known().volumes.get(&parsed).cloned().ok_or_else(no_such)
    }

    /// The containers that claim a volume.
    pub fn holders_of(&self, name: &VolumeName) -> Vec<String> {
        self.shared.known().claims.get(name).into_iter().flatten().cloned().collect()
    }

    /// Where a volume of this name lies, whether or not there is one.
    pub(crate) fn place_of(&self, name: &VolumeName) -> PathBuf {
        self.shared.root.join(name.as_str()).join(DATA)
    }

    /// Makes a volume, unless there is one of this name; what that one is stays.
    pub async fn create(&self, name: VolumeName, request: VolumeRequest) -> Result<Volume, VolumeError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.ensure(&mut shared.known(), name, &request)).await
    }

    /// Makes a volume, unless there is one, and claims it for a container. Doing it again is the same claim.
    pub(crate) async fn claim(
        &self,
        name: VolumeName,
        request: VolumeRequest,
        holder: String,
    ) -> Result<Volume, VolumeError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let mut known = shared.known();
            let volume = shared.ensure(&mut known, name, &request)?;
            known.claims.entry(volume.name.clone()).or_default().insert(holder);
            Ok(volume)
        })
        .await
    }

    /// Has a volume mounted for a container that claims it, where it has options; doing it again is the same use. Blocks.
    pub(crate) fn begin_use(&self, name: &VolumeName, user: &str) -> Result<(), VolumeError> {
        let Some(mount) = LocalMount::read(&self.find(name.as_str())?.options)? else { return Ok(()) };
        self.shared.mounted().begin(name, &self.place_of(name), &mount, user)
    }

    /// Ends the uses of a container; what nobody else uses is unmounted. Blocks.
    pub(crate) fn end_uses(&self, user: &str) -> Result<(), VolumeError> {
        self.shared.mounted().end(user, |name| self.place_of(name))
    }

    /// Fills a volume that holds nothing by `fill`, which is handed its folder. What an earlier filling that was cut
    /// short has left is thrown away first, but not where others may have written meanwhile: in what is mounted. Blocks.
    pub(crate) fn fill<E: From<FileFailure>>(
        &self,
        name: &VolumeName,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let _filling = self.shared.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let data = self.place_of(name);
        let mark = data.with_file_name(FILLING);
        let is_own = self.find(name.as_str()).is_ok_and(|volume| volume.options.is_empty());
        if is_own && mark.exists() {
            document::empty_folder(&data)?;
        } else if fs::read_dir(&data).map_err(FileFailure::at("list", &data))?.next().is_some() {
            return Ok(());
        }
        fs::write(&mark, "").map_err(FileFailure::at("write", &mark))?;
        fill(&data)?;
        fs::remove_file(&mark).map_err(FileFailure::at("remove", &mark))?;
        Ok(())
    }

    /// Gives up all claims of a container, and removes those of the volumes without names that nobody else claims where
    /// `removes_anonymous` says so.
    pub(crate) async fn release(&self, holder: &str, removes_anonymous: bool) -> Result<(), VolumeError> {
        let (volumes, holder) = (self.clone(), holder.to_owned());
        blocking(move || {
            volumes.end_uses(&holder)?;
            let shared = &volumes.shared;
            let mut known = shared.known();
            let mut released = Vec::new();
            known.claims.retain(|name, holders| {
                if holders.remove(&holder) {
                    released.push(name.clone());
                }
                !holders.is_empty()
            });
            for name in released {
                let is_anonymous = known.volumes.get(&name).is_some_and(Volume::is_anonymous);
                if removes_anonymous && is_anonymous && !known.claims.contains_key(&name) {
                    shared.remove(&mut known, &name)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Removes a volume. Refused while a container claims it. One that does not exist is fine where it is forced.
    pub async fn remove(&self, name: &str, is_forced: bool) -> Result<(), VolumeError> {
        let volume = match self.find(name) {
            Err(VolumeError::NoSuchVolume(_)) if is_forced => return Ok(()),
            outcome => outcome?,
        };
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let mut known = shared.known();
            if let Some(holders) = known.claims.get(&volume.name) {
                let holders = holders.iter().cloned().collect::<Vec<_>>().join(", ");
                return Err(VolumeError::InUse { name: volume.name.into(), holders });
            }
            shared.remove(&mut known, &volume.name)
        })
        .await
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mounted(&self) -> MutexGuard<'_, MountUses> {
        self.mounted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ensure(&self, known: &mut Known, name: VolumeName, request: &VolumeRequest) -> Result<Volume, VolumeError> {
        if let Some(volume) = known.volumes.get(&name) {
            return Ok(volume.clone());
        }
        if !matches!(request.driver.as_str(), "" | "local") {
            return Err(VolumeError::NoSuchDriver(request.driver.clone()));
        }
        LocalMount::read(&request.options)?;
        let unfinished = self.root.join(format!(".new-{name}"));
        let folder = self.root.join(name.as_str());
        let volume = Volume {
            name: name.clone(),
            created: Timestamp::now(),
            labels: request.labels.clone(),
            options: request.options.clone(),
            path: folder.join(DATA),
        };
        let data = unfinished.join(DATA);
        fs::create_dir_all(&data).map_err(FileFailure::at("make", &data))?;
        document::write(&unfinished.join(DOCUMENT), &volume, Durability::Disk)?;
        fs::rename(&unfinished, &folder).map_err(FileFailure::at("make", &folder))?;
        known.volumes.insert(name, volume.clone());
        self.tell("create", &volume);
        Ok(volume)
    }

    fn remove(&self, known: &mut Known, name: &VolumeName) -> Result<(), VolumeError> {
        let Some(volume) = known.volumes.get(name).cloned() else { return Ok(()) };
        // Left by an engine that was killed: what is mounted is not ours to remove.
        image::unmount(&volume.path)?;
        document::remove_folder(&self.root.join(name.as_str()))?;
        known.volumes.remove(name);
        self.tell("destroy", &volume);
        Ok(())
    }

    fn tell(&self, action: &str, volume: &Volume) {
        let attributes = [("driver".to_owned(), "local".to_owned())].into();
        self.events.tell(EventKind::Volume, action, volume.name.as_str(), attributes);
    }
}
