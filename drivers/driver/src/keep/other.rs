//! Where there is no Unix below: the profile's folder protects itself, and there is no sudo.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens a file, creating it where it is missing; the folder's access rules protect it.
pub fn open_private(path: &Path, truncate: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(truncate).open(path)
}

/// Makes a folder and the ones above it.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Names are durable with the files themselves.
pub fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}
