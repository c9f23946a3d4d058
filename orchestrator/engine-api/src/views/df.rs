//! What takes room on a node's disk, as `docker system df` shows it.

use std::collections::BTreeMap;

use engine::{ContainerStatus, ContainerView, MountPoint};
use jiff::Timestamp;
use serde::Serialize;

use super::image::SummaryDocument;
use super::volume::VolumeDocument;
use crate::version::ApiVersion;

/// Until when the size of the cache of builds was told apart.
const BUILDER_SIZE_UNTIL: ApiVersion = ApiVersion::new(1, 42);

/// Docker's `DiskUsage`. What was not asked for is null.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DfDocument {
    /// The bytes of all layers.
    pub(crate) layers_size: u64,
    /// Images, each with how many containers are of it.
    pub(crate) images: Option<Vec<SummaryDocument>>,
    /// Containers, with what they wrote.
    pub(crate) containers: Option<Vec<ContainerUse>>,
    /// Volumes, with what is in them.
    pub(crate) volumes: Option<Vec<VolumeDocument>>,
    /// The cache of builds: nothing is built here.
    pub(crate) build_cache: Option<Vec<()>>,
    /// Its size, for old clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) builder_size: Option<u64>,
}

impl DfDocument {
    /// The size of the cache of builds, for clients that look for it.
    pub(crate) fn builder_size(version: ApiVersion) -> Option<u64> {
        (version < BUILDER_SIZE_UNTIL).then_some(0)
    }
}

/// A container and what it wrote: the part of Docker's `container.Summary` that tells of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContainerUse {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    ports: [(); 0],
    size_rw: u64,
    size_root_fs: u64,
    labels: BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: HostConfigView,
    network_settings: NetworkSettingsView,
    mounts: Vec<MountView>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfigView {
    network_mode: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettingsView {
    networks: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MountView {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    source: String,
    destination: String,
    mode: String,
    #[serde(rename = "RW")]
    is_writable: bool,
}

impl ContainerUse {
    /// Shows a container that wrote so many bytes over an image of so many, at this moment.
    pub(crate) fn new(view: &ContainerView, written: u64, image: u64, now: Timestamp) -> Self {
        let record = &view.record;
        let words = [&record.config.entrypoint, &record.config.cmd].into_iter().flatten().flatten();
        Self {
            id: record.id.clone(),
            names: vec![format!("/{}", record.name)],
            image: record.config.image.clone(),
            image_id: record.image.to_string(),
            command: words.cloned().collect::<Vec<_>>().join(" "),
            created: record.created.as_second(),
            ports: [],
            size_rw: written,
            size_root_fs: image.saturating_add(written),
            labels: record.config.labels.clone(),
            state: view.state.status.as_str(),
            status: sentence(view, now),
            host_config: HostConfigView { network_mode: record.host_config.network_mode.clone() },
            network_settings: NetworkSettingsView { networks: BTreeMap::new() },
            mounts: record.mounts.iter().map(MountView::from).collect(),
        }
    }
}

impl From<&MountPoint> for MountView {
    fn from(mount: &MountPoint) -> Self {
        Self {
            kind: mount.kind.as_str(),
            name: mount.name.clone(),
            source: mount.source.display().to_string(),
            destination: mount.destination.clone(),
            mode: mount.mode.clone(),
            is_writable: !mount.read_only,
        }
    }
}

/// What a container does, and since when, in seconds.
fn sentence(view: &ContainerView, now: Timestamp) -> String {
    let since = |moment: Option<Timestamp>| moment.map_or(0, |moment| now.as_second() - moment.as_second()).max(0);
    match view.state.status {
        ContainerStatus::Running => format!("Up {} seconds", since(view.state.started_at)),
        ContainerStatus::Paused => format!("Up {} seconds (Paused)", since(view.state.started_at)),
        ContainerStatus::Exited => {
            format!("Exited ({}) {} seconds ago", view.state.exit_code, since(view.state.finished_at))
        }
        ContainerStatus::Created => "Created".to_owned(),
        ContainerStatus::Restarting => format!("Restarting ({})", view.state.exit_code),
        ContainerStatus::Removing => "Removal In Progress".to_owned(),
        ContainerStatus::Dead => "Dead".to_owned(),
    }
}
