//! `docker commit`: makes an image of what a container changed.

use std::sync::Arc;

use jiff::Timestamp;

use super::ContainerRoot;
use super::pack::pack_folder;
use crate::config::HistoryStep;
use crate::manifest::{OCI_LAYER, OCI_MANIFEST};
use crate::store::{BlobWriter, Ingredients, Pinned, Shared, blocking, new_manifest, store_document};
use crate::{Descriptor, Digest, ImageError, ImageStore, Reference, RunConfig};

/// What an image made of a container is to be, besides its files.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The container's image.
    pub base: Digest,
    /// The new image's name, if it gets one.
    pub name: Option<Reference>,
    /// How its containers run: all of it, the base's settings included.
    pub config: RunConfig,
    /// Who made it.
    pub author: String,
    /// What was said.
    pub comment: String,
    /// What the container ran.
    pub created_by: String,
}

impl ImageStore {
    /// Makes an image of a container's changes. The container should rest meanwhile. Returns the image's id; a container
    /// that changed no file gives an image without a layer more.
    pub async fn commit(&self, root: &ContainerRoot, commit: Commit) -> Result<Digest, ImageError> {
        self.swept(self.commit_layer(root.clone(), commit)).await
    }

    async fn commit_layer(&self, root: ContainerRoot, commit: Commit) -> Result<Digest, ImageError> {
        let (store, shared) = (self.clone(), Arc::clone(&self.shared));
        let name = commit.name.clone();
        let (image, _pinned) = blocking(move || make(&store, &shared, &root, commit)).await?;
        let id = image.id;
        self.admit(image, name.into_iter().collect()).await?;
        Ok(id)
    }
}

/// Writes layer, configuration and manifest. Blocks.
fn make(
    store: &ImageStore,
    shared: &Shared,
    root: &ContainerRoot,
    commit: Commit,
) -> Result<(Ingredients, Vec<Pinned>), ImageError> {
    let missing = || ImageError::NoSuchImage(commit.base.to_string());
    let mut pinned = match shared.catalog().images.get(&commit.base) {
        Some(record) => vec![shared.pins.pin(record.blobs(commit.base))],
        None => return Err(missing()),
    };
    // Pinned, and still there.
    let catalog = shared.catalog();
    let base = catalog.images.get(&commit.base).ok_or_else(missing)?;
    let mut writer = BlobWriter::begin(&shared.folders, u64::MAX)?;
    let entries = pack_folder(&root.upper(), true, &mut writer)?;
    let mut layer = writer.seal();

    let mut config = crate::ImageConfig::clone(&base.config);
    let mut layers: Vec<Descriptor> = base.layers.iter().map(|layer| layer.blob.clone()).collect();
    if entries > 0 {
        config.rootfs.diff_ids.push(layer.digest);
        layers.push(Descriptor::new(OCI_LAYER, layer.digest, layer.size));
    }
    config.created = Some(Timestamp::now());
    config.history.push(HistoryStep {
        created: config.created,
        created_by: commit.created_by,
        author: commit.author.clone(),
        comment: commit.comment.clone(),
        empty_layer: entries == 0,
    });
    config.config = commit.config;
    config.author = commit.author;
    config.comment = commit.comment;
    let text = serde_json::to_vec(&config).expect("a configuration has texts as keys");
    let id = Digest::of(&text);
    let manifest_text = new_manifest(id, text.len() as u64, layers.clone());
    let manifest = Descriptor::new(OCI_MANIFEST, Digest::of(&manifest_text), manifest_text.len() as u64);
    let mut image = Ingredients::new(id, &text, manifest, layers)?;
    image.parent = Some(commit.base);
    pinned.push(store.pin(&image));
    store_document(&shared.folders, &text)?;
    store_document(&shared.folders, &manifest_text)?;
    if entries > 0 {
        layer.publish(&shared.folders)?;
    }
    Ok((image, pinned))
}
