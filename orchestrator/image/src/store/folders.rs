//! Where the store keeps what, and how a file comes to be there whole or not at all.
//!
//! ```text
//! <root>/                 0700: images bring programs that run as root
//!   lock                  held by the one process that has the store open
//!   catalog.json          which images there are; what it does not name is garbage
//!   blobs/sha256/<hex>    manifests, configurations and packed layers, by digest
//!   layers/<chain id>/    an unpacked layer: diff/ for overlayfs, layer.json, written last, about it
//!   l/<n>                 a short name for a layer's diff/: many must fit into one page of mount options
//!   work/                 what is in the making and what is being removed; emptied at every opening
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::unpack::remove_tree;
use crate::{Digest, ImageError};

/// The store's folders.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    root: PathBuf,
    next_work: Arc<AtomicU64>,
}

impl Folders {
    /// Makes what is missing, and empties the work of a process that was killed.
    pub(crate) fn open(root: &Path) -> Result<Self, ImageError> {
        let folders = Self { root: root.to_owned(), next_work: Arc::default() };
        remove_tree(&folders.root.join("work")).map_err(ImageError::io("empty", &folders.root.join("work")))?;
        for folder in ["", "blobs/sha256", "layers", "l", "work", "empty"] {
            let path = folders.root.join(folder);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(ImageError::io("create", &path))?;
        }
        Ok(folders)
    }

    /// Takes the lock that one process can have. It ends with the file that is returned, or with the process.
    pub(crate) fn lock(root: &Path) -> Result<File, ImageError> {
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(ImageError::io("create", root))?;
        let path = root.join("lock");
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = open.map_err(ImageError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(ImageError::Locked(root.to_owned())),
            Err(fs::TryLockError::Error(error)) => Err(ImageError::io("lock", &path)(error)),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("catalog.json")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(crate) fn blob(&self, digest: Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn layer(&self, chain_id: Digest) -> PathBuf {
        self.layers().join(chain_id.hex())
    }

    pub(crate) fn links(&self) -> PathBuf {
        self.root.join("l")
    }

    /// A path in `work/` that nothing else uses; what is made there goes when the value is dropped.
    pub(crate) fn work(&self) -> Work {
        let number = self.next_work.fetch_add(1, Ordering::Relaxed);
        Work { path: self.root.join("work").join(number.to_string()) }
    }

    /// Takes something away in one step and then removes it at leisure.
    pub(crate) fn discard(&self, path: &Path) -> Result<Work, ImageError> {
        let work = self.work();
        match fs::rename(path, &work.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ImageError::io("remove", path)(error)),
            Ok(()) | Err(_) => Ok(work),
        }
    }
}

/// Something in the making, or on its way out.
#[derive(Debug)]
pub(crate) struct Work {
    path: PathBuf,
}

impl Work {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what was made in its place, in one step that outlives a power failure.
    pub(crate) fn publish(self, target: &Path) -> Result<(), ImageError> {
        fs::rename(&self.path, target).map_err(ImageError::io("put in place", target))?;
        sync_parent(target)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove; the next start will");
        }
    }
}

/// Makes a change of names in a file's folder outlive a power failure.
fn sync_parent(path: &Path) -> Result<(), ImageError> {
    let parent = path.parent().expect("files of the store are in its folders");
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(ImageError::io("write out", parent))
}

/// Writes a document so that readers, and whoever comes after a crash, see the old one or the new one.
pub(crate) fn write_document(path: &Path, document: &impl Serialize) -> Result<(), ImageError> {
    let temporary = path.with_extension("new");
    let bytes = serde_json::to_vec(document).expect("documents of the store have texts as keys");
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(ImageError::io("write", path))?;
    sync_parent(path)
}

/// Reads a document; `None` where there is none.
pub(crate) fn read_document<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ImageError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ImageError::io("read", path)(error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| ImageError::Damaged { path: path.to_owned(), source })
}
