//! The folder that a layer is unpacked into. The kernel resolves every path beneath it.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::entry::{Owner, apply_to_folder, create, times, write_error};
use super::removal::remove_at;
use super::{Entry, Kind, LayerError};

/// The longest path of an entry, and the longest name in it: Linux's own bounds.
const PATH_LIMIT: usize = 4096;
const NAME_LIMIT: usize = 255;
/// The memory that the names of a layer's folders may take until its end, when their times are set.
const FOLDER_NAMES_LIMIT: usize = 64 << 20;
/// How often a path is resolved again because something was renamed meanwhile, anywhere on the machine.
const RESOLVE_TRIES: u32 = 1000;
/// What stands before the name of something that the layers below have and this one hides.
const WHITEOUT: &[u8] = b".wh.";
/// In a folder: nothing of it in the layers below is seen.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Notes of a file system that Docker used once.
const WHITEOUT_NOTES: &[u8] = b".wh..wh.";
/// How overlayfs is told of an opaque folder.
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// A layer's folder while it fills.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    /// The layers below, the nearest first.
    lowers: Vec<OwnedFd>,
    /// Folders whose time is set at the end, because what is put into them changes it.
    folders: Vec<(Vec<u8>, Timestamps)>,
    folder_names: usize,
    /// The folder that came last: the next entry is mostly in it, too.
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl Tree {
    /// Takes an empty folder; it has the owner and the mode of the root of the layers below until an entry says else.
    pub(crate) fn open(target: &Path, lowers: &[PathBuf]) -> Result<Self, LayerError> {
        let open = |path: &Path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| write_error(b"/", error))
        };
        let root = open(target)?;
        let lowers = lowers.iter().map(|lower| open(lower)).collect::<Result<Vec<_>, _>>()?;
        let mut tree = Self { root, lowers, folders: Vec::new(), folder_names: 0, last: None };
        let owner = tree.lowers.first().map_or(Ok(Owner::ROOT), |lower| rustix::fs::fstat(lower).map(Owner::from));
        let root = tree.root.try_clone().map_err(|source| LayerError::Write { path: "/".to_owned(), source })?;
        tree.dress_folder(root.as_fd(), b"", owner.map_err(|error| write_error(b"/", error))?)?;
        Ok(tree)
    }

    /// Adds one entry, replacing what the layer has said of its path before.
    pub(crate) fn add(&mut self, entry: &Entry, contents: &mut impl Read) -> Result<(), LayerError> {
        let path = clean(&entry.path)?;
        let Some((name, parent)) = split(&path) else {
            if entry.kind != Kind::Folder {
                return Err(bad(&entry.path, "is the root, and no folder"));
            }
            let root = self.resolve(b"").map_err(|error| write_error(b"/", error))?;
            apply_to_folder(root.as_fd(), entry)?;
            return self.remember(b"", times(entry.mtime));
        };
        let folder = self.folder(parent)?;
        let outcome = self.add_to(folder.as_fd(), name, &path, entry, contents);
        self.last = Some((parent.to_vec(), folder));
        outcome
    }

    /// Sets the times of the folders. Afterwards the layer is whole.
    pub(crate) fn finish(self) -> Result<(), LayerError> {
        for (path, times) in &self.folders {
            match self.resolve(path) {
                Ok(folder) => {
                    rustix::fs::futimens(&folder, times).map_err(|error| write_error(path, error))?;
                }
                // A later entry of the layer replaced it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(write_error(path, error)),
            }
        }
        Ok(())
    }

    fn add_to(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
        contents: &mut impl Read,
    ) -> Result<(), LayerError> {
        if name == OPAQUE {
            return make_opaque(folder).map_err(|error| write_error(path, error));
        }
        if name.starts_with(WHITEOUT_NOTES) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return hide(folder, hidden, path);
        }
        let existing = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(write_error(path, error)),
        };
        let is_folder = existing.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        let was_hidden = existing.is_some_and(|stat| is_whiteout(&stat));
        if existing.is_some() && !(is_folder && entry.kind == Kind::Folder) {
            remove_at(folder, name).map_err(|error| write_error(path, error))?;
            // Perhaps the folder that is remembered was in it.
            self.last = None;
        }
        if entry.kind == Kind::Hardlink {
            return self.link(folder, name, entry);
        }
        if entry.kind == Kind::Folder {
            if !is_folder {
                rustix::fs::mkdirat(folder, name, Mode::RWXU).map_err(|error| write_error(path, error))?;
            }
            let made = open_folder(folder, name).map_err(|error| write_error(path, error))?;
            apply_to_folder(made.as_fd(), entry)?;
            if was_hidden {
                make_opaque(made.as_fd()).map_err(|error| write_error(path, error))?;
            }
            return self.remember(path, times(entry.mtime));
        }
        create(folder, name, entry, contents)
    }

    /// Another name for a file of this layer.
    fn link(&self, folder: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), LayerError> {
        let target = clean(&entry.link)?;
        let (target_name, parent) = split(&target).ok_or_else(|| bad(&entry.path, "is a link to the root"))?;
        let missing = |error| match error {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => bad(&entry.path, "is a link to what the layer does not have"),
            error => write_error(&entry.path, error),
        };
        let parent = self.resolve(parent).map_err(missing)?;
        rustix::fs::linkat(&parent, target_name, folder, name, AtFlags::empty()).map_err(missing)
    }

    /// The folder at a path, made with its parents where the layer has not named it.
    fn folder(&mut self, path: &[u8]) -> Result<OwnedFd, LayerError> {
        if let Some((last, folder)) = self.last.take()
            && last == path
        {
            return Ok(folder);
        }
        match self.resolve(path) {
            Ok(folder) => return Ok(folder),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(Errno::LOOP) => return Err(bad(path, "has a parent that leads in circles")),
            Err(error) => return Err(write_error(path, error)),
        }
        let mut folder = self.resolve(b"").map_err(|error| write_error(path, error))?;
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]).collect::<Vec<_>>() {
            folder = match self.resolve(&path[..end]) {
                Ok(folder) => folder,
                Err(Errno::NOENT | Errno::NOTDIR) => self.make_folder(folder.as_fd(), &path[..end])?,
                Err(error) => return Err(write_error(path, error)),
            };
        }
        Ok(folder)
    }

    /// Makes a folder that the layer names only in a path: it looks as it does in the layers below.
    fn make_folder(&mut self, parent: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, LayerError> {
        let (name, _) = split(path).ok_or_else(|| bad(path, "is the root"))?;
        let mut was_hidden = false;
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Ok(stat) if is_whiteout(&stat) => {
                was_hidden = true;
                remove_at(parent, name).map_err(|error| write_error(path, error))?;
            }
            Ok(_) => return Err(bad(path, "has a parent that is no folder")),
            Err(error) => return Err(write_error(path, error)),
        }
        rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(|error| write_error(path, error))?;
        let folder = open_folder(parent, name).map_err(|error| write_error(path, error))?;
        let owner = if was_hidden { Owner::ROOT } else { self.owner_below(path).unwrap_or(Owner::ROOT) };
        self.dress_folder(folder.as_fd(), path, owner)?;
        if was_hidden {
            make_opaque(folder.as_fd()).map_err(|error| write_error(path, error))?;
        }
        Ok(folder)
    }

    fn dress_folder(&mut self, folder: BorrowedFd<'_>, path: &[u8], owner: Owner) -> Result<(), LayerError> {
        owner.apply(folder).map_err(|error| write_error(path, error))?;
        match owner.times {
            Some(times) => self.remember(path, times),
            None => Ok(()),
        }
    }

    /// What the nearest layer below that has this path as a folder says of it.
    fn owner_below(&self, path: &[u8]) -> Option<Owner> {
        for lower in &self.lowers {
            match resolve(lower.as_fd(), path, OFlags::PATH | OFlags::NOFOLLOW).and_then(rustix::fs::fstat) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => return Some(stat.into()),
                Err(Errno::NOENT) => {}
                // It is hidden there, or something else.
                Ok(_) | Err(_) => return None,
            }
        }
        None
    }

    fn remember(&mut self, path: &[u8], times: Timestamps) -> Result<(), LayerError> {
        self.folder_names += path.len() + size_of::<(Vec<u8>, Timestamps)>();
        if self.folder_names > FOLDER_NAMES_LIMIT {
            return Err(LayerError::TooLarge { limit: FOLDER_NAMES_LIMIT as u64, what: "bytes of folders' names" });
        }
        self.folders.push((path.to_vec(), times));
        Ok(())
    }

    /// Opens a folder of the layer. Links in its path are followed as they would be inside of the layer.
    fn resolve(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        resolve(self.root.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY)
    }
}

