//! A path in a container as `docker cp` means it: what a slash or a dot at its end says, and what lies there.

use std::os::fd::{AsRawFd as _, OwnedFd};

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;

use super::CopyError;
use super::view::FileView;

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// The last part of the path; `.` for what is in a folder, `/` for the root.
    pub name: String,
    /// Bytes, as the file system counts.
    pub size: i64,
    /// Kind and permissions, as the kernel writes them.
    pub mode: u32,
    /// When it was changed last.
    pub modified: Timestamp,
    /// Where a link leads in the end, as the container sees it; empty for what is none.
    pub link_target: String,
}

/// A path in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its parts, without `.` and `..`.
    parts: Vec<Vec<u8>>,
    /// Whether it ends with a slash: then a link at its end is followed.
    ends_with_slash: bool,
    /// Whether it ends with `/.`: likewise, and what is in the folder is meant.
    ends_with_dot: bool,
}

impl Place {
    /// Reads a path, which begins at the root whether or not it says so.
    pub(super) fn read(path: &str) -> Self {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part.as_bytes().to_vec()),
            }
        }
        let ends_with_dot = path == "." || path.ends_with("/.");
        Self { parts, ends_with_slash: path.ends_with('/'), ends_with_dot }
    }

    /// The name that its entries in an archive begin with.
    pub(super) fn name(&self) -> &[u8] {
        match self.parts.last() {
            _ if self.ends_with_dot => b".",
            Some(name) => name,
            None => b"/",
        }
    }

    /// The path from the root.
    pub(super) fn path(&self) -> Vec<u8> {
        self.parts.join(&b'/')
    }

    fn follows(&self) -> bool {
        self.ends_with_slash || self.ends_with_dot || self.parts.is_empty()
    }

    /// Opens it, a link itself.
    pub(super) fn open(&self, view: &FileView) -> Result<(OwnedFd, Stat), Errno> {
        let opened = if self.follows() {
            view.resolve(&self.path(), OFlags::PATH | OFlags::DIRECTORY)?
        } else {
            view.resolve(&self.path(), OFlags::PATH | OFlags::NOFOLLOW)?
        };
        let stat = rustix::fs::fstat(&opened)?;
        Ok((opened, stat))
    }
}

impl FileView {
    /// What lies at a path. Blocks.
    pub fn stat(&self, path: &str) -> Result<FileStat, CopyError> {
        let place = Place::read(path);
        let failed = |error| CopyError::at("look at", path.as_bytes(), error);
        let (opened, stat) = place.open(self).map_err(failed)?;
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        let link_target = if is_link { self.target(&place, &opened).map_err(failed)? } else { String::new() };
        let nanoseconds = i32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        Ok(FileStat {
            name: String::from_utf8_lossy(place.name()).into_owned(),
            size: stat.st_size,
            mode: stat.st_mode,
            modified: Timestamp::new(stat.st_mtime, nanoseconds).unwrap_or_default(),
            link_target,
        })
    }

    /// Where a link leads in the end; by its words alone where that is nowhere.
    fn target(&self, place: &Place, link: &OwnedFd) -> Result<String, Errno> {
        if let Ok(end) = self.resolve(&place.path(), OFlags::PATH) {
            // The kernel tells paths of other namespaces from their own roots.
            let path = rustix::fs::readlink(format!("/proc/self/fd/{}", end.as_raw_fd()), Vec::new())?;
            return Ok(path.to_string_lossy().into_owned());
        }
        let target = rustix::fs::readlinkat(link, "", Vec::new())?;
        let target = target.to_string_lossy();
        let path = if target.starts_with('/') {
            target.into_owned()
        } else {
            let parent = place.parts.split_last().map(|(_, parent)| parent.join(&b'/')).unwrap_or_default();
            format!("{}/{target}", String::from_utf8_lossy(&parent))
        };
        Ok(format!("/{}", String::from_utf8_lossy(&Place::read(&path).path())))
    }
}

/// Whether something is there, itself, in an open folder.
pub(super) fn stat_in(folder: &OwnedFd, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_their_ends_say() {
        let check = |path: &str, name: &str, from_root: &str, follows: bool| {
            let place = Place::read(path);
            let found = (place.name().to_vec(), place.path(), place.follows());
            assert_eq!(found, (name.as_bytes().to_vec(), from_root.as_bytes().to_vec(), follows), "{path}");
        };
        check("/a/b", "b", "a/b", false);
        check("a/b", "b", "a/b", false);
        check("/a/b/", "b", "a/b", true);
        check("/a/b/.", ".", "a/b", true);
        check("/a/../b", "b", "b", false);
        check("/../../b", "b", "b", false);
        check("/", "/", "", true);
        check("/.", ".", "", true);
        check(".", ".", "", true);
    }
}
