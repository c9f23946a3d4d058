//! Why something could not be done with images.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Digest, InvalidReference, LayerError, ManifestError, RegistryError};

/// Why something could not be done with images.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Nothing here has this name or id.
    #[error("no such image: {0}")]
    NoSuchImage(String),
    /// Several images have ids that begin so.
    #[error("several images have ids that begin with {0}")]
    Ambiguous(String),
    /// What was given is no name of an image.
    #[error(transparent)]
    InvalidReference(#[from] InvalidReference),
    /// Something uses the image. Docker's words.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The content is not what its name says.
    #[error("the content is {found}, and {expected} was named")]
    WrongContent {
        /// The name.
        expected: Digest,
        /// What the content is.
        found: Digest,
    },
    /// The content is longer than was said, or than anything of its kind may be.
    #[error("{what} is longer than {limit} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// The bound.
        limit: u64,
    },
    /// The manifest cannot be used.
    #[error("the manifest of {name} cannot be used")]
    Manifest {
        /// Whose.
        name: String,
        /// Why not.
        #[source]
        source: ManifestError,
    },
    /// The image does not hold together: its configuration and its manifest contradict each other, say.
    #[error("the image is not whole: {0}")]
    NotWhole(String),
    /// A layer cannot be unpacked.
    #[error("failed to unpack layer {layer}")]
    Layer {
        /// The layer's blob.
        layer: Digest,
        /// Why not.
        #[source]
        source: LayerError,
    },
    /// The archive holds no images that can be loaded.
    #[error("failed to read the archive: {0}")]
    Archive(String),
    /// A registry did not do what it was asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The disk is full.
    #[error("no space left on the disk for {0}")]
    NoSpace(String),
    /// Another process has the store open.
    #[error("the images in `{}` are another process's", .0.display())]
    Locked(PathBuf),
    /// A file of the store is not as it was written.
    #[error("`{}` is damaged or of an unknown format", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The system refuses.
    #[error("failed to {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    /// For `map_err`: what was tried with which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return Self::NoSpace(path.display().to_string());
            }
            Self::Io { action, path, source }
        }
    }

    /// For `map_err`: which layer.
    pub(crate) fn layer(layer: Digest) -> impl FnOnce(LayerError) -> Self {
        move |source| {
            if matches!(source, LayerError::NoSpace) {
                return Self::NoSpace(format!("layer {layer}"));
            }
            Self::Layer { layer, source }
        }
    }

    /// For `map_err`: whose manifest.
    pub(crate) fn manifest(name: impl ToString) -> impl FnOnce(ManifestError) -> Self {
        move |source| Self::Manifest { name: name.to_string(), source }
    }
}
