//! `docker diff`: what a container changed of its image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::ContainerRoot;
use super::walk::{Base, is_whiteout};
use crate::{ImageError, Rootfs};

/// The most changes that are told: a list for people.
const LIMIT: usize = 500_000;

/// One thing that a container changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// From the container's root: `/etc/motd`.
    pub path: PathBuf,
    /// How.
    pub kind: ChangeKind,
}

/// How something was changed. The numbers are those of Docker's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Its contents or metadata, or something in the folder.
    Modified = 0,
    /// It is new.
    Added = 1,
    /// It is gone.
    Deleted = 2,
}

impl ContainerRoot {
    /// What the container changed so far, in the order of paths. Blocks for as long as the walk takes.
    pub fn changes(&self, rootfs: &Rootfs) -> Result<Vec<Change>, ImageError> {
        let upper = self.upper();
        let failed = |error: Errno| ImageError::io("walk", &upper)(error.into());
        let lowers = rootfs.lower_folders();
        let lowers = lowers.iter().map(|lower| Base::open(lower).map_err(ImageError::io("open", lower)));
        let lowers = lowers.collect::<Result<Vec<_>, _>>()?;
        let base = Base::open(&upper).map_err(ImageError::io("open", &upper))?;
        let mut changes = BTreeMap::new();
        let walked = base.walk(|_, found| {
            let below = below(&lowers, &found.path)?;
            let kind = match below {
                _ if found.is_whiteout() => ChangeKind::Deleted,
                None => ChangeKind::Added,
                // A folder is copied up when something in it changes, and has then changed by that alone.
                Some(stat) if is_same_folder(&stat, &found.stat) => return Ok(true),
                Some(_) => ChangeKind::Modified,
            };
            if changes.len() >= LIMIT {
                return Err(Errno::TOOBIG);
            }
            for parent in found.path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
                changes.entry(parent.to_owned()).or_insert(ChangeKind::Modified);
            }
            changes.insert(found.path, kind);
            Ok(true)
        });
        walked.map_err(failed)?;
        Ok(changes.into_iter().map(|(path, kind)| Change { path: Path::new("/").join(path), kind }).collect())
    }
}

/// What the image has at a path; `None` where it has nothing, or hides it.
fn below(lowers: &[Base], path: &Path) -> Result<Option<Stat>, Errno> {
    for lower in lowers {
        if let Some(stat) = lower.stat(path)? {
            return Ok((!is_whiteout(&stat)).then_some(stat));
        }
        if hides(lower, path)? {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Whether a layer hides what those below it have at a path that it does not have itself.
fn hides(lower: &Base, path: &Path) -> Result<bool, Errno> {
    for parent in path.ancestors().skip(1) {
        match lower.stat(parent)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => return Ok(true),
            Some(_) if lower.is_opaque(parent)? => return Ok(true),
            Some(_) | None => {}
        }
    }
    Ok(false)
}

fn is_same_folder(one: &Stat, other: &Stat) -> bool {
    let is_folder = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let marks = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_mtime_nsec);
    is_folder(one) && is_folder(other) && marks(one) == marks(other)
}
