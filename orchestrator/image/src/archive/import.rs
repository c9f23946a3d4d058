//! `docker import`: makes an image of one layer from an archive of files.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;

use crate::body::with_body;
use crate::config::{HistoryStep, RootfsList};
use crate::store::{Ingredients, layer_type, new_manifest, seal_blob, store_document};
use crate::unpack::diff_id_of;
use crate::{Descriptor, Digest, ImageConfig, ImageError, ImageStore, Platform, Reference, RunConfig};

/// What an imported image is to be, besides its files.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Its name, if it gets one.
    pub name: Option<Reference>,
    /// Where the files came from, or what was said of them.
    pub message: String,
    /// How its containers run.
    pub config: RunConfig,
    /// The machine it is for; this one where nothing is said.
    pub platform: Option<Platform>,
}

impl ImageStore {
    /// Makes an image from an archive of files, packed or not. Returns its id.
    pub async fn import(
        &self,
        body: impl Stream<Item = io::Result<Bytes>>,
        import: Import,
    ) -> Result<Digest, ImageError> {
        self.swept(self.import_layer(body, import)).await
    }

    async fn import_layer(
        &self,
        body: impl Stream<Item = io::Result<Bytes>>,
        import: Import,
    ) -> Result<Digest, ImageError> {
        let (shared, store) = (Arc::clone(&self.shared), self.clone());
        let name = import.name.clone();
        let (image, _pinned) = with_body(body, move |reader| {
            // Whether it is too much is seen while it is unpacked; the disk's end is seen while it is written.
            let mut packed = seal_blob(&shared.folders, reader, u64::MAX)?;
            let file = std::fs::File::open(packed.path()).map_err(ImageError::io("open", packed.path()))?;
            let diff_id = diff_id_of(file, shared.limits).map_err(ImageError::layer(packed.digest))?;
            let layer = Descriptor::new(layer_type(packed.path())?, packed.digest, packed.size);
            let config = new_config(diff_id, import);
            let text = serde_json::to_vec(&config).expect("a configuration has texts as keys");
            let id = Digest::of(&text);
            let manifest_text = new_manifest(id, text.len() as u64, vec![layer.clone()]);
            let size = manifest_text.len() as u64;
            let manifest = Descriptor::new(crate::manifest::OCI_MANIFEST, Digest::of(&manifest_text), size);
            let image = Ingredients::new(id, &text, manifest, vec![layer])?;
            let pinned = store.pin(&image);
            store_document(&shared.folders, &text)?;
            store_document(&shared.folders, &manifest_text)?;
            packed.publish(&shared.folders)?;
            Ok::<_, ImageError>((image, pinned))
        })
        .await?;
        let id = image.id;
        self.admit(image, name.into_iter().collect()).await?;
        Ok(id)
    }
}

fn new_config(diff_id: Digest, import: Import) -> ImageConfig {
    let platform = import.platform.unwrap_or_else(Platform::host);
    let created = Some(Timestamp::now());
    let step = HistoryStep { created, comment: import.message.clone(), ..HistoryStep::default() };
    ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        created,
        comment: import.message,
        config: import.config,
        rootfs: RootfsList { diff_ids: vec![diff_id], ..RootfsList::default() },
        history: vec![step],
        ..ImageConfig::default()
    }
}
