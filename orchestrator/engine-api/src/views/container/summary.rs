//! A line of a list of containers.

use std::collections::BTreeMap;

use engine::{ContainerRecord, ContainerView};
use jiff::Timestamp;
use serde::Serialize;

use super::mount::{MountView, mounts};
use super::network::{self, EndpointView, PortView};
use super::{Sizes, program, state};

/// Docker's `container.Summary`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SummaryDocument {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    ports: Vec<PortView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    labels: BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: HostConfigView,
    network_settings: NetworksView,
    mounts: Vec<MountView>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfigView {
    network_mode: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworksView {
    networks: BTreeMap<String, EndpointView>,
}

/// What a line is made of.
#[derive(Debug)]
pub(crate) struct SummaryParts<'a> {
    /// The container.
    pub(crate) view: &'a ContainerView,
    /// Whether the name of its image still means its image.
    pub(crate) has_image_name: bool,
    /// Its sizes, where the client asks for them.
    pub(crate) sizes: Option<Sizes>,
    /// This moment.
    pub(crate) now: Timestamp,
}

impl SummaryDocument {
    /// Shows a container.
    pub(crate) fn new(parts: &SummaryParts<'_>) -> Self {
        let ContainerView { record, state: known } = parts.view;
        let image_id = record.image.to_string();
        Self {
            id: record.id.clone(),
            names: vec![format!("/{}", record.name)],
            image: if parts.has_image_name { record.config.image.clone() } else { image_id.clone() },
            image_id,
            command: command(record),
            created: record.created.as_second(),
            ports: network::ports(parts.view),
            size_rw: parts.sizes.map(|sizes| sizes.changed),
            size_root_fs: parts.sizes.map(|sizes| sizes.changed.saturating_add(sizes.image)),
            labels: record.config.labels.clone(),
            state: known.status.as_str(),
            status: state::sentence(known, parts.now),
            host_config: HostConfigView {
                network_mode: network::mode(record),
                annotations: record.host_config.annotations.clone(),
            },
            network_settings: NetworksView { networks: network::endpoints(parts.view) },
            mounts: mounts(record),
        }
    }
}

/// The program with its words; those with blanks are quoted.
fn command(record: &ContainerRecord) -> String {
    let (path, arguments) = program(record);
    let quoted = arguments.into_iter().map(|word| if word.contains(' ') { format!("'{word}'") } else { word });
    [path].into_iter().chain(quoted).collect::<Vec<_>>().join(" ")
}
