//! Walks the files of a container, whatever it made of them: never through links, never out, with few files open.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// How overlayfs marks a folder that hides those below.
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
/// How often a path is resolved again because something was renamed meanwhile.
const RESOLVE_TRIES: u32 = 1000;

/// How folders are opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// What no path may do.
const WITHIN: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// A folder whose files are looked at by path.
#[derive(Debug)]
pub(super) struct Base {
    root: OwnedFd,
    rules: ResolveFlags,
}

/// One file that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Relative to the base.
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
}

impl Found {
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Whether overlayfs hides something by it.
    pub(super) fn is_whiteout(&self) -> bool {
        is_whiteout(&self.stat)
    }
}

impl Base {
    /// A folder without the file systems that are mounted below it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let root = rustix::fs::openat(CWD, folder, FOLDER, Mode::empty())?;
        Ok(Self { root, rules: WITHIN | ResolveFlags::NO_XDEV })
    }

    /// An open folder, with what is mounted below it.
    pub(super) fn of(folder: &OwnedFd) -> io::Result<Self> {
        Ok(Self { root: rustix::fs::openat(folder, ".", FOLDER, Mode::empty())?, rules: WITHIN })
    }

    /// What the folder itself is.
    pub(super) fn own_stat(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(&self.root)
    }

    /// Opens a file or folder below.
    pub(super) fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        for _ in 0..RESOLVE_TRIES {
            match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), self.rules) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                outcome => return outcome,
            }
        }
        Err(Errno::AGAIN)
    }

    /// What is at a path, itself; `None` where nothing is.
    pub(super) fn stat(&self, path: &Path) -> Result<Option<Stat>, Errno> {
        let Some(name) = path.file_name() else { return rustix::fs::fstat(&self.root).map(Some) };
        let parent = match self.resolve(path.parent().unwrap_or(Path::new("")), OFlags::PATH | OFlags::DIRECTORY) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error),
        };
        match rustix::fs::statat(&parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a folder hides those below.
    pub(super) fn is_opaque(&self, path: &Path) -> Result<bool, Errno> {
        let folder = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut value = [0; 1];
        match rustix::fs::fgetxattr(&folder, OPAQUE_XATTR, &mut value) {
            Ok(1) => Ok(value == *b"y"),
            Ok(_) | Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Calls for everything below, folders before what is in them, in the order of names. `visit` says whether to go
    /// into a folder. What vanishes meanwhile is left out.
    pub(super) fn walk<E: From<Errno>>(&self, mut visit: impl FnMut(&Self, Found) -> Result<bool, E>) -> Result<(), E> {
        let mut waiting = self.names(Path::new(""))?;
        while let Some(path) = waiting.pop() {
            let Some(stat) = self.stat(&path)? else { continue };
            let found = Found { path: path.clone(), stat };
            let is_folder = found.kind() == FileType::Directory;
            if visit(self, found)? && is_folder {
                match self.names(&path) {
                    Ok(names) => waiting.extend(names),
                    // It vanished, or another file system is mounted there.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// What is in a folder, the last name first.
    fn names(&self, path: &Path) -> Result<Vec<PathBuf>, Errno> {
        let folder = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let name: CString = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(path.join(OsString::from_vec(name.into_bytes())));
            }
        }
        names.sort_by(|one, other| other.as_os_str().as_bytes().cmp(one.as_os_str().as_bytes()));
        Ok(names)
    }
}

/// How overlayfs writes that a name is hidden.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
