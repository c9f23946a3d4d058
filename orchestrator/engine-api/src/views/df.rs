//! What takes room on a node's disk, as `docker system df` shows it.

use serde::Serialize;

use super::container;
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
    pub(crate) containers: Option<Vec<container::SummaryDocument>>,
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
