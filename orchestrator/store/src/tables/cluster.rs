//! The swarm itself: one object, or none before the swarm is formed.

use std::sync::Arc;

use model::{Cluster, Meta, SwarmError, Version};

use crate::table::{Table, Whole};
use crate::{Event, Snapshot, Transaction};

/// The swarm.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterTable(Option<Arc<Cluster>>);

impl Table for ClusterTable {
    type Key = ();
    type Object = Cluster;
    type Amendment = Whole;

    const KIND: &'static str = "swarm";

    fn key(_: &Cluster) {}

    fn meta(cluster: &Cluster) -> &Meta {
        &cluster.meta
    }

    fn meta_mut(cluster: &mut Cluster) -> &mut Meta {
        &mut cluster.meta
    }

    fn get(&self, (): &()) -> Option<&Arc<Cluster>> {
        self.0.as_ref()
    }

    fn put(&mut self, cluster: Arc<Cluster>) {
        self.0 = Some(cluster);
    }

    fn remove(&mut self, (): &()) -> Option<Arc<Cluster>> {
        self.0.take()
    }

    fn objects(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.0.iter()
    }

    fn changed(_: &Cluster, _known: Option<&Arc<Cluster>>) -> Event {
        Event::ClusterChanged
    }

    fn removed(_: Arc<Cluster>) -> Event {
        Event::ClusterChanged
    }
}

/// Looking the swarm up.
impl Snapshot {
    /// The swarm, once it is formed.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.tables().cluster.0.as_ref()
    }
}

/// Changing the swarm.
impl Transaction {
    /// Creates the swarm. Version and times are set by the store.
    ///
    /// # Errors
    /// There is one.
    pub fn create_cluster(&mut self, cluster: Cluster) -> Result<(), SwarmError> {
        self.create::<ClusterTable>(cluster)
    }

    /// Changes the swarm, if its version is still the one given. A change that changes nothing is none.
    ///
    /// # Errors
    /// There is none yet, or another version of it.
    pub fn update_cluster(
        &mut self,
        version: Option<Version>,
        change: impl FnOnce(&mut Cluster),
    ) -> Result<(), SwarmError> {
        self.update::<ClusterTable>(&(), version, change)
    }
}
