//! Takes an image in whose blobs are there: unpacks what is not unpacked, and writes it into the catalog.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::{ImageRecord, ImageStore, LayerRecord, Pinned, Unpacking, blocking};
use crate::digest::chain_ids;
use crate::manifest::{LAYER_LIMIT, Manifest, OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST};
use crate::unpack::verify;
use crate::{Descriptor, Digest, ImageConfig, ImageError, ManifestError, Reference};

/// An image whose blobs are there, or will be.
#[derive(Debug, Clone)]
pub(crate) struct Ingredients {
    /// The digest of the configuration.
    pub(crate) id: Digest,
    pub(crate) config: Arc<ImageConfig>,
    pub(crate) manifest: Descriptor,
    /// The packed layers, lowest first.
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) parent: Option<Digest>,
    /// The indexes that lead to it.
    pub(crate) aliases: Vec<Descriptor>,
}

impl Ingredients {
    /// Reads a configuration and sees whether it fits the layers.
    pub(crate) fn new(
        id: Digest,
        config: &[u8],
        manifest: Descriptor,
        layers: Vec<Descriptor>,
    ) -> Result<Self, ImageError> {
        let config: ImageConfig = serde_json::from_slice(config)
            .map_err(|error| ImageError::NotWhole(format!("its configuration cannot be read: {error}")))?;
        let count = config.rootfs.diff_ids.len();
        if count != layers.len() {
            let what = format!("its configuration names {count} layers, and it has {}", layers.len());
            return Err(ImageError::NotWhole(what));
        }
        if count > LAYER_LIMIT {
            return Err(ImageError::manifest(id)(ManifestError::TooManyLayers(count)));
        }
        if !matches!(config.os.as_str(), "" | "linux") {
            return Err(ImageError::NotWhole(format!("it is made for {}, and nodes run linux", config.os)));
        }
        Ok(Self { id, config: Arc::new(config), manifest, layers, parent: None, aliases: Vec::new() })
    }

    /// Names of the unpacked layers with all below each, lowest first.
    pub(crate) fn chain(&self) -> Vec<Digest> {
        chain_ids(self.config.rootfs.diff_ids.iter().copied())
    }

    /// One of its layers, to be unpacked.
    pub(crate) fn unpacking(&self, index: usize, limits: crate::UnpackLimits) -> Unpacking {
        let chain = self.chain();
        Unpacking {
            chain_id: chain[index],
            parent: index.checked_sub(1).map(|below| chain[below]),
            diff_id: self.config.rootfs.diff_ids[index],
            blob: self.layers[index].digest,
            limits,
        }
    }
}

impl ImageStore {
    /// Keeps all that an image consists of, whether it is there yet or not.
    pub(crate) fn pin(&self, image: &Ingredients) -> Pinned {
        let layers = image.layers.iter().map(|layer| layer.digest);
        let aliases = image.aliases.iter().map(|alias| alias.digest);
        let documents = [image.id, image.manifest.digest].into_iter().chain(aliases);
        self.shared.pins.pin(documents.chain(layers).chain(image.chain()))
    }

    /// Unpacks the layers and registers the image under these names. The caller has it pinned, and its blobs are there.
    pub(crate) async fn admit(&self, image: Ingredients, names: Vec<Reference>) -> Result<(), ImageError> {
        let mut bytes = Vec::new();
        for index in 0..image.layers.len() {
            bytes.push(self.admit_layer(&image, index, |_| ()).await?);
        }
        self.enlist(image, bytes, names).await
    }

    /// Unpacks one layer, whose blob is there and whose parent is unpacked; returns the bytes of its files.
    pub(crate) async fn admit_layer(
        &self,
        image: &Ingredients,
        index: usize,
        on_progress: impl FnMut(u64) + Send + 'static,
    ) -> Result<u64, ImageError> {
        let unpacking = image.unpacking(index, self.shared.limits);
        let existing = self.shared.layers().bytes(unpacking.chain_id);
        let Some(bytes) = existing else { return self.shared.unpack_layer(unpacking, on_progress).await };
        // The unpacked layer came from another blob, perhaps: this one must be what it says all the same, for others
        // will be given it.
        let Unpacking { blob, diff_id, limits, .. } = unpacking;
        let is_known = |record: &ImageRecord| {
            record.layers.iter().any(|layer| layer.blob.digest == blob && layer.diff_id == diff_id)
        };
        if blob != diff_id && !self.shared.catalog().images.values().any(is_known) {
            let path = self.shared.folders.blob(blob);
            blocking(move || {
                let file = File::open(&path).map_err(ImageError::io("open", &path))?;
                verify(file, diff_id, limits).map_err(ImageError::layer(blob))
            })
            .await?;
        }
        Ok(bytes)
    }

    /// Registers an image whose layers are unpacked to these numbers of bytes.
    pub(crate) async fn enlist(
        &self,
        image: Ingredients,
        bytes: Vec<u64>,
        names: Vec<Reference>,
    ) -> Result<(), ImageError> {
        let diff_ids = image.config.rootfs.diff_ids.iter().copied();
        let layers = image.layers.into_iter().zip(diff_ids).zip(bytes);
        let record = ImageRecord {
            manifest: image.manifest,
            aliases: image.aliases,
            layers: layers.map(|((blob, diff_id), bytes)| LayerRecord { diff_id, blob, bytes }).collect(),
            parent: image.parent,
            tagged: Timestamp::now(),
            config: image.config,
        };
        self.register(image.id, record, names).await
    }
}

/// The manifest of an image that came without one, or was made here.
pub(crate) fn new_manifest(config: Digest, config_size: u64, mut layers: Vec<Descriptor>) -> Vec<u8> {
    for layer in &mut layers {
        // Docker's words for the same have no place in the OCI's manifest.
        let media_type = match layer.media_type.rsplit(['.', '+']).next() {
            Some("gzip") => OCI_LAYER_GZIP,
            Some("zstd") => OCI_LAYER_ZSTD,
            _ => OCI_LAYER,
        };
        media_type.clone_into(&mut layer.media_type);
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: Descriptor::new(OCI_CONFIG, config, config_size),
        layers,
    };
    serde_json::to_vec(&manifest).expect("a manifest has texts as keys")
}

/// What a packed layer is, by its first bytes.
pub(crate) fn layer_type(path: &Path) -> Result<&'static str, ImageError> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut head));
    read.map_err(ImageError::io("read", path))?;
    Ok(match head[..] {
        [0x1f, 0x8b, ..] => OCI_LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => OCI_LAYER_ZSTD,
        _ => OCI_LAYER,
    })
}
