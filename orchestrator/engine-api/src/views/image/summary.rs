//! A line of a list of images.

use std::collections::BTreeMap;

use image::{Descriptor, Digest, Image};
use jiff::Timestamp;
use serde::Serialize;

use super::{DESCRIPTOR_SINCE, VIRTUAL_SIZE_UNTIL};
use crate::version::ApiVersion;

/// Until when an image without names had names that say so.
const NONE_UNTIL: ApiVersion = ApiVersion::new(1, 43);

/// Docker's `image.Summary`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SummaryDocument {
    containers: i64,
    created: i64,
    id: String,
    labels: Option<BTreeMap<String, String>>,
    parent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<Descriptor>,
    repo_digests: Vec<String>,
    repo_tags: Vec<String>,
    shared_size: i64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
}

impl SummaryDocument {
    /// Adds how many containers are of the image.
    pub(crate) fn used_by(self, containers: usize) -> Self {
        Self { containers: i64::try_from(containers).unwrap_or(i64::MAX), ..self }
    }

    /// Shows an image to a client of this age. `sharing` is there where the client wants to know what is shared.
    pub(crate) fn new(image: Image, sharing: Option<&Sharing>, version: ApiVersion) -> Self {
        let shared_size = sharing.map_or(-1, |sharing| i64::try_from(sharing.bytes(&image)).unwrap_or(i64::MAX));
        let has_no_name = image.repo_tags.is_empty() && image.repo_digests.is_empty();
        let (repo_tags, repo_digests) = if has_no_name && version < NONE_UNTIL {
            (vec!["<none>:<none>".to_owned()], vec!["<none>@<none>".to_owned()])
        } else {
            (image.repo_tags, image.repo_digests)
        };
        Self {
            // Who counts containers lists them.
            containers: -1,
            created: image.config.created.map_or(0, Timestamp::as_second),
            id: image.id.to_string(),
            labels: Some(image.config.config.labels.clone()).filter(|labels| !labels.is_empty()),
            parent_id: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
            descriptor: (version >= DESCRIPTOR_SINCE).then_some(image.manifest),
            repo_digests,
            repo_tags,
            shared_size,
            size: image.bytes,
            virtual_size: (version < VIRTUAL_SIZE_UNTIL).then_some(image.bytes),
        }
    }
}

/// How many images stand on each layer.
#[derive(Debug, Clone)]
pub(crate) struct Sharing(BTreeMap<Digest, usize>);

impl Sharing {
    /// Counts over all images of the node.
    pub(crate) fn new(images: &[Image]) -> Self {
        let mut counts = BTreeMap::new();
        for layer in images.iter().flat_map(|image| &image.chain) {
            *counts.entry(*layer).or_default() += 1;
        }
        Self(counts)
    }

    /// The bytes of an image in layers that others have, too.
    fn bytes(&self, image: &Image) -> u64 {
        let layers = image.chain.iter().zip(&image.layer_bytes);
        layers.filter(|(layer, _)| self.0.get(layer).is_some_and(|count| *count > 1)).map(|(_, bytes)| bytes).sum()
    }
}
