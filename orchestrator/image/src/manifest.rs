//! Manifests and indexes, in the OCI's and in Docker's (schema 2) form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Platform};

/// The longest manifest, index or image configuration that is read: 4 MiB, as containerd and Docker's registry have it.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;
/// The most layers of an image: overlayfs takes its lower folders from one page of options, as in Docker.
pub(crate) const LAYER_LIMIT: usize = 127;

/// The OCI's image manifest.
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The OCI's index of manifests.
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's image manifest.
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's list of manifests.
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The OCI's image configuration.
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// An uncompressed layer, in the OCI's words.
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A gzipped layer, in the OCI's words.
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A zstd layer, in the OCI's words.
pub(crate) const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Names some content: what it is, its digest and its length in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// The content's name.
    pub digest: Digest,
    /// The content's length, bytes.
    pub size: u64,
    /// In an index: the machine that the manifest is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::config::null_is_default")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Names content without a platform or notes.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, platform: None, annotations: BTreeMap::new() }
    }
}

/// One image: its configuration and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// Several images, or one for several machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// What a manifest's name can lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON, or not of this form.
    #[error("the manifest is not as the image specification has it")]
    Form(#[source] serde_json::Error),
    /// Docker's first form, or what is not an image at all.
    #[error("manifests of the form `{0}` are not supported")]
    Unsupported(String),
    /// More layers than can be mounted.
    #[error("the image has {0} layers; at most {LAYER_LIMIT} can be mounted")]
    TooManyLayers(usize),
    /// None of the images of an index is for this machine.
    #[error("no matching manifest for {wanted} in the manifest list entries: it has {offered}")]
    NoPlatform {
        /// The machine.
        wanted: Platform,
        /// What there is instead.
        offered: String,
    },
}

impl Document {
    /// Reads a manifest or an index. `media_type` is what the sender says it is; what the text says of itself comes
    /// first.
    pub(crate) fn parse(bytes: &[u8], media_type: &str) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            schema_version: u32,
            #[serde(default)]
            media_type: String,
            manifests: Option<serde::de::IgnoredAny>,
            layers: Option<serde::de::IgnoredAny>,
        }
        let kind: Kind = serde_json::from_slice(bytes).map_err(ManifestError::Form)?;
        let said = if kind.media_type.is_empty() { media_type } else { &kind.media_type };
        if kind.schema_version != 2 {
            return Err(ManifestError::Unsupported(format!("schema {}", kind.schema_version)));
        }
        match (said, kind.manifests.is_some(), kind.layers.is_some()) {
            // Whoever could be read as both means different images to different readers.
            (_, true, true) => Err(ManifestError::Unsupported("manifest and index in one".to_owned())),
            (_, true, false) => serde_json::from_slice(bytes).map(Self::Index).map_err(ManifestError::Form),
            (_, false, true) => {
                let manifest: Manifest = serde_json::from_slice(bytes).map_err(ManifestError::Form)?;
                if manifest.layers.len() > LAYER_LIMIT {
                    return Err(ManifestError::TooManyLayers(manifest.layers.len()));
                }
                Ok(Self::Manifest(manifest))
            }
            (said, false, false) => Err(ManifestError::Unsupported(said.chars().take(120).collect())),
        }
    }
}

impl Index {
    /// The image that fits a machine best.
    pub(crate) fn choose(&self, wanted: &Platform) -> Result<&Descriptor, ManifestError> {
        let distance = |descriptor: &&Descriptor| match &descriptor.platform {
            Some(platform) => wanted.distance(platform),
            // Who does not say so has one image only, for whoever asks.
            None if self.manifests.len() == 1 => Some(u32::MAX),
            None => None,
        };
        let fitting = self.manifests.iter().filter_map(|descriptor| Some((distance(&descriptor)?, descriptor)));
        fitting.min_by_key(|(distance, _)| *distance).map(|(_, descriptor)| descriptor).ok_or_else(|| {
            let offered = self.platforms().iter().take(16).map(Platform::to_string).collect::<Vec<_>>().join(", ");
            ManifestError::NoPlatform { wanted: wanted.clone(), offered }
        })
    }

    /// The machines that there are images for, without what is no image (attestations).
    pub(crate) fn platforms(&self) -> Vec<Platform> {
        let platforms = self.manifests.iter().filter_map(|descriptor| descriptor.platform.clone());
        platforms.filter(|platform| platform.architecture != "unknown").collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn descriptor(platform: &serde_json::Value) -> serde_json::Value {
        json!({"mediaType": OCI_MANIFEST, "digest": Digest::of(platform.to_string().as_bytes()), "size": 2, "platform": platform})
    }

    fn parse(value: &serde_json::Value) -> Result<Document, ManifestError> {
        Document::parse(value.to_string().as_bytes(), "")
    }

    #[test]
    fn the_image_of_an_index_that_fits_best_is_chosen() {
        let v6 = descriptor(&json!({"os": "linux", "architecture": "arm", "variant": "v6"}));
        let v5 = descriptor(&json!({"os": "linux", "architecture": "arm", "variant": "v5"}));
        let attestation = descriptor(&json!({"os": "unknown", "architecture": "unknown"}));
        let index = json!({"schemaVersion": 2, "manifests": [attestation, v5, v6.clone()]});

        let Ok(Document::Index(index)) = parse(&index) else { panic!("it is an index") };

        let chosen = index.choose(&"linux/arm/v7".parse().unwrap()).unwrap();
        assert_eq!(json!(chosen.digest), v6["digest"]);
        assert_eq!(index.platforms().len(), 2);
        assert!(matches!(index.choose(&"linux/amd64".parse().unwrap()), Err(ManifestError::NoPlatform { .. })));
    }

    #[test]
    fn what_is_no_image_is_refused_by_name() {
        let both = json!({"schemaVersion": 2, "manifests": [], "layers": []});
        let old = json!({"schemaVersion": 1, "name": "x"});
        let other = json!({"schemaVersion": 2, "mediaType": "application/x"});
        for value in [both, old, other] {
            assert!(matches!(parse(&value), Err(ManifestError::Unsupported(_))), "{value}");
        }
        assert!(matches!(Document::parse(b"<html>", ""), Err(ManifestError::Form(_))));
    }

    #[test]
    fn an_image_with_more_layers_than_can_be_mounted_is_refused() {
        let layer = descriptor(&json!(null));
        let manifest = json!({"schemaVersion": 2, "config": layer, "layers": vec![layer.clone(); LAYER_LIMIT + 1]});

        assert!(matches!(parse(&manifest), Err(ManifestError::TooManyLayers(128))));
    }
}
