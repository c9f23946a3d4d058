//! Has a manager's keys on disk follow the unlock key of the swarm: on, off, rotated, also while the node was away.
//!
//! Reads the swarm. Writes nothing but the node's own files. Never tells anybody the key.

use std::time::Duration;

use ca::UnlockKey;
use model::{Secret, SwarmError, with_causes};
use store::{Store, WatchError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::keyring::{Followed, Keyring};

/// Before keys that could not be written are written again.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps the keys in the form that the swarm wants.
#[derive(Debug, Clone)]
pub(crate) struct Sealing {
    pub(crate) store: Store,
    pub(crate) keyring: Keyring,
}

impl Sealing {
    /// Follows until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let (_, mut watch) = self.store.view_and_watch();
        loop {
            let again = if self.settle().await { None } else { Some(Instant::now() + RETRY) };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = until(again) => {}
                event = watch.recv() => match event {
                    Ok(_) => {}
                    Err(WatchError::Lagged(_)) => watch = self.store.view_and_watch().1,
                    Err(WatchError::Closed) => return,
                },
            }
        }
    }

    /// Brings the keys into the form that the swarm in the store wants; `false` where that is to be tried again.
    pub(crate) async fn settle(&self) -> bool {
        let view = self.store.view();
        let Some(cluster) = view.cluster() else {
            return true;
        };
        let version = cluster.meta.version;
        let outcome = match cluster.state.unlock_key.as_ref().map(parse).transpose() {
            Ok(unlock_key) => {
                let keyring = self.keyring.clone();
                let follow = move || keyring.follow(version, unlock_key.as_ref());
                match tokio::task::spawn_blocking(follow).await {
                    Ok(followed) => followed.map_err(|error| with_causes(&error)),
                    Err(panic) => Err(panic.to_string()),
                }
            }
            Err(error) => Err(error.message),
        };
        match outcome {
            Ok(Followed::Unchanged) => {}
            Ok(Followed::Locked) => info!("the keys of this manager are locked: a restart needs the unlock key"),
            Ok(Followed::Rotated) => info!("the keys of this manager are locked with the new unlock key"),
            Ok(Followed::Opened) => info!("the keys of this manager are not locked any more"),
            Err(error) => {
                error!(error, "failed to bring the keys of this manager into form; trying again");
                return false;
            }
        }
        true
    }
}

fn parse(unlock_key: &Secret) -> Result<UnlockKey, SwarmError> {
    let parsed = unlock_key.expose().parse();
    parsed.map_err(|error| SwarmError::internal(format!("the swarm's unlock key cannot be read: {error}")))
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
