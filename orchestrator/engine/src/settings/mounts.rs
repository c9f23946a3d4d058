//! What is mounted into a container: everything its settings ask for, as one list without contradictions.
//!
//! Later sources give way to earlier ones, as in Docker: mounts of the container itself, those of other containers that
//! it shares, and the anonymous volumes of its image.

mod bind;
#[cfg(test)]
mod tests;
mod typed;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use runtime::Propagation;
use serde::{Deserialize, Serialize};

use super::InvalidSettings;
use crate::config::{ContainerConfig, HostConfig};

/// One mount of a container, as it is kept with it.
#[expect(clippy::struct_excessive_bools, reason = "each of them is an option of its own")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// What it is.
    pub kind: MountKind,
    /// The volume's name; `None` for one that gets a name when the container is made, and for what is no volume.
    #[serde(default)]
    pub name: Option<String>,
    /// The host's path; that of a volume once it is made; empty for memory.
    #[serde(default)]
    pub source: PathBuf,
    /// The path in the container; absolute, without `.` and `..`.
    pub destination: String,
    /// The options as they were written: `z`, `ro`, `nocopy`.
    #[serde(default)]
    pub mode: String,
    /// Whether it cannot be written to.
    #[serde(default)]
    pub read_only: bool,
    /// How mounts below it travel.
    #[serde(default)]
    pub propagation: Propagation,
    /// Whether it comes without what is mounted below its source.
    #[serde(default)]
    pub is_non_recursive: bool,
    /// Whether the source is made where it is missing.
    #[serde(default)]
    pub makes_source: bool,
    /// Whether an empty volume gets what the image has at the destination.
    #[serde(default)]
    pub fills: bool,
    /// A folder of the volume; empty for all of it.
    #[serde(default)]
    pub subpath: String,
    /// More of memory.
    #[serde(default)]
    pub tmpfs: TmpfsSettings,
    /// More of a volume that is made for it.
    #[serde(default)]
    pub volume: VolumeRequest,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A file or folder of the host.
    Bind,
    /// A volume.
    Volume,
    /// Memory.
    Tmpfs,
}

impl MountKind {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
        }
    }
}

/// Memory that is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TmpfsSettings {
    /// Bytes at most; the kernel's own bound where `None`.
    pub size: Option<u64>,
    /// The mode of its root.
    pub mode: Option<u32>,
    /// Options of mount(8).
    pub options: Vec<String>,
}

/// A volume that is made where there is none of its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeRequest {
    /// Who keeps it; `local` where empty.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The mounts of another container that this one shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedMounts {
    pub(crate) mounts: Vec<MountPoint>,
    pub(crate) is_read_only: bool,
}

impl MountPoint {
    fn new(kind: MountKind, destination: &str) -> Result<Self, InvalidSettings> {
        Ok(Self {
            kind,
            name: None,
            source: PathBuf::new(),
            destination: clean_destination(destination)?,
            mode: String::new(),
            read_only: false,
            propagation: Propagation::default(),
            is_non_recursive: false,
            makes_source: false,
            fills: false,
            subpath: String::new(),
            tmpfs: TmpfsSettings::default(),
            volume: VolumeRequest::default(),
        })
    }
}

/// All mounts of a container, those above others first. Volumes have no source yet, anonymous ones no name.
pub(crate) fn plan(
    config: &ContainerConfig,
    host: &HostConfig,
    shared: &[SharedMounts],
) -> Result<Vec<MountPoint>, InvalidSettings> {
    let mut own: BTreeMap<String, MountPoint> = BTreeMap::new();
    let binds = host.binds.iter().flatten().map(|text| bind::parse(text, &host.volume_driver));
    let typed = host.mounts.iter().map(typed::parse);
    let memory = host.tmpfs.iter().map(|(destination, options)| typed::tmpfs(destination, options));
    for mount in binds.chain(typed).chain(memory) {
        let mount = mount?;
        if let Some(double) = own.insert(mount.destination.clone(), mount) {
            return Err(InvalidSettings::new(format!("Duplicate mount point: {}", double.destination)));
        }
    }
    for shared in shared {
        for mount in shared.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs) {
            let read_only = mount.read_only || shared.is_read_only;
            own.entry(mount.destination.clone()).or_insert_with(|| MountPoint { read_only, ..mount.clone() });
        }
    }
    for folder in config.volumes.keys() {
        let destination = clean_destination(folder)?;
        let mount = MountPoint { fills: true, ..MountPoint::new(MountKind::Volume, &destination)? };
        own.entry(destination).or_insert(mount);
    }
    let mut mounts: Vec<MountPoint> = own.into_values().collect();
    mounts.sort_by_key(|mount| mount.destination.split('/').count());
    Ok(mounts)
}

/// Refuses a bind mount whose source must be there, and is not. Reads the file system.
pub(crate) fn check_bind(mount: &MountPoint) -> Result<(), InvalidSettings> {
    if mount.kind != MountKind::Bind || mount.makes_source || mount.source.exists() {
        return Ok(());
    }
    let words = "invalid mount config for type \"bind\": bind source path does not exist";
    Err(InvalidSettings(format!("{words}: {}", mount.source.display())))
}

/// A path in the container without `.` and `..`; neither relative nor the root itself.
fn clean_destination(path: &str) -> Result<String, InvalidSettings> {
    if !path.starts_with('/') {
        let words = "mount path must be absolute";
        return Err(InvalidSettings::new(format!("invalid mount path: '{path}' {words}")));
    }
    match clean(path) {
        root if root == "/" => {
            let words = "invalid specification: destination can't be '/'";
            Err(InvalidSettings::new(format!("invalid mount config: {words}")))
        }
        destination => Ok(destination),
    }
}

/// An absolute path without `.`, `..`, doubled and last slashes.
fn clean(path: &str) -> String {
    let mut cleaned = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned.to_string_lossy().into_owned()
}

/// The word of `mount --make-…`; `None` for what is none.
fn propagation(word: &str) -> Option<Propagation> {
    Some(match word {
        "private" => Propagation::Private,
        "rprivate" | "" => Propagation::Rprivate,
        "shared" => Propagation::Shared,
        "rshared" => Propagation::Rshared,
        "slave" => Propagation::Slave,
        "rslave" => Propagation::Rslave,
        _ => return None,
    })
}
