//! The one document that says which images there are, and by which names.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::blob::read_blob;
use super::folders::{Folders, read_document};
use crate::digest::chain_ids;
use crate::manifest::DOCUMENT_LIMIT;
use crate::{Descriptor, Digest, ImageConfig, ImageError, Reference};

/// The only format so far.
pub(super) const FORMAT: u32 = 1;

/// All images and their names. What is not reachable from here is garbage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Catalog {
    pub(super) format: u32,
    /// By id: the digest of the configuration.
    pub(crate) images: BTreeMap<Digest, ImageRecord>,
    /// By name, with a tag or with a digest.
    pub(crate) references: BTreeMap<Reference, Digest>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self { format: FORMAT, images: BTreeMap::new(), references: BTreeMap::new() }
    }
}

/// What is kept of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    /// The manifest that it came with, or that was made for it.
    pub(crate) manifest: Descriptor,
    /// Indexes and manifests of other registries that lead to it, the last one last: for nodes that know it by them.
    #[serde(default)]
    pub(crate) aliases: Vec<Descriptor>,
    /// Its layers, lowest first.
    pub(crate) layers: Vec<LayerRecord>,
    /// The image that it was made from here.
    pub(crate) parent: Option<Digest>,
    /// When it was named last.
    pub(crate) tagged: Timestamp,
    /// What the configuration says; kept among the blobs.
    #[serde(skip)]
    pub(crate) config: Arc<ImageConfig>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    /// The digest of the uncompressed layer.
    pub(crate) diff_id: Digest,
    /// The layer as it came.
    pub(crate) blob: Descriptor,
    /// The bytes of its files.
    pub(crate) bytes: u64,
}

impl ImageRecord {
    /// The names of its layers together with all below each, lowest first.
    pub(crate) fn chain(&self) -> Vec<Digest> {
        chain_ids(self.layers.iter().map(|layer| layer.diff_id))
    }

    /// All blobs that it needs, given its id.
    pub(crate) fn blobs(&self, id: Digest) -> impl Iterator<Item = Digest> + '_ {
        let aliases = self.aliases.iter().map(|alias| alias.digest);
        [id, self.manifest.digest].into_iter().chain(aliases).chain(self.layers.iter().map(|layer| layer.blob.digest))
    }

    /// The bytes of all its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).sum()
    }
}

impl Catalog {
    /// Finds an image by name, digest, id or the beginning of its id, in Docker's order.
    pub(crate) fn find(&self, name: &str) -> Result<(Digest, &ImageRecord), ImageError> {
        let missing = || ImageError::NoSuchImage(name.to_owned());
        let by_id = |id: Digest| self.images.get(&id).map(|record| (id, record));
        if let Ok(id) = Digest::from_hex(name).or_else(|_| name.parse()) {
            return by_id(id).ok_or_else(missing);
        }
        // An id's beginning can be no name, and a name no id's beginning.
        let reference: Result<Reference, _> = name.parse();
        if let Ok(reference) = &reference
            && let Some(id) = self.resolve(reference)
        {
            return by_id(id).ok_or_else(missing);
        }
        let prefix = name.strip_prefix("sha256:").unwrap_or(name);
        if prefix.is_empty() || !prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            reference?;
            return Err(missing());
        }
        let mut fitting = self.images.iter().filter(|(id, _)| id.hex().starts_with(prefix));
        match (fitting.next(), fitting.next()) {
            (Some((id, record)), None) => Ok((*id, record)),
            (Some(_), Some(_)) => Err(ImageError::Ambiguous(name.to_owned())),
            (None, _) => Err(missing()),
        }
    }

    /// The image of exactly this name; where it has a digest, the tag does not count.
    pub(crate) fn resolve(&self, reference: &Reference) -> Option<Digest> {
        let key = reference.digest().map(|digest| reference.at(digest));
        self.references.get(key.as_ref().unwrap_or(reference)).copied()
    }

    /// The image that a manifest or an index with this digest leads to, and that document.
    pub(crate) fn with_document(&self, digest: Digest) -> Option<(Digest, &ImageRecord, &Descriptor)> {
        self.images.iter().find_map(|(id, record)| {
            let mut documents = record.aliases.iter().chain([&record.manifest]);
            documents.find(|document| document.digest == digest).map(|document| (*id, record, document))
        })
    }

    /// The names of an image.
    pub(crate) fn names_of(&self, id: Digest) -> impl Iterator<Item = &Reference> {
        self.references.iter().filter(move |(_, named)| **named == id).map(|(reference, _)| reference)
    }

    /// The images that were made here from this one.
    pub(crate) fn children_of(&self, id: Digest) -> impl Iterator<Item = Digest> + '_ {
        self.images.iter().filter(move |(_, record)| record.parent == Some(id)).map(|(child, _)| *child)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads the catalog, and each image's configuration with it. An image whose configuration has rotted is let go: what a
/// registry has can be had again, and the others must not go with it.
pub(super) fn load(folders: &Folders) -> Result<Catalog, ImageError> {
    let path = folders.catalog();
    let Some(mut catalog) = read_document::<Catalog>(&path)? else { return Ok(Catalog::default()) };
    if catalog.format != FORMAT {
        let source = serde::de::Error::custom(format!("format {} is not known", catalog.format));
        return Err(ImageError::Damaged { path, source });
    }
    catalog.images.retain(|id, record| match read_config(folders, *id) {
        Ok(config) => {
            record.config = Arc::new(config);
            true
        }
        Err(error) => {
            let error = model::with_causes(&error);
            tracing::warn!(image = %id, %error, "an image cannot be read any more; it can be pulled again");
            false
        }
    });
    let images = &catalog.images;
    catalog.references.retain(|_, id| images.contains_key(id));
    Ok(catalog)
}

fn read_config(folders: &Folders, id: Digest) -> Result<ImageConfig, ImageError> {
    let bytes = read_blob(folders, id, DOCUMENT_LIMIT)?;
    serde_json::from_slice(&bytes).map_err(|source| ImageError::Damaged { path: folders.blob(id), source })
}
