//! What containers stand on: as long as one is there, its layers are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ImageRecord, ImageStore, Shared, Unpacking, blocking};
use crate::{Digest, ImageError};

/// A container's claim on the layers that it stands on. The engine keeps it with the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The container's id.
    pub holder: String,
    /// Its image.
    pub image: Digest,
    /// The uppermost layer; `None` for an image without layers.
    pub chain_id: Option<Digest>,
}

/// The unpacked layers of an image, ready to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs {
    pub(crate) store: PathBuf,
    /// Relative to the store, the uppermost first; never empty.
    pub(crate) lowers: Vec<String>,
}

impl Rootfs {
    /// The folders of the layers, the uppermost first; an empty one for an image without layers.
    pub fn lower_folders(&self) -> Vec<PathBuf> {
        self.lowers.iter().map(|lower| self.store.join(lower)).collect()
    }

    /// The folder that the lower folders are named from.
    pub fn store(&self) -> &Path {
        &self.store
    }
}

impl ImageStore {
    /// Claims an image for a container, and has all its layers unpacked.
    ///
    /// From now until [`release`](Self::release) the layers stay, also when the image is removed by force. Doing it
    /// again for the same container is the same claim.
    pub async fn hold(&self, holder: &str, image: Digest) -> Result<(Hold, Rootfs), ImageError> {
        let catalog = self.shared.catalog();
        let record = catalog.images.get(&image).ok_or_else(|| ImageError::NoSuchImage(image.to_string()))?;
        let hold = Hold { holder: holder.to_owned(), image, chain_id: record.chain().last().copied() };
        let _pinned = self.shared.pins.pin(record.chain().into_iter().chain(record.blobs(image)));
        self.ensure_unpacked(record).await?;
        let rootfs = self.rootfs(&hold)?;
        self.shared.holds().insert(holder.to_owned(), hold.clone());
        Ok((hold, rootfs))
    }

    /// The layers of a container that has a hold. Where a power failure took some they are unpacked again, if the image
    /// is still there.
    pub async fn rootfs_of(&self, hold: &Hold) -> Result<Rootfs, ImageError> {
        if let Ok(rootfs) = self.rootfs(hold) {
            return Ok(rootfs);
        }
        self.hold(&hold.holder, hold.image).await.map(|(_, rootfs)| rootfs)
    }

    /// Gives a container's claim up, once nothing of it is mounted. Layers that nothing else needs go.
    pub async fn release(&self, holder: &str) -> Result<(), ImageError> {
        let Some(hold) = self.shared.holds().remove(holder) else { return Ok(()) };
        let Some(chain_id) = hold.chain_id else { return Ok(()) };
        if self.shared.catalog().images.contains_key(&hold.image) {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let stack = shared.layers().stack(chain_id);
            shared.change_and_collect(|_| Ok(((), Vec::new(), stack))).map(drop)
        })
        .await
    }

    /// Who holds an image.
    pub fn holders_of(&self, image: Digest) -> Vec<String> {
        self.shared.holds().values().filter(|hold| hold.image == image).map(|hold| hold.holder.clone()).collect()
    }

    fn rootfs(&self, hold: &Hold) -> Result<Rootfs, ImageError> {
        let store = self.shared.folders.root().to_owned();
        let Some(chain_id) = hold.chain_id else { return Ok(Rootfs { store, lowers: vec!["empty".to_owned()] }) };
        let layers = self.shared.layers();
        let links = layers.stack(chain_id).into_iter().map(|id| layers.link_of(id).map(|link| format!("l/{link}")));
        match links.collect::<Option<Vec<_>>>() {
            Some(lowers) => Ok(Rootfs { store, lowers }),
            None => Err(ImageError::NotWhole(format!("a layer below {chain_id} is missing"))),
        }
    }

    /// Unpacks what is not unpacked. The caller has layers and blobs pinned.
    pub(crate) async fn ensure_unpacked(&self, record: &ImageRecord) -> Result<(), ImageError> {
        let mut parent = None;
        for (layer, chain_id) in record.layers.iter().zip(record.chain()) {
            let unpacking = Unpacking {
                chain_id,
                parent,
                diff_id: layer.diff_id,
                blob: layer.blob.digest,
                limits: self.shared.limits,
            };
            self.shared.unpack_layer(unpacking, |_| ()).await?;
            parent = Some(chain_id);
        }
        Ok(())
    }
}

impl Shared {
    /// Unpacks a layer, unless it is there; returns the bytes of its files. Its parent is there; it is pinned.
    pub(crate) async fn unpack_layer(
        self: &Arc<Self>,
        unpacking: Unpacking,
        on_progress: impl FnMut(u64) + Send + 'static,
    ) -> Result<u64, ImageError> {
        let chain_id = unpacking.chain_id;
        let existing = self.layers().bytes(chain_id);
        if let Some(bytes) = existing {
            return Ok(bytes);
        }
        let turn = self.turns.take(chain_id).await;
        let shared = Arc::clone(self);
        let pinned = self.pins.pin([chain_id, unpacking.blob].into_iter().chain(unpacking.parent));
        blocking(move || {
            // Goes on to its end where nobody waits any more, so turn and pins go with it.
            let _turn = turn;
            let existing = shared.layers().bytes(chain_id);
            let outcome = match existing {
                Some(bytes) => Ok(bytes),
                None => unpacking.run(&shared.layers, on_progress),
            };
            drop(pinned);
            shared.sweep_stray(unpacking.blob, [chain_id].into_iter().chain(unpacking.parent));
            outcome
        })
        .await
    }
}
