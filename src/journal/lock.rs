//! One swarmup at a time changes a cluster.
//!
//! The lock is the kernel's, on a file in the cluster's folder: it ends with its process, however that ends. What
//! the file says is only for the message that a second swarmup shows.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::platform;

/// The lock's name in the folder of its cluster.
pub const LOCK_FILE: &str = "lock";
/// How much of the lock file is shown at most.
const MAX_HOLDER_BYTES: u64 = 512;

/// How long the lock of a swarmup that was killed may stay: a process that it was about to start holds it too, until
/// that runs its own program.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// How often the lock is tried meanwhile.
const RETRY_EVERY: Duration = Duration::from_millis(10);

/// Why a cluster cannot be changed now.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another swarmup is at work on it.
    #[error("cluster `{cluster}` is being changed by {holder}")]
    Held {
        /// The cluster.
        cluster: String,
        /// Who holds it.
        holder: String,
    },
    /// The disk refused.
    #[error("failed to lock `{}`", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LockError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Held { .. } => Some("wait until it is done, or end it with Ctrl-C and try again".to_owned()),
            Self::Disk { .. } => None,
        }
    }
}

/// The right to change a cluster, held until dropped.
#[derive(Debug)]
pub struct ClusterLock {
    /// Keeps the kernel's lock alive.
    _file: File,
}

impl ClusterLock {
    /// Takes the lock of the cluster in `folder`, or says who has it. Waits no longer than a dead holder's lock stays.
    pub fn take(folder: &Path, cluster: &str) -> Result<Self, LockError> {
        let path = folder.join(LOCK_FILE);
        let disk = |source| LockError::Disk { path: path.clone(), source };
        let mut file = platform::open_private(&path, false).map_err(disk)?;
        match try_for_a_while(&file) {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(disk(error)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What cannot be read is merely not shown: that the lock is held is known without it.
                let _ = file.take(MAX_HOLDER_BYTES).read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another swarmup".to_owned() } else { holder };
                return Err(LockError::Held { cluster: cluster.to_owned(), holder });
            }
        }
        let command = std::env::args().nth(1).unwrap_or_default();
        let holder = format!("`swarmup {command}` (process {})", std::process::id());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes())).map_err(disk)?;
        Ok(Self { _file: file })
    }
}

fn try_for_a_while(file: &File) -> Result<(), TryLockError> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::park_timeout(RETRY_EVERY),
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_says_who_has_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let _first = ClusterLock::take(folder.path(), "lab").unwrap();

        let error = ClusterLock::take(folder.path(), "lab").unwrap_err();

        let expected = format!("(process {})", std::process::id());
        assert!(error.to_string().ends_with(&expected), "{error}");
    }

    #[test]
    fn a_lock_that_is_about_to_end_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let first = ClusterLock::take(folder.path(), "lab").unwrap();

        std::thread::scope(|scope| {
            let second = scope.spawn(|| ClusterLock::take(folder.path(), "lab"));
            std::thread::park_timeout(RETRY_EVERY * 2);
            drop(first);

            assert!(second.join().unwrap().is_ok());
        });
    }

    #[test]
    fn a_lock_ends_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        drop(ClusterLock::take(folder.path(), "lab").unwrap());

        assert!(ClusterLock::take(folder.path(), "lab").is_ok());
    }
}