/// Opens a path beneath a folder: neither `..` nor links nor mounts lead out of it.
fn resolve(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let rules = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    for _ in 0..RESOLVE_TRIES {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), rules) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            outcome => return outcome,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens a folder in a folder, and no link.
pub(crate) fn open_folder(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Hides what the layers below have under this name; what this layer has itself stays.
fn hide(folder: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<(), LayerError> {
    if matches!(name, b"" | b"." | b"..") {
        return Err(bad(path, "hides no file"));
    }
    match rustix::fs::mknodat(folder, name, FileType::CharacterDevice, Mode::empty(), 0) {
        Err(Errno::EXIST) => match open_folder(folder, name) {
            Ok(existing) => make_opaque(existing.as_fd()).map_err(|error| write_error(path, error)),
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(error) => Err(write_error(path, error)),
        },
        outcome => outcome.map_err(|error| write_error(path, error)),
    }
}

fn make_opaque(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::fs::fsetxattr(folder, OPAQUE_XATTR, b"y", XattrFlags::empty())
}

/// How overlayfs writes that a name is hidden.
fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// A path without empty parts and dots, relative to the layer's root.
pub(crate) fn clean(path: &[u8]) -> Result<Vec<u8>, LayerError> {
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    let what = if parts.contains(&&b".."[..]) {
        "leads out of where it is unpacked"
    } else if path.contains(&0) {
        "has a path with a zero in it"
    } else if is_too_long(path, &parts) {
        "has a path that is too long"
    } else {
        return Ok(parts.join(&b'/'));
    };
    Err(bad(path, what))
}

/// Whether no file can have a path of these parts.
fn is_too_long(path: &[u8], parts: &[&[u8]]) -> bool {
    path.len() >= PATH_LIMIT || parts.iter().any(|part| part.len() > NAME_LIMIT)
}

/// A path's last part, and what is before it.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    match path.iter().rposition(|byte| *byte == b'/') {
        None => Some((path, b"")),
        Some(at) => Some((&path[at + 1..], &path[..at])),
    }
}

/// An entry that no layer may have.
pub(super) fn bad(path: &[u8], what: &'static str) -> LayerError {
    LayerError::BadEntry { path: shown(path), what }
}

/// A path for people: shortened, and without what a terminal would obey.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path)
        .chars()
        .take(120)
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}
