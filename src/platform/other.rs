//! Where there is no Unix below: the profile's folder protects itself, and there is no sudo.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Opens a file, creating it where it is missing; the folder's access rules protect it.
pub fn open_private(path: &Path, truncate: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(truncate).open(path)
}

/// Makes a folder and the ones above it.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// There is no other user to give anything to.
pub fn give_to_caller(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Names are durable with the files themselves.
pub fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Every file can be run that has the right name.
pub fn set_executable(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// There is no sudo.
pub fn caller_home() -> Option<PathBuf> {
    None
}

/// The name of the user.
pub fn caller_name() -> Option<String> {
    std::env::var("USERNAME").ok().filter(|value| !value.is_empty())
}

/// What this workstation calls itself.
pub fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok().filter(|value| !value.is_empty())
}

/// Ctrl-C, which is all there is.
#[derive(Debug)]
pub struct Interrupts {}

impl Interrupts {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
