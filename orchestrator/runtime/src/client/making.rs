//! Waits for shims that were making a container when the agent that started them ended, or gave up.
//!
//! Whoever starts a shim locks the file of its complaints and leaves the lock to it; the shim lets go once the container
//! is whole or could not be made, and the kernel does so where the shim ends. So nobody looks at a folder by halves.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::blocking;
use crate::RuntimeError;
use crate::shim::COMPLAINTS;

/// How long a shim may take to make its container once somebody else waits for it; it takes milliseconds. One that takes
/// longer is ended by whoever looks next, for its container is not whole.
const MAKING_LIMIT: Duration = Duration::from_secs(10);

/// Returns once nothing is being made in a state folder, or the time for it is over. One that is gone is fine.
pub(super) async fn wait_for_end(folder: &Path) -> Result<(), RuntimeError> {
    let log = folder.join(COMPLAINTS);
    let file = match File::open(&log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|error| RuntimeError::at("open", &log, error))?,
    };
    match file.try_lock() {
        Ok(()) => return Ok(()),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(RuntimeError::at("lock", &log, error)),
    }
    let place = log.clone();
    let made = blocking(move || file.lock().map_err(|error| RuntimeError::at("lock", &place, error)));
    if let Ok(made) = tokio::time::timeout(MAKING_LIMIT, made).await {
        return made;
    }
    tracing::warn!(folder = %folder.display(), "a shim does not get done with its container");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_in_which_something_is_made_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        wait_for_end(folder.path()).await.unwrap();
        let held = File::create(folder.path().join(COMPLAINTS)).unwrap();
        held.lock().unwrap();

        let mut waiting = std::pin::pin!(wait_for_end(folder.path()));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        drop(held);

        tokio::time::timeout(MAKING_LIMIT / 2, waiting).await.unwrap().unwrap();
    }
}
