//! The images of a node: what is kept, under which names, and for how long.
//!
//! ```text
//! catalog.json ── images ──> configuration, manifest, packed layers   (blobs, by digest)
//!              └─ names           └── unpacked layers (chains) <── holds of containers
//! ```
//!
//! Work in progress pins what it needs; what neither the catalog, a hold nor a pin reaches is collected. The catalog
//! changes in one step and last, so that whoever is killed leaves garbage at most, which the next opening takes away.

mod admit;
mod blob;
mod catalog;
mod collect;
mod folders;
mod hold;
mod layers;
mod pins;
mod prune;
mod removal;
mod tag;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;

use crate::manifest::DOCUMENT_LIMIT;
use crate::unpack::UnpackLimits;
use crate::{Descriptor, Digest, ImageConfig, ImageError};
pub(crate) use admit::{Ingredients, layer_type, new_manifest};
pub(crate) use blob::{BlobWriter, SealedBlob, read_blob, seal_blob, store_document};
pub(crate) use catalog::{Catalog, ImageRecord, LayerRecord};
pub(crate) use folders::Folders;
pub use hold::{Hold, Rootfs};
pub(crate) use layers::{LayerTable, Unpacking, boot_id};
pub(crate) use pins::{Pinned, Pins};
pub use prune::{PruneFilter, Pruned};
pub use removal::{Removal, Removed};
pub(crate) use turns::Turns;

/// The images of a node. Clones are handles to the same store.
#[derive(Debug, Clone)]
pub struct ImageStore {
    pub(crate) shared: Arc<Shared>,
}

/// What all handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folders: Folders,
    /// What readers see; replaced as a whole.
    catalog: RwLock<Arc<Catalog>>,
    /// One change of the catalog at a time, and no collection during one.
    changing: Mutex<()>,
    pub(crate) layers: Mutex<LayerTable>,
    /// By holder.
    holds: Mutex<BTreeMap<String, Hold>>,
    pub(crate) pins: Pins,
    pub(crate) turns: Turns,
    pub(crate) limits: UnpackLimits,
    _lock: File,
}

/// An image, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The digest of its configuration, as Docker counts.
    pub id: Digest,
    /// What its containers run, its labels, its history.
    pub config: Arc<ImageConfig>,
    /// Its names with tags, as Docker shows them: `alpine:latest`.
    pub repo_tags: Vec<String>,
    /// Its names with digests: `alpine@sha256:…`.
    pub repo_digests: Vec<String>,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its packed layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The names of its unpacked layers, each with all below it, lowest first.
    pub chain: Vec<Digest>,
    /// The image that it was made from on this node.
    pub parent: Option<Digest>,
    /// The bytes of its unpacked files.
    pub bytes: u64,
    /// The bytes of each unpacked layer, lowest first.
    pub layer_bytes: Vec<u64>,
    /// When it was named last.
    pub tagged: Timestamp,
}

impl ImageStore {
    /// Opens the store below `root`, which is made where it is missing, and collects what an earlier process left.
    ///
    /// `holds` are the containers that exist. Refused while another process has it open.
    pub async fn open(root: &Path, holds: Vec<Hold>, limits: UnpackLimits) -> Result<Self, ImageError> {
        let root = root.to_owned();
        blocking(move || {
            let lock = Folders::lock(&root)?;
            let folders = Folders::open(&root)?;
            let catalog = catalog::load(&folders)?;
            let layers = LayerTable::open(&folders)?;
            let shared = Shared {
                folders,
                catalog: RwLock::new(Arc::new(catalog)),
                changing: Mutex::new(()),
                layers: Mutex::new(layers),
                holds: Mutex::new(holds.into_iter().map(|hold| (hold.holder.clone(), hold)).collect()),
                pins: Pins::default(),
                turns: Turns::default(),
                limits,
                _lock: lock,
            };
            shared.collect_all()?;
            layers::sync_layers(&shared.layers)?;
            Ok(Self { shared: Arc::new(shared) })
        })
        .await
    }

