//! The folders of a container's root.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, Uid};

use crate::unpack::remove_tree;
use crate::{ImageError, Rootfs};

/// A container's root, below a folder that is the container's alone. Making the value touches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRoot {
    folder: PathBuf,
}

impl ContainerRoot {
    /// The root below this folder. Its path is absolute.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// What the container changed.
    pub fn upper(&self) -> PathBuf {
        self.folder.join("upper")
    }

    /// Where the container's files are while it is mounted.
    pub fn merged(&self) -> PathBuf {
        self.folder.join("merged")
    }

    /// In which boot it was mounted last.
    pub(super) fn boot_note(&self) -> PathBuf {
        self.folder.join("boot")
    }

    pub(super) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Unmounts the root, and removes all that the container wrote, however deep it is.
    pub fn remove(&self) -> Result<(), ImageError> {
        self.unmount()?;
        remove_tree(&self.folder).map_err(ImageError::io("remove", &self.folder))
    }

    /// Makes the folders that are missing. The root of the container looks as that of the image does.
    pub(super) fn make(&self, rootfs: &Rootfs) -> Result<(), ImageError> {
        let make = |path: &Path| match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(ImageError::io("create", path)(error)),
            Ok(()) | Err(_) => Ok(()),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(ImageError::io("create", &self.folder))?;
        make(&self.work())?;
        make(&self.merged())?;
        let upper = self.upper();
        if upper.exists() {
            return Ok(());
        }
        // Made under another name, so that one with the wrong owner is never taken for the right one.
        let new = self.folder.join("upper.new");
        make(&new)?;
        let lower = rootfs.lower_folders().swap_remove(0);
        let metadata = fs::metadata(&lower).map_err(ImageError::io("read", &lower))?;
        let dress = || {
            let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
            rustix::fs::chown(&new, Some(uid), Some(gid))?;
            rustix::fs::chmod(&new, Mode::from_raw_mode(metadata.mode() & 0o7777))?;
            fs::rename(&new, &upper)
        };
        dress().map_err(ImageError::io("create", &upper))
    }
}
