//! Why files could not be copied out of a container, or into it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::ArchiveError;
use crate::unpack::{LayerError, shown};

/// Why files could not be copied out of a container, or into it.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is nothing at this path.
    #[error("no such file or directory: {0}")]
    NotFound(String),
    /// Where an archive is to be unpacked there is no folder.
    #[error("extraction point is not a directory")]
    NotAFolder,
    /// The container's root, or what is mounted there, cannot be written to.
    #[error("the container's files at `{0}` are read-only")]
    ReadOnly(String),
    /// A folder would take the place of what is none, or the other way round.
    #[error("cannot overwrite {what}")]
    WouldReplace {
        /// What with what.
        what: String,
    },
    /// The archive has an entry that cannot be unpacked.
    #[error("the archive has an entry `{path}` that {what}")]
    BadEntry {
        /// The entry, shortened.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is no archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The disk is full.
    #[error("no space left on the disk")]
    NoSpace,
    /// The kernel refuses.
    #[error("failed to {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl CopyError {
    /// For `map_err`: what was tried with which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What the kernel said of a path in the container.
    pub(super) fn at(action: &'static str, path: &[u8], error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::NotFound(shown(path)),
            Errno::ROFS => Self::ReadOnly(shown(path)),
            Errno::NOSPC | Errno::DQUOT => Self::NoSpace,
            error => Self::Io { action, path: shown(path).into(), source: error.into() },
        }
    }
}

impl From<LayerError> for CopyError {
    fn from(error: LayerError) -> Self {
        match error {
            LayerError::Archive(error) => Self::Archive(error),
            LayerError::BadEntry { path, what } => Self::BadEntry { path, what },
            LayerError::NoSpace => Self::NoSpace,
            LayerError::Write { path, source } if source.raw_os_error() == Some(Errno::ROFS.raw_os_error()) => {
                Self::ReadOnly(path)
            }
            LayerError::Write { path, source } => Self::Io { action: "unpack", path: path.into(), source },
            LayerError::Read(source) => Self::Archive(ArchiveError::Read(source)),
            LayerError::WrongContent { .. } | LayerError::TooLarge { .. } => {
                unreachable!("an archive that is copied has neither a name nor a bound")
            }
        }
    }
}
