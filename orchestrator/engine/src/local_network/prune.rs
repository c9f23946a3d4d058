//! `docker network prune`: takes the networks that no container is in.

use jiff::Timestamp;

use super::{LocalNetwork, LocalNetworkError, Network, Networks};
use crate::volume::has_label;

/// Which networks may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkFilter {
    /// Only what was made before.
    pub until: Option<Timestamp>,
    /// Only what has all these labels, with this value where one is given.
    pub labels: Vec<(String, Option<String>)>,
    /// Nothing that has one of these.
    pub not_labels: Vec<(String, Option<String>)>,
}

impl NetworkFilter {
    fn allows(&self, network: &LocalNetwork) -> bool {
        self.until.is_none_or(|until| network.created < until)
            && self.labels.iter().all(|wanted| has_label(&network.labels, wanted))
            && !self.not_labels.iter().any(|unwanted| has_label(&network.labels, unwanted))
    }
}

impl Networks {
    /// Removes the networks that no container is in and the filter allows; their names.
    pub(crate) async fn prune(&self, filter: &NetworkFilter) -> Result<Vec<String>, LocalNetworkError> {
        let mut pruned = Vec::new();
        for network in self.list() {
            let Network::Local(network) = network else { continue };
            if !filter.allows(&network) {
                continue;
            }
            match self.remove_local(&network.id).await {
                Ok(()) => pruned.push(network.name),
                Err(LocalNetworkError::InUse { .. } | LocalNetworkError::NoSuchNetwork(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }
}
