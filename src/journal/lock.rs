//! One swarmup at a time changes a cluster.
//!
//! The lock is the kernel's, on a file in the cluster's folder, and belongs to the process alone: it ends with it,
//! however it ends and whatever it was about to start. (A lock that goes with the descriptor would live on in a child
//! that has not run its own program yet.) Who holds it is told by the kernel too; the file says by which command.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::platform;

/// The lock's name in the folder of its cluster.
pub const LOCK_FILE: &str = "lock";
/// How much of the lock file is read at most.
const MAX_HOLDER_BYTES: u64 = 512;
/// How much of a command is shown.
const MAX_COMMAND_LENGTH: usize = 80;
/// How often the folder may be removed between opening the lock and having it.
const MAX_VANISHED: u32 = 10;

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
    #[cfg_attr(not(test), expect(dead_code, reason = "the lock lasts as long as the file is open"))]
    file: File,
}

impl ClusterLock {
    /// Takes the lock of the cluster in `folder`, or says at once who has it.
    pub fn take(folder: &Path, cluster: &str) -> Result<Self, LockError> {
        let path = folder.join(LOCK_FILE);
        let disk = |source| LockError::Disk { path: path.clone(), source };
        for _ in 0..MAX_VANISHED {
            let mut file = platform::open_private(&path, false).map_err(disk)?;
            match platform::try_lock(&file) {
                Ok(()) => {}
                Err(TryLockError::Error(error)) => return Err(disk(error)),
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held { cluster: cluster.to_owned(), holder: holder(file) });
                }
            }
            // A destroy that ended in this moment has removed the folder, and the lock with it.
            if !platform::is_removed(&file).map_err(disk)? {
                let holder = Holder::this_process().to_string();
                let written =
                    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
                written.map_err(disk)?;
                return Ok(Self { file });
            }
        }
        Err(disk(io::ErrorKind::NotFound.into()))
    }
}

/// Who works on a cluster: shown as it is written into the lock file.
struct Holder {
    command: String,
    process: u32,
}

impl Holder {
    fn this_process() -> Self {
        let command: Vec<_> = std::env::args().skip(1).collect();
        let mut command = format!("swarmup {}", command.join(" ")).replace(char::is_control, " ");
        if command.chars().count() > MAX_COMMAND_LENGTH {
            command = command.chars().take(MAX_COMMAND_LENGTH).chain(['…']).collect();
        }
        Self { command, process: std::process::id() }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "`{}` (process {})", self.command.trim_end(), self.process)
    }
}

/// Who holds the lock, in words. The file may still tell of the holder before: the kernel knows better.
fn holder(file: File) -> String {
    let process = platform::lock_holder(&file);
    let mut written = String::new();
    // What cannot be read is merely not shown: that the lock is held is known without it.
    let _ = file.take(MAX_HOLDER_BYTES).read_to_string(&mut written);
    match process {
        Some(process) if !written.ends_with(&format!("(process {process})")) => {
            format!("another swarmup (process {process})")
        }
        None if written.is_empty() => "another swarmup".to_owned(),
        Some(_) | None => written,
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// The folder whose lock the process started by [`hold`] takes, and where it says that it has.
    const FOLDER: &str = "SWARMUP_TEST_LOCK_FOLDER";
    const NAME: &str = "journal::lock::tests::a_process_that_holds_the_lock";

    /// Another process that takes the lock and, with it, starts one that holds all that children are given.
    fn hold(folder: &Path) -> Child {
        let holder = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !folder.join("held").exists() {
            std::thread::yield_now();
        }
        holder
    }

    #[test]
    fn a_process_that_holds_the_lock() {
        let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
        let lock = ClusterLock::take(&folder, "lab").unwrap();
        // It lives as long as the test's own end of the pipe, and has the descriptor of the lock all the while.
        // The copy stays open as long as the command: closing it would end the lock.
        let descriptor = lock.file.try_clone().unwrap();
        let mut command = Command::new("cat");
        let mut child = command.stdout(descriptor).spawn().unwrap();
        std::fs::write(folder.join("held"), "").unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_second_swarmup_is_refused_and_told_who_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = hold(folder.path());

        let error = ClusterLock::take(folder.path(), "lab").unwrap_err().to_string();

        assert!(error.starts_with("cluster `lab` is being changed by `swarmup --exact journal::lock"), "{error}");
        assert!(error.ends_with(&format!("(process {})", first.id())), "{error}");
        drop(first.stdin.take());
        first.wait().unwrap();
        assert!(ClusterLock::take(folder.path(), "lab").is_ok());
    }

    #[test]
    fn a_holder_that_has_not_written_its_name_yet_is_told_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = hold(folder.path());
        std::fs::write(folder.path().join(LOCK_FILE), "`swarmup create` (process 1)").unwrap();

        let error = ClusterLock::take(folder.path(), "lab").unwrap_err().to_string();

        assert_eq!(error, format!("cluster `lab` is being changed by another swarmup (process {})", first.id()));
        drop(first.stdin.take());
        first.wait().unwrap();
    }

    #[test]
    fn the_lock_of_a_killed_swarmup_ends_at_once_though_a_child_has_its_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = hold(folder.path());

        first.kill().unwrap();
        first.wait().unwrap();

        assert!(ClusterLock::take(folder.path(), "lab").is_ok());
    }
}