    /// All images, in the order of their ids.
    pub fn list(&self) -> Vec<Image> {
        let catalog = self.shared.catalog();
        catalog.images.iter().map(|(id, record)| image(&catalog, *id, record)).collect()
    }

    /// The image of this name, digest, id or beginning of an id, in Docker's order.
    pub fn find(&self, name: &str) -> Result<Image, ImageError> {
        let catalog = self.shared.catalog();
        let (id, record) = catalog.find(name)?;
        Ok(image(&catalog, id, record))
    }

    /// The image's configuration as it came, byte for byte.
    pub async fn config_text(&self, id: Digest) -> Result<Vec<u8>, ImageError> {
        let folders = self.shared.folders.clone();
        blocking(move || read_blob(&folders, id, DOCUMENT_LIMIT)).await
    }

    /// A blob of an image in the catalog, open for reading, and its length; `None` for what no image has.
    ///
    /// For nodes that fetch images from this one: what a stranger asks for is found in the catalog or not at all.
    pub async fn blob(&self, digest: Digest) -> Result<Option<(File, u64)>, ImageError> {
        let catalog = self.shared.catalog();
        if !catalog.images.iter().any(|(id, record)| record.blobs(*id).any(|blob| blob == digest)) {
            return Ok(None);
        }
        let path = self.shared.folders.blob(digest);
        blocking(move || {
            let file = File::open(&path).map_err(ImageError::io("open", &path))?;
            let size = file.metadata().map_err(ImageError::io("read", &path))?.len();
            Ok(Some((file, size)))
        })
        .await
    }

    /// Those of these blobs that no image here has.
    pub fn lacking(&self, blobs: &[Digest]) -> Vec<Digest> {
        let catalog = self.shared.catalog();
        let here: BTreeSet<_> = catalog.images.iter().flat_map(|(id, record)| record.blobs(*id)).collect();
        blobs.iter().copied().filter(|blob| !here.contains(blob)).collect()
    }

    /// Writes everything out that a power failure could take. May take as long as the disk needs.
    pub async fn settle(&self) -> Result<(), ImageError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || layers::sync_layers(&shared.layers)).await
    }
}

impl Shared {
    /// The catalog as it is now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The table of unpacked layers. Never held over an await or an unpacking.
    pub(crate) fn layers(&self) -> MutexGuard<'_, LayerTable> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self) -> MutexGuard<'_, BTreeMap<String, Hold>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the catalog: on the disk first, then for readers. Blocks.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Catalog) -> Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.change_locked(change)
    }

    fn change_locked<T>(&self, change: impl FnOnce(&mut Catalog) -> Result<T, ImageError>) -> Result<T, ImageError> {
        let before = self.catalog();
        let mut catalog = Catalog::clone(&before);
        let outcome = change(&mut catalog)?;
        if catalog.images != before.images || catalog.references != before.references {
            folders::write_document(&self.folders.catalog(), &catalog)?;
            *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
        }
        Ok(outcome)
    }
}

fn image(catalog: &Catalog, id: Digest, record: &ImageRecord) -> Image {
    let (mut repo_tags, mut repo_digests) = (Vec::new(), Vec::new());
    for name in catalog.names_of(id) {
        let names = if name.digest().is_some() { &mut repo_digests } else { &mut repo_tags };
        names.push(name.familiar());
    }
    Image {
        id,
        config: Arc::clone(&record.config),
        repo_tags,
        repo_digests,
        manifest: record.manifest.clone(),
        layers: record.layers.iter().map(|layer| layer.blob.clone()).collect(),
        chain: record.chain(),
        parent: record.parent,
        bytes: record.bytes(),
        layer_bytes: record.layers.iter().map(|layer| layer.bytes).collect(),
        tagged: record.tagged,
    }
}

/// Runs what blocks where it blocks nobody else. It runs to its end, also when nobody waits for it any more.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("blocking work is never cancelled"),
        },
    }
}
