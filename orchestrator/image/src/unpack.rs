//! Unpacks a layer into a folder that overlayfs can take as a lower one, and lets nothing of it out of that folder.
//!
//! ```text
//! file ── decompress (gzip, zstd, none) ── hash, count ── archive (headers, bounded) ── tree (paths, beneath the root)
//!                                            │
//!                                            └── at the end: is it the layer that the image names?
//! ```
//!
//! A layer is written by strangers. Its paths are resolved by the kernel beneath the layer's root; its size, entries
//! and expansion are bounded; what it says of overlayfs's own attributes is dropped. Nothing is believed before the
//! digest of all of it is right, and who calls this removes the folder where it fails.

mod archive;
mod decompress;
mod entry;
mod extension;
mod removal;
#[cfg(test)]
mod tests;
mod tree;

use std::io::{self, Read};
use std::path::Path;

use crate::{Digest, digest::Hasher};
pub use archive::ArchiveError;
pub(crate) use archive::{Archive, Entry, Kind};
pub(crate) use decompress::Decompressed;
pub(crate) use entry::{apply_to_folder, create, is_allowed_xattr, times};
pub(crate) use removal::{remove_at, remove_tree};
pub(crate) use tree::{Tree, clean, open_folder, shown, split};

/// What is too much for one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Uncompressed bytes.
    pub bytes: u64,
    /// Files, folders, links and the rest.
    pub entries: u64,
    /// Uncompressed bytes for each compressed one, once there are more than [`Self::RATIO_FREE`].
    pub ratio: u64,
}

impl UnpackLimits {
    /// What may expand as it likes: holes and zeros of honest files are small in absolute terms. 256 MiB.
    pub const RATIO_FREE: u64 = 256 << 20;
}

impl Default for UnpackLimits {
    /// 64 GiB and 2 million entries, several times the largest images in use; and 250 to 1, a quarter of what gzip makes
    /// of zeros, ten times what it makes of text.
    fn default() -> Self {
        Self { bytes: 64 << 30, entries: 2_000_000, ratio: 250 }
    }
}

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It cannot be read as an archive.
    #[error("the layer is no archive that can be unpacked")]
    Archive(#[from] ArchiveError),
    /// It is not the layer that the image names.
    #[error("the layer unpacks to {found}, and the image names {expected}")]
    WrongContent {
        /// What the image names.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// It is larger than any layer may be, or expands as only bombs do.
    #[error("the layer is too large: more than {limit} {what}")]
    TooLarge {
        /// The bound.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// A path leads out of the layer, or cannot be one.
    #[error("the layer has an entry `{path}` that {what}")]
    BadEntry {
        /// The entry, shortened.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The disk is full.
    #[error("no space left on the disk for the layer")]
    NoSpace,
    /// The kernel refuses.
    #[error("failed to unpack `{path}` of the layer")]
    Write {
        /// The entry, shortened.
        path: String,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// The packed layer cannot be read.
    #[error("failed to read the layer")]
    Read(#[source] io::Error),
}

/// Unpacks a packed layer into the empty folder `target`.
///
/// `lowers` are the unpacked layers below it, the nearest first: a folder that the layer names only in a path gets their
/// owner and mode. Afterwards the folder holds the whole layer, whose digest was `diff_id`; returns the bytes of its
/// files. On an error the folder holds anything.
pub(crate) fn unpack(
    packed: impl Read,
    target: &Path,
    lowers: &[std::path::PathBuf],
    diff_id: Digest,
    limits: UnpackLimits,
    mut on_progress: impl FnMut(u64),
) -> Result<u64, LayerError> {
    let mut metered = Metered::new(packed, limits)?;
    let mut tree = Tree::open(target, lowers)?;
    let mut entries = 0;
    let mut bytes = 0;
    let mut archive = Archive::new(&mut metered);
    loop {
        let entry = match archive.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(error) => return Err(archive.into_inner().explain(error)),
        };
        entries += 1;
        if entries > limits.entries {
            return Err(LayerError::TooLarge { limit: limits.entries, what: "entries" });
        }
        bytes += if entry.kind == Kind::File { entry.size } else { 0 };
        let mut contents = archive.contents();
        let outcome = tree.add(&entry, &mut contents);
        if let Err(error) = outcome {
            return Err(if let LayerError::Read(source) = error {
                archive.into_inner().explain(ArchiveError::Read(source))
            } else {
                error
            });
        }
        on_progress(archive.inner().packed_bytes());
    }
    tree.finish()?;
    metered.finish(diff_id)?;
    Ok(bytes)
}

/// Reads a packed layer to its end and tells whether it is the one named, without writing anything.
pub(crate) fn verify(packed: impl Read, diff_id: Digest, limits: UnpackLimits) -> Result<(), LayerError> {
    Metered::new(packed, limits)?.finish(diff_id)
}

/// Reads a packed layer to its end and tells the digest of what it unpacks to.
pub(crate) fn diff_id_of(packed: impl Read, limits: UnpackLimits) -> Result<Digest, LayerError> {
    let mut metered = Metered::new(packed, limits)?;
    metered.drain()?;
    Ok(metered.hasher.finish())
}

/// Unpacks, hashes and counts what goes by, and stops where it is too much.
#[derive(Debug)]
pub(crate) struct Metered<R: Read> {
    inner: Decompressed<R>,
    hasher: Hasher,
    bytes: u64,
    limits: UnpackLimits,
    /// What was too much, once it was.
    excess: Option<LayerError>,
}

impl<R: Read> Metered<R> {
    pub(crate) fn new(packed: R, limits: UnpackLimits) -> Result<Self, LayerError> {
        let inner = Decompressed::new(packed).map_err(LayerError::Read)?;
        Ok(Self { inner, hasher: Hasher::default(), bytes: 0, limits, excess: None })
    }

    fn packed_bytes(&self) -> u64 {
        self.inner.packed_bytes()
    }

    /// The cause behind a failure to read: what was too much, if that was it.
    pub(crate) fn explain(&mut self, error: ArchiveError) -> LayerError {
        self.excess.take().unwrap_or(LayerError::Archive(error))
    }

    /// Reads what follows the archive's end, which counts for the digest, and compares.
    fn finish(mut self, expected: Digest) -> Result<(), LayerError> {
        self.drain()?;
        let found = self.hasher.finish();
        if found == expected { Ok(()) } else { Err(LayerError::WrongContent { expected, found }) }
    }
}

impl<R: Read> Metered<R> {
    fn drain(&mut self) -> Result<(), LayerError> {
        match io::copy(self, &mut io::sink()) {
            Ok(_) => Ok(()),
            Err(source) => Err(self.excess.take().unwrap_or(LayerError::Read(source))),
        }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        let allowed = self.inner.packed_bytes().saturating_mul(self.limits.ratio);
        if self.bytes > self.limits.bytes {
            self.excess = Some(LayerError::TooLarge { limit: self.limits.bytes, what: "bytes" });
        } else if self.bytes > UnpackLimits::RATIO_FREE && self.bytes > allowed {
            self.excess = Some(LayerError::TooLarge { limit: self.limits.ratio, what: "bytes for each packed one" });
        }
        if self.excess.is_some() { Err(io::Error::other("too large")) } else { Ok(count) }
    }
}
