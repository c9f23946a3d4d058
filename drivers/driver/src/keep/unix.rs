//! Linux and macOS: modes and owners.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Gid, Uid};

/// The user on whose behalf sudo runs this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
}

impl Caller {
    /// Known only to a process that runs as root under sudo; anybody else could claim to be whoever they like.
    pub fn behind_sudo() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let read = |name: &str| std::env::var(name).ok()?.parse().ok();
        Some(Self { uid: read("SUDO_UID")?, gid: read("SUDO_GID")? })
    }
}

/// Opens a file that only its owner may read, creating it where it is missing.
pub fn open_private(path: &Path, truncate: bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(truncate).mode(0o600).open(path)?;
    give_to_caller(path)?;
    Ok(file)
}

/// Makes a folder, and the ones above it, that only its owner may enter.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|folder| !folder.exists()).collect::<Vec<_>>();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => give_to_caller(folder)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives a file to the user behind sudo.
fn give_to_caller(path: &Path) -> io::Result<()> {
    let Some(caller) = Caller::behind_sudo() else { return Ok(()) };
    rustix::fs::chown(path, Some(Uid::from_raw(caller.uid)), Some(Gid::from_raw(caller.gid)))?;
    Ok(())
}

/// Makes the names in a folder durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
