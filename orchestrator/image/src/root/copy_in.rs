//! `docker cp` into a container: an archive is unpacked into a folder of it.
//!
//! Paths are resolved within the container's root, entry by entry: a link that the container has made, or that the archive
//! brings, leads to where the container would find it, and never out.

use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};

use bytes::Bytes;
use futures_util::Stream;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timestamps};
use rustix::io::Errno;

use super::CopyError;
use super::place::{Place, stat_in};
use super::view::FileView;
use crate::body::with_body;
use crate::unpack::{
    Archive, Decompressed, Entry, Kind, apply_to_folder, clean, create, open_folder, remove_at, shown, split, times,
};

/// The memory that the names of an archive's folders may take until its end, when their times are set.
const FOLDER_NAMES_LIMIT: usize = 64 << 20;
/// The mode of a folder that the archive names only in a path.
const FOLDER_MODE: u32 = 0o755;

/// How an archive is unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyIn {
    /// Whether no folder may take the place of what is none, and nothing else that of a folder.
    pub keeps_kinds: bool,
    /// The user and the group that all of it belongs to; those of the archive where absent.
    pub owner: Option<(u32, u32)>,
}

impl FileView {
    /// Unpacks an archive, as it is or packed with gzip or zstd, into the folder at a path. What it names takes the place
    /// of what is there, but for folders, which keep what is in them. An error leaves what was unpacked before.
    pub async fn copy_in(
        self,
        path: String,
        options: CopyIn,
        body: impl Stream<Item = io::Result<Bytes>>,
    ) -> Result<(), CopyError> {
        with_body(body, move |reader| self.unpack(&path, options, reader)).await
    }

    fn unpack(&self, path: &str, options: CopyIn, reader: impl Read) -> Result<(), CopyError> {
        let target = Place::read(path).path();
        let failed = |error| CopyError::at("unpack into", path.as_bytes(), error);
        let folder = self.resolve(&target, OFlags::PATH).map_err(failed)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&folder).map_err(failed)?.st_mode) != FileType::Directory {
            return Err(CopyError::NotAFolder);
        }
        let unpacked = Decompressed::new(reader).map_err(crate::ArchiveError::Read)?;
        let mut archive = Archive::new(unpacked);
        let mut unpacking = Unpacking { view: self, target, options, folders: Vec::new(), folder_names: 0 };
        while let Some(entry) = archive.next()? {
            unpacking.add(entry, &mut archive.contents())?;
        }
        // What follows the end is taken, so that the client sees that all of it was.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(crate::ArchiveError::Read)?;
        unpacking.finish()
    }
}

struct Unpacking<'v> {
    view: &'v FileView,
    target: Vec<u8>,
    options: CopyIn,
    /// Folders whose time is set at the end, because what is put into them changes it.
    folders: Vec<(Vec<u8>, Timestamps)>,
    folder_names: usize,
}

impl Unpacking<'_> {
    fn add(&mut self, mut entry: Entry, contents: &mut impl Read) -> Result<(), CopyError> {
        let inside = clean(&entry.path)?;
        // The folder that is unpacked into stays as it is.
        let Some((name, parent)) = split(&inside) else { return Ok(()) };
        if let Some((uid, gid)) = self.options.owner {
            (entry.uid, entry.gid) = (uid, gid);
        }
        let path = self.below(&inside);
        if entry.kind == Kind::CharDevice && entry.device == (0, 0) {
            return Err(CopyError::BadEntry {
                path: shown(&path),
                what: "is the device that stands for what is removed",
            });
        }
        let failed = |error| CopyError::at("unpack", &path, error);
        let folder = self.folder(parent).map_err(failed)?;
        let existing = stat_in(&folder, name).map_err(failed)?;
        let is_folder = existing.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        let is_kept = existing.is_some() && is_folder == (entry.kind == Kind::Folder);
        if existing.is_some() && !is_kept && self.options.keeps_kinds {
            return Err(would_replace(&path, is_folder, &self.target));
        }
        if existing.is_some() && !(is_kept && is_folder) {
            remove_at(folder.as_fd(), name).map_err(failed)?;
        }
        match entry.kind {
            Kind::Folder => {
                if !is_folder {
                    rustix::fs::mkdirat(&folder, name, Mode::RWXU).map_err(failed)?;
                }
                let made = open_folder(folder.as_fd(), name).map_err(failed)?;
                apply_to_folder(made.as_fd(), &entry)?;
                self.remember(path, times(entry.mtime))
            }
            Kind::Hardlink => self.link(&folder, name, &entry),
            Kind::File | Kind::Symlink | Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {
                Ok(create(folder.as_fd(), name, &entry, contents)?)
            }
        }
    }

    /// Another name for a file that the archive brought, or that is there.
    fn link(&self, folder: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), CopyError> {
        let inside = clean(&entry.link)?;
        let bad = |what| CopyError::BadEntry { path: shown(&entry.path), what };
        let (target_name, parent) = split(&inside).ok_or_else(|| bad("is a link to the folder itself"))?;
        let failed = |error| match error {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => bad("is a link to what is not there"),
            error => CopyError::at("link", &entry.path, error),
        };
        let parent = self.view.resolve(&self.below(parent), OFlags::PATH | OFlags::DIRECTORY).map_err(failed)?;
        rustix::fs::linkat(&parent, target_name, folder, name, AtFlags::empty()).map_err(failed)
    }

    /// A folder below the target, made with those above it where it is missing.
    fn folder(&self, inside: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match self.view.resolve(&self.below(inside), flags) {
            Err(Errno::NOENT) => {}
            outcome => return outcome,
        }
        let mut here = Vec::new();
        let mut folder = self.view.resolve(&self.target, flags)?;
        for part in inside.split(|byte| *byte == b'/') {
            here.extend_from_slice(if here.is_empty() { b"" } else { b"/" });
            here.extend_from_slice(part);
            if stat_in(&folder, part)?.is_none() {
                match rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(FOLDER_MODE)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
            }
            folder = self.view.resolve(&self.below(&here), flags)?;
        }
        Ok(folder)
    }

    fn below(&self, inside: &[u8]) -> Vec<u8> {
        [&self.target[..], inside].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b'/')
    }

    fn remember(&mut self, path: Vec<u8>, times: Timestamps) -> Result<(), CopyError> {
        self.folder_names += path.len();
        if self.folder_names > FOLDER_NAMES_LIMIT {
            return Err(CopyError::BadEntry { path: shown(&path), what: "is one folder too many" });
        }
        self.folders.push((path, times));
        Ok(())
    }

    fn finish(self) -> Result<(), CopyError> {
        for (path, times) in &self.folders {
            match self.view.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(folder) => rustix::fs::futimens(&folder, times)
                    .map_err(|error| CopyError::at("set the times of", path, error))?,
                // Something else took its place meanwhile.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(CopyError::at("set the times of", path, error)),
            }
        }
        Ok(())
    }
}

/// Docker's words.
fn would_replace(path: &[u8], is_folder: bool, target: &[u8]) -> CopyError {
    let (path, target) = (shown(path), shown(target));
    let what = if is_folder {
        format!("directory \"/{path}\" with non-directory \"/{target}\"")
    } else {
        format!("non-directory \"/{path}\" with directory \"/{target}\"")
    };
    CopyError::WouldReplace { what }
}
