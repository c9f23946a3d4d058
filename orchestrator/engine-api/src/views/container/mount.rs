//! What is mounted into a container.

use engine::{ContainerRecord, MountKind, MountPoint};
use runtime::Propagation;
use serde::{Serialize, Serializer};

/// Who keeps volumes.
const VOLUME_DRIVER: &str = "local";

/// Docker's `MountPoint`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MountView {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'static str>,
    mode: String,
    #[serde(rename = "RW")]
    is_writable: bool,
    #[serde(serialize_with = "or_empty")]
    propagation: Option<Propagation>,
}

/// The mounts of a container. Memory that `--tmpfs` asks for is shown in the settings only, as in Docker.
pub(super) fn mounts(record: &ContainerRecord) -> Vec<MountView> {
    let is_shown = |mount: &&MountPoint| {
        mount.kind != MountKind::Tmpfs || !record.host_config.tmpfs.contains_key(&mount.destination)
    };
    record.mounts.iter().filter(is_shown).map(MountView::from).collect()
}

impl From<&MountPoint> for MountView {
    fn from(mount: &MountPoint) -> Self {
        let is_volume = mount.kind == MountKind::Volume;
        Self {
            kind: mount.kind.as_str(),
            name: mount.name.clone(),
            source: mount.source.display().to_string(),
            destination: mount.destination.clone(),
            driver: is_volume.then_some(VOLUME_DRIVER),
            mode: mount.mode.clone(),
            is_writable: !mount.read_only,
            propagation: (mount.kind == MountKind::Bind).then_some(mount.propagation),
        }
    }
}

/// Docker writes an empty word where nothing travels.
#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn or_empty<S: Serializer>(propagation: &Option<Propagation>, serializer: S) -> Result<S::Ok, S::Error> {
    match propagation {
        Some(propagation) => propagation.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}
