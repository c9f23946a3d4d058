//! `docker container prune`: takes the containers that do not run.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ContainerError, ContainerRecord, ContainerStatus, ContainerView, Containers};
use crate::document::blocking;
use crate::event::EventKind;
use crate::volume::{bytes_below, has_label};

/// Which containers may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerFilter {
    /// Only what was made before.
    pub until: Option<Timestamp>,
    /// Only what has all these labels, with this value where one is given.
    pub labels: Vec<(String, Option<String>)>,
    /// Nothing that has one of these.
    pub not_labels: Vec<(String, Option<String>)>,
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainersPruned {
    /// The ids.
    pub ids: Vec<String>,
    /// The bytes that are free again.
    pub bytes: u64,
}

impl ContainerFilter {
    fn allows(&self, view: &ContainerView) -> bool {
        let labels = &view.record.config.labels;
        matches!(view.state.status, ContainerStatus::Created | ContainerStatus::Exited | ContainerStatus::Dead)
            && self.until.is_none_or(|until| view.record.created < until)
            && self.labels.iter().all(|wanted| has_label(labels, wanted))
            && !self.not_labels.iter().any(|unwanted| has_label(labels, unwanted))
    }
}

impl Containers {
    /// Removes the containers that do not run and the filter allows. One that is started or removed meanwhile is left to
    /// whoever does that.
    pub async fn prune(&self, filter: ContainerFilter) -> Result<ContainersPruned, ContainerError> {
        let mut pruned = ContainersPruned::default();
        for view in self.list().into_iter().filter(|view| filter.allows(view)) {
            let id = &view.record.id;
            let bytes = self.changed_bytes(id).await;
            match self.remove(id, false, false).await {
                Ok(()) => {
                    pruned.bytes += bytes;
                    pruned.ids.push(id.clone());
                }
                Err(ContainerError::Conflict(_) | ContainerError::NoSuchContainer(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let reclaimed = BTreeMap::from([("reclaimed".to_owned(), pruned.bytes.to_string())]);
        self.shared.events.tell(EventKind::Container, "prune", "", reclaimed);
        Ok(pruned)
    }

    /// The bytes that a container has changed beside its image. Reads all of them.
    pub async fn changed_bytes(&self, id: &str) -> u64 {
        let upper = ContainerRecord::root(&self.shared.folder_of(id)).upper();
        blocking(move || bytes_below(&upper)).await
    }
}
