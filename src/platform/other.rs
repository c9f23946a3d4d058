//! Where there is no Unix below: the profile's folder protects itself, and there is no sudo.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Locks a file by a handle that no child inherits, or says that another process has.
pub fn try_lock(file: &File) -> Result<(), TryLockError> {
    file.try_lock()
}

/// Nobody tells who has a file locked.
pub fn lock_holder(_file: &File) -> Option<u32> {
    None
}

/// A file that is open keeps its name.
pub fn is_removed(_file: &File) -> io::Result<bool> {
    Ok(false)
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

/// Whether [`process_start`] tells anything.
pub const CAN_WATCH_PROCESSES: bool = false;

/// Nobody tells.
pub fn process_start(_pid: u32) -> Option<Option<u64>> {
    None
}

/// There is no session to leave.
pub fn leave_session() {}

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

/// There are no such sockets.
pub fn client_on_socket(_socket: &Path) -> io::Result<reqwest::Client> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this workstation has no sockets in its file system"))
}
