//! Keeps what this manager trusts at its door as the store has it: the roots, and the nodes that were removed.
//!
//! On every manager, leader or not. Reads the swarm. Writes only the TLS state of this process.

use model::{Cluster, NodeId};
use rpc::{TlsState, Trust};
use store::{Event, Store, StoreClosed, WatchError};
use tokio_util::sync::CancellationToken;
use tracing::error;

/// Applies the trust now and at every change of the swarm, until cancelled.
pub(crate) async fn keep(store: &Store, tls: &TlsState, cancel: CancellationToken) -> Result<(), StoreClosed> {
    let (view, mut events) = store.view_and_watch();
    if let Some(cluster) = view.cluster() {
        apply(cluster, tls);
    }
    loop {
        let event = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            event = events.recv() => event,
        };
        match event {
            Ok(Event::ClusterChanged) => {}
            Ok(Event::NodeChanged(_) | Event::NodeRemoved(_) | Event::Work(_) | Event::Committed { .. }) => continue,
            Err(WatchError::Lagged(_)) => events = store.view_and_watch().1,
            Err(WatchError::Closed) => return Err(StoreClosed),
        }
        if let Some(cluster) = store.view().cluster() {
            apply(cluster, tls);
        }
    }
}

fn apply(cluster: &Cluster, tls: &TlsState) {
    let removed: Vec<NodeId> = cluster.state.removed_nodes.iter().map(|entry| entry.id.clone()).collect();
    tls.set_removed(&removed);
    let trust = Trust { roots: cluster.state.root_ca.trusted(), cluster_id: Some(cluster.id.clone()) };
    if let Err(error) = tls.set_trust(&trust) {
        error!(%error, "the swarm's roots cannot be used; trusting those from before");
    }
}
