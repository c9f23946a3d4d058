//! Completes a change of the root once every node has changed over.
//!
//! The leader's. Reads the swarm, nodes. Writes the swarm's root and join secrets. Never begins a change, and asks no
//! node for anything: each learns in its session which root signs, renews by itself, and says so.

use std::sync::{Mutex, PoisonError};

use model::SwarmError;
use rand::rngs::StdRng;
use store::{Event, Store, Transaction, WatchError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::decide::{Step, next_step};

/// The component of one term.
#[derive(Debug)]
pub(crate) struct RootReconciler {
    store: Store,
    rng: Mutex<StdRng>,
}

impl RootReconciler {
    /// A component over a store; `rng` draws the join secrets that come with a new root.
    pub(crate) fn new(store: Store, rng: StdRng) -> Self {
        Self { store, rng: Mutex::new(rng) }
    }

    /// Looks at every change of the swarm or of a node until cancelled; fails when this member leads no more.
    pub(crate) async fn run(self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let (_, mut events) = self.store.view_and_watch();
        let mut is_dirty = true;
        // All events of an entry are one look.
        let mut has_news = false;
        loop {
            if std::mem::take(&mut is_dirty) {
                self.reconcile().await?;
            }
            let event = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                event = events.recv() => event,
            };
            match event {
                Ok(Event::NodeChanged(_) | Event::NodeRemoved(_) | Event::ClusterChanged) => has_news = true,
                Ok(Event::Committed { .. }) => is_dirty = std::mem::take(&mut has_news),
                Ok(Event::Work(_)) => {}
                Err(WatchError::Lagged(missed)) => {
                    warn!(missed, "fell behind the store; starting from a new snapshot");
                    events = self.store.view_and_watch().1;
                    is_dirty = true;
                }
                Err(WatchError::Closed) => return Err(SwarmError::unavailable("the store has stopped")),
            }
        }
    }

    async fn reconcile(&self) -> Result<(), SwarmError> {
        let view = self.store.view();
        let Some(cluster) = view.cluster() else {
            return Ok(());
        };
        if next_step(&cluster.state.root_ca, view.nodes().map(AsRef::as_ref)) != Step::Complete {
            return Ok(());
        }
        let (worker, manager) = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            (ca::generate_join_secret(&mut *rng), ca::generate_join_secret(&mut *rng))
        };
        let complete = move |tx: &mut Transaction| {
            let view = tx.view();
            // A node may have joined, or another root been asked for, since the step was decided.
            let step = view.cluster().map(|cluster| next_step(&cluster.state.root_ca, view.nodes().map(AsRef::as_ref)));
            if step != Some(Step::Complete) {
                return Ok(false);
            }
            tx.update_cluster(None, |cluster| {
                cluster.state.root_ca = cluster.state.root_ca.completed();
                cluster.state.join_secrets.worker = worker;
                cluster.state.join_secrets.manager = manager;
            })?;
            Ok(true)
        };
        if self.store.update(complete).await? {
            info!("every node has the new root; the old one is trusted no more");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
