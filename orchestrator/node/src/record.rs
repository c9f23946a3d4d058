//! Who the node is, in memory and on disk at once: nothing is used before it is kept.

use std::sync::{Arc, Mutex, PoisonError};

use agent::IdentityKeeper;
use async_trait::async_trait;
use model::{Role, SwarmError, with_causes};
use rpc::Identity;

use crate::disk::{Disk, DiskError, NodeFile};
use crate::keyring::Keyring;

/// The record of a membership. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) disk: Disk,
    pub(crate) keyring: Keyring,
    node: Arc<Mutex<NodeFile>>,
}

impl Record {
    /// The record of what is on disk already.
    pub(crate) fn new(disk: Disk, keyring: Keyring, node: NodeFile) -> Self {
        Self { disk, keyring, node: Arc::new(Mutex::new(node)) }
    }

    /// The node as it is kept.
    pub(crate) fn node(&self) -> NodeFile {
        self.node.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the record; writes it where that makes a difference.
    pub(crate) async fn change(&self, change: impl FnOnce(&mut NodeFile) + Send + 'static) -> Result<(), SwarmError> {
        let record = self.clone();
        blocking(move || {
            let mut node = record.node.lock().unwrap_or_else(PoisonError::into_inner);
            let mut changed = node.clone();
            change(&mut changed);
            if changed != *node {
                record.disk.keep_node(&changed)?;
                *node = changed;
            }
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl IdentityKeeper for Record {
    async fn keep(&self, identity: &Identity, role: Role) -> Result<(), SwarmError> {
        let (keyring, identity) = (self.keyring.clone(), identity.clone());
        blocking(move || keyring.keep(&identity, role)).await?;
        self.change(|node| node.is_first_key = false).await
    }

    async fn keep_roots(&self, roots: &[String]) -> Result<(), SwarmError> {
        let roots = roots.to_vec();
        self.change(move |node| node.roots = roots).await
    }
}

/// Runs disk work where it blocks nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DiskError> + Send + 'static,
) -> Result<T, SwarmError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| SwarmError::internal(error.to_string()))?
        .map_err(|error| SwarmError::internal(with_causes(&error)))
}
