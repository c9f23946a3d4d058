//! What this process knows of a cluster because it has just done or seen it, so that it need not ask again.
//!
//! Nothing rests on it: another process, which knows nothing, asks the provider and comes to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driver::{ClusterId, InstanceId};
use google_cloud_compute_v1::model::Operation;
use tokio::time::Instant;

use crate::network::Parts;

/// How long what was seen counts: as long as a destroy takes.
const FRESH: Duration = Duration::from_mins(10);

/// What this process knows of clusters.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<BTreeMap<ClusterId, Known>>);

/// What it knows of one.
#[derive(Debug, Default)]
struct Known {
    /// The operations that make its firewall, which nobody has waited for, each with what it does.
    pending: Option<Vec<(String, Operation)>>,
    seen: Option<Seen>,
}

/// What was found at the provider, less what this process has destroyed since.
#[derive(Debug)]
struct Seen {
    at: Instant,
    machines: BTreeSet<InstanceId>,
    parts: Parts,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClusterId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is about to be made: what was seen counts no more.
    pub(crate) fn forget(&self, cluster: &ClusterId) {
        self.lock().entry(cluster.clone()).or_default().seen = None;
    }

    /// Keeps the operations of a firewall's rules for those who need the rules.
    pub(crate) fn keep_pending(&self, cluster: &ClusterId, operations: Vec<(String, Operation)>) {
        self.lock().entry(cluster.clone()).or_default().pending = Some(operations);
    }

    /// The operations that are to be waited for; `None` where another process began them, if any.
    pub(crate) fn take_pending(&self, cluster: &ClusterId) -> Option<Vec<(String, Operation)>> {
        self.lock().get_mut(cluster)?.pending.take()
    }

    /// Keeps what was found.
    pub(crate) fn keep_seen(&self, cluster: &ClusterId, machines: BTreeSet<InstanceId>, parts: Parts) {
        let seen = Seen { at: Instant::now(), machines, parts };
        self.lock().entry(cluster.clone()).or_default().seen = Some(seen);
    }

    /// Whether all of these were found a moment ago and carried a mark.
    pub(crate) fn has_seen(&self, ids: &[InstanceId]) -> bool {
        let known = self.lock();
        let fresh: Vec<_> =
            known.values().filter_map(|known| known.seen.as_ref()).filter(|seen| seen.is_fresh()).collect();
        ids.iter().all(|id| fresh.iter().any(|seen| seen.machines.contains(id)))
    }

    /// Machines are gone.
    pub(crate) fn note_gone(&self, ids: &[InstanceId]) {
        for seen in self.lock().values_mut().filter_map(|known| known.seen.as_mut()) {
            seen.machines.retain(|id| !ids.contains(id));
        }
    }

    /// What a cluster's network consists of, where it was seen a moment ago and all machines in it are gone since.
    /// Counts once.
    pub(crate) fn take_emptied(&self, cluster: &ClusterId) -> Option<Parts> {
        let mut known = self.lock();
        let seen = known.get_mut(cluster)?.seen.take()?;
        (seen.is_fresh() && seen.machines.is_empty()).then_some(seen.parts)
    }
}

impl Seen {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < FRESH
    }
}
