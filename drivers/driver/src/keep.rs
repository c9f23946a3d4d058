//! What swarmup and its drivers keep on the workstation: private files and folders, which under sudo belong to the
//! user behind it, so that the next command needs no sudo to read them.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as this;

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
use other as this;

use std::io::{self, Write as _};
use std::path::Path;

pub use this::{create_private_dir, open_private, sync_dir};

#[cfg(unix)]
pub use this::Caller;

/// Replaces private files of one folder, each as a whole and in this order; all are durable on return.
pub fn replace_all<'a>(folder: &Path, files: impl IntoIterator<Item = (&'a Path, &'a [u8])>) -> io::Result<()> {
    for (name, bytes) in files {
        let path = folder.join(name);
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        let mut file = open_private(beside.as_ref(), true)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)?;
    }
    // The names of all of them at once.
    sync_dir(folder)
}
