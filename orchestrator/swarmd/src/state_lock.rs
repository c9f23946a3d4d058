//! The lock that makes an agent the only one with its state.
//!
//! Whoever starts the agent again may be faster than the kernel is in ending the one before: a killed process keeps its
//! locks, sockets and ports until its memory is gone. So the next one waits a moment; an agent that lives on is named.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;
use tracing::info;

use crate::layout;

/// How often a lock that somebody has is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Held for as long as this lives, and not by what this process starts.
#[derive(Debug)]
#[expect(dead_code, reason = "the lock is held, not used")]
pub(crate) struct StateLock(File);

impl StateLock {
    /// Makes the data directory, root's alone, where it is missing, and takes its lock: at once where nobody has it, else
    /// when it becomes free within `patience`.
    ///
    /// # Errors
    /// Names the agent that has the state; the system's, where it refuses.
    pub(crate) async fn take(data_dir: &Path, patience: Duration) -> anyhow::Result<Self> {
        let described = || format!("failed to lock the state in `{}`", data_dir.display());
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir).with_context(described)?;
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(layout::state_lock(data_dir));
        let mut file = open.with_context(described)?;
        let deadline = Instant::now() + patience;
        let mut is_told = false;
        while let Err(refusal) = file.try_lock() {
            match refusal {
                TryLockError::Error(error) => return Err(error).with_context(described),
                TryLockError::WouldBlock if Instant::now() < deadline => {}
                TryLockError::WouldBlock => bail!(
                    "another agent ({}) has the state in `{}`; end it first, as by `swarmd service stop`",
                    holder(&mut file),
                    data_dir.display()
                ),
            }
            if !is_told {
                info!(holder = holder(&mut file), "waiting for the agent before this one to end");
            }
            is_told = true;
            tokio::time::sleep(PAUSE).await;
        }
        // For people only: a node whose disk is full starts all the same.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}

/// Who has the lock, by what it has written, for people.
fn holder(file: &mut File) -> String {
    let mut written = String::new();
    // Whoever has it may not have written yet.
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut written));
    match written.trim() {
        "" => "a process that has just begun".to_owned(),
        pid => format!("process {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_agent_that_lives_keeps_the_state_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let _first = StateLock::take(&data_dir, Duration::ZERO).await.unwrap();

        let refusal = StateLock::take(&data_dir, Duration::from_millis(50)).await.unwrap_err().to_string();

        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        assert!(refusal.contains(&data_dir.display().to_string()), "{refusal}");
    }

    #[tokio::test]
    async fn an_agent_waits_for_the_one_before_it_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateLock::take(folder.path(), Duration::ZERO).await.unwrap();

        let waiting = StateLock::take(folder.path(), Duration::from_secs(30));
        let (second, ()) = tokio::join!(waiting, async move { drop(first) });

        second.unwrap();
    }
}
