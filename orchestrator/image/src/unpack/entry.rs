//! Writes one entry of a layer: contents, owner, mode, attributes, times.

use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::tree::{bad, shown};
use super::{Entry, Kind, LayerError};

/// What is copied at once.
const BUFFER: usize = 128 << 10;
/// The longest target of a symbolic link.
const TARGET_LIMIT: usize = 4095;

/// Owner, mode and times of a folder that no entry describes.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
    pub(super) times: Option<Timestamps>,
}

impl Owner {
    /// What nothing says anything of.
    pub(super) const ROOT: Self = Self { uid: 0, gid: 0, mode: 0o755, times: None };

    pub(super) fn apply(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        rustix::fs::fchown(folder, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        rustix::fs::fchmod(folder, Mode::from_raw_mode(self.mode))
    }
}

impl From<Stat> for Owner {
    fn from(stat: Stat) -> Self {
        let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        let times = times((stat.st_mtime, nanoseconds));
        Self { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777, times: Some(times) }
    }
}

/// The times of an entry: it was last read when it was last changed.
pub(crate) fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let moment = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: moment, last_modification: moment }
}

/// Owner, attributes and mode of a folder. Its times are for the end.
pub(crate) fn apply_to_folder(folder: BorrowedFd<'_>, entry: &Entry) -> Result<(), LayerError> {
    dress(folder, entry).map_err(|error| write_error(&entry.path, error))
}

/// Creates what is neither a folder nor another name for something, under a name that is free.
pub(crate) fn create(
    folder: BorrowedFd<'_>,
    name: &[u8],
    entry: &Entry,
    contents: &mut impl Read,
) -> Result<(), LayerError> {
    let failed = |error| write_error(&entry.path, error);
    match entry.kind {
        Kind::File => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
            let mut file = std::fs::File::from(file);
            copy(contents, &mut file, entry)?;
            dress(file.as_fd(), entry).map_err(failed)?;
            rustix::fs::futimens(&file, &times(entry.mtime)).map_err(failed)
        }
        Kind::Symlink => {
            if entry.link.is_empty() || entry.link.len() > TARGET_LIMIT || entry.link.contains(&0) {
                return Err(bad(&entry.path, "is a link to no path"));
            }
            rustix::fs::symlinkat(&entry.link[..], folder, name).map_err(failed)?;
            dress_named(folder, name, entry).map_err(failed)
        }
        Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {
            let kind = match entry.kind {
                Kind::CharDevice => FileType::CharacterDevice,
                Kind::BlockDevice => FileType::BlockDevice,
                Kind::File | Kind::Folder | Kind::Symlink | Kind::Hardlink | Kind::Fifo => FileType::Fifo,
            };
            let device = rustix::fs::makedev(entry.device.0, entry.device.1);
            rustix::fs::mknodat(folder, name, kind, Mode::empty(), device).map_err(failed)?;
            dress_named(folder, name, entry).map_err(failed)?;
            rustix::fs::chmodat(folder, name, Mode::from_raw_mode(entry.mode), AtFlags::empty()).map_err(failed)
        }
        Kind::Folder | Kind::Hardlink => unreachable!("the tree makes these itself"),
    }
}

/// Owner, attributes and mode, in this order: a change of owner takes capabilities and suid away.
fn dress(file: BorrowedFd<'_>, entry: &Entry) -> Result<(), Errno> {
    rustix::fs::fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    for (name, value) in &entry.xattrs {
        if is_allowed_xattr(name) {
            tolerate(name, rustix::fs::fsetxattr(file, &name[..], value, XattrFlags::empty()))?;
        }
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))
}

/// The same for what cannot be opened. The name was created a moment ago in a folder that is nobody else's.
fn dress_named(folder: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    for (attribute, value) in entry.xattrs.iter().filter(|(attribute, _)| is_allowed_xattr(attribute)) {
        let path = [format!("/proc/self/fd/{}/", folder.as_raw_fd()).as_bytes(), name].concat();
        tolerate(attribute, rustix::fs::lsetxattr(&path[..], &attribute[..], value, XattrFlags::empty()))?;
    }
    rustix::fs::utimensat(folder, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
}

/// A layer brings capabilities, access lists and what programs note. What directs overlayfs, or the host's own security
/// modules, is not for a layer to say.
pub(crate) fn is_allowed_xattr(attribute: &[u8]) -> bool {
    !attribute.contains(&0)
        && (attribute == b"security.capability"
            || attribute.starts_with(b"system.posix_acl_")
            || (attribute.starts_with(b"user.") && !attribute.starts_with(b"user.overlay.")))
}

/// File systems may refuse what programs note; Docker goes on then, too.
fn tolerate(attribute: &[u8], outcome: Result<(), Errno>) -> Result<(), Errno> {
    match outcome {
        Err(Errno::NOTSUP | Errno::PERM) if attribute.starts_with(b"user.") => Ok(()),
        outcome => outcome,
    }
}

fn copy(contents: &mut impl Read, file: &mut std::fs::File, entry: &Entry) -> Result<(), LayerError> {
    let wanted = usize::try_from(entry.size).unwrap_or(BUFFER).clamp(1, BUFFER);
    let mut buffer = vec![0; wanted];
    loop {
        let count = match contents.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(LayerError::Read(error)),
        };
        file.write_all(&buffer[..count]).map_err(|source| {
            if source.kind() == io::ErrorKind::StorageFull {
                LayerError::NoSpace
            } else {
                LayerError::Write { path: shown(&entry.path), source }
            }
        })?;
    }
}

/// What the kernel refused.
pub(super) fn write_error(path: &[u8], error: Errno) -> LayerError {
    if error == Errno::NOSPC || error == Errno::DQUOT {
        return LayerError::NoSpace;
    }
    LayerError::Write { path: shown(path), source: error.into() }
}
