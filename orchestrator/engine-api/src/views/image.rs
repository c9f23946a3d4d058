//! Images, as Docker shows them in lists, one by one, and by their history.

mod config;
mod summary;

use std::collections::BTreeMap;

use image::{Descriptor, HistoryLine, Image, Removed};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::time;
use crate::version::ApiVersion;
use config::config;
pub(crate) use summary::{Sharing, SummaryDocument};

/// Since when the descriptor of an image's manifest is shown.
const DESCRIPTOR_SINCE: ApiVersion = ApiVersion::new(1, 48);
/// Until when the size was shown twice.
const VIRTUAL_SIZE_UNTIL: ApiVersion = ApiVersion::new(1, 44);
/// What the layers are mounted with.
const DRIVER: &str = "overlayfs";

/// Docker's `InspectResponse`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageDocument {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    parent: String,
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    docker_version: String,
    author: String,
    config: Value,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
    graph_driver: DriverView,
    #[serde(rename = "RootFS")]
    root_fs: RootFsView,
    metadata: MetadataView,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<Descriptor>,
}

/// Where the layers lie is the engine's own affair.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DriverView {
    data: Option<BTreeMap<String, String>>,
    name: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFsView {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetadataView {
    last_tag_time: String,
}

impl ImageDocument {
    /// Shows an image to a client of this age.
    pub(crate) fn new(image: Image, version: ApiVersion) -> Self {
        let layers = image.config.rootfs.diff_ids.iter().map(ToString::to_string).collect();
        Self {
            id: image.id.to_string(),
            repo_tags: image.repo_tags,
            repo_digests: image.repo_digests,
            parent: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
            comment: image.config.comment.clone(),
            created: image.config.created.map(time),
            docker_version: image.config.docker_version.clone(),
            author: image.config.author.clone(),
            config: config(&image.config.config, version),
            architecture: image.config.architecture.clone(),
            variant: image.config.variant.clone(),
            os: image.config.os.clone(),
            size: image.bytes,
            virtual_size: (version < VIRTUAL_SIZE_UNTIL).then_some(image.bytes),
            graph_driver: DriverView { data: None, name: DRIVER },
            root_fs: RootFsView { kind: "layers", layers },
            metadata: MetadataView { last_tag_time: time(image.tagged) },
            descriptor: (version >= DESCRIPTOR_SINCE).then_some(image.manifest),
        }
    }
}

/// Docker's `HistoryResponseItem`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HistoryDocument {
    comment: String,
    created: i64,
    created_by: String,
    id: String,
    size: u64,
    tags: Option<Vec<String>>,
}

impl From<HistoryLine> for HistoryDocument {
    fn from(line: HistoryLine) -> Self {
        Self {
            comment: line.comment,
            created: line.created.map_or(0, Timestamp::as_second),
            created_by: line.created_by,
            id: line.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
            size: line.bytes,
            tags: Some(line.tags).filter(|tags| !tags.is_empty()),
        }
    }
}

/// Docker's `DeleteResponse`: one or the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum RemovedDocument {
    /// The id of an image or a layer that is gone.
    Deleted(String),
    /// A name that is gone.
    Untagged(String),
}

impl From<Removed> for RemovedDocument {
    fn from(removed: Removed) -> Self {
        match removed {
            Removed::Untagged(name) => Self::Untagged(name),
            Removed::Deleted(id) => Self::Deleted(id.to_string()),
        }
    }
}

/// Docker's `PruneReport`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PruneDocument {
    images_deleted: Option<Vec<RemovedDocument>>,
    space_reclaimed: u64,
}

impl From<image::Pruned> for PruneDocument {
    fn from(pruned: image::Pruned) -> Self {
        let removed: Vec<_> = pruned.removed.into_iter().map(RemovedDocument::from).collect();
        Self { images_deleted: Some(removed).filter(|removed| !removed.is_empty()), space_reclaimed: pruned.bytes }
    }
}
