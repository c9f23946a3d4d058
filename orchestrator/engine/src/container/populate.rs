//! Fills a new volume with what the image has at its place, and finds a folder of a volume.
//!
//! Both walk what strangers have made: every step is taken from an open folder, and no symbolic link leads out of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat,
    chownat, fgetxattr, flistxattr, fsetxattr, mkdirat, mknodat, open, openat, openat2, readlinkat, statat, symlinkat,
    utimensat,
};
use rustix::io::Errno;

use crate::document::FileFailure;

/// How deep folders may lie in one another: as deep as a path is long.
const DEPTH_LIMIT: u32 = 2048;
/// The longest value of an extended attribute, in bytes: the kernel's bound.
const ATTRIBUTE_LIMIT: usize = 64 << 10;

/// Copies what lies at `destination` of a mounted root into a volume, which is empty: files with owners, modes, times and
/// attributes. A volume for which the image has no folder stays as it is.
pub(super) fn populate(root: &Path, destination: &str, volume: &Path) -> Result<(), FileFailure> {
    let work = || -> io::Result<()> {
        let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let target = open(volume, folder, Mode::empty())?;
        let root = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let inside = destination.trim_start_matches('/');
        let source = match openat2(&root, inside, folder, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(source) => source,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        copy_folder(&source, &target, 0)?;
        // The volume itself looks like the folder it stands for.
        let stat = statat(&source, "", AtFlags::EMPTY_PATH)?;
        copy_attributes(source.as_fd(), target.as_fd())?;
        dress(&target, ".", &stat, false)
    };
    work().map_err(FileFailure::at("fill the volume", volume))
}

/// A folder of a volume, which must lie in it.
pub(super) fn subfolder(volume: &Path, subpath: &str) -> Result<PathBuf, FileFailure> {
    let find = || -> io::Result<PathBuf> {
        let (whole, part) = (std::fs::canonicalize(volume)?, std::fs::canonicalize(volume.join(subpath))?);
        if part.starts_with(&whole) { Ok(part) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    };
    find().map_err(FileFailure::at("find a folder of the volume", &volume.join(subpath)))
}

fn copy_folder(source: &OwnedFd, target: &OwnedFd, depth: u32) -> io::Result<()> {
    if depth > DEPTH_LIMIT {
        return Err(io::Error::other("folders lie too deep in one another"));
    }
    for entry in Dir::read_from(source)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                mkdirat(target, name, Mode::RWXU)?;
                let (from, to) =
                    (openat(source, name, flags, Mode::empty())?, openat(target, name, flags, Mode::empty())?);
                copy_folder(&from, &to, depth + 1)?;
                copy_attributes(from.as_fd(), to.as_fd())?;
                dress(target, name, &stat, false)?;
            }
            FileType::RegularFile => {
                let from = openat(source, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let to = openat(target, name, flags, Mode::RUSR | Mode::WUSR)?;
                let (mut from, mut to) = (std::fs::File::from(from), std::fs::File::from(to));
                io::copy(&mut from, &mut to)?;
                copy_attributes(from.as_fd(), to.as_fd())?;
                dress(target, name, &stat, false)?;
            }
            FileType::Symlink => {
                symlinkat(readlinkat(source, name, Vec::new())?, target, name)?;
                dress(target, name, &stat, true)?;
            }
            kind @ (FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown) => {
                mknodat(target, name, kind, Mode::RUSR | Mode::WUSR, stat.st_rdev)?;
                dress(target, name, &stat, false)?;
            }
        }
    }
    Ok(())
}

/// Gives owner, mode and times; the owner first, for a change of it takes set-user-id away.
fn dress(folder: impl AsFd, name: impl rustix::path::Arg + Copy, stat: &Stat, is_link: bool) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(&folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !is_link {
        chmodat(&folder, name, Mode::from_raw_mode(stat.st_mode), AtFlags::empty())?;
    }
    let time = |seconds, nanoseconds: i64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec.cast_signed()),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec.cast_signed()),
    };
    Ok(utimensat(&folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Copies the extended attributes, but for overlayfs's own. A file system that knows none is fine.
fn copy_attributes(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let mut names = vec![0_u8; ATTRIBUTE_LIMIT];
    let length = match flistxattr(source, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0_u8; ATTRIBUTE_LIMIT];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let size = fgetxattr(source, name, &mut value[..])?;
        match fsetxattr(target, name, &value[..size], XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
