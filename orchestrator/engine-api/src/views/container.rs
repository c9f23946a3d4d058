//! Containers, as Docker shows them in lists, one by one, and by what they use.

mod inspect;
mod mount;
mod network;
mod state;
mod stats;
mod summary;

use engine::ContainerRecord;
use jiff::Timestamp;
use serde::Serialize;

use super::time;
pub(crate) use inspect::{ContainerDocument, ContainerParts};
pub(crate) use network::networks_of;
pub(crate) use stats::StatsDocument;
pub(crate) use summary::{SummaryDocument, SummaryParts};

/// Docker's word for a moment that has not come: Go's zero.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The bytes of a container's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Of those that it changed.
    pub(crate) changed: u64,
    /// Of those of its image.
    pub(crate) image: u64,
}

fn moment(moment: Option<Timestamp>) -> String {
    moment.map_or_else(|| NEVER.to_owned(), time)
}

/// The program of a container, and what it is called with.
fn program(record: &ContainerRecord) -> (String, Vec<String>) {
    let words = [&record.config.entrypoint, &record.config.cmd].into_iter().flatten().flatten();
    let mut words = words.cloned();
    (words.next().unwrap_or_default(), words.collect())
}

/// Docker's `CreateResponse`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreatedDocument {
    /// The id.
    pub(crate) id: String,
    /// What the operator is to be warned of.
    pub(crate) warnings: Vec<String>,
}

/// Docker's `UpdateResponse`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UpdatedDocument {
    /// What the operator is to be warned of.
    pub(crate) warnings: Vec<String>,
}

/// Docker's `TopResponse`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TopDocument {
    /// The names of the columns.
    pub(crate) titles: Vec<String>,
    /// A process each.
    pub(crate) processes: Vec<Vec<String>>,
}

/// Docker's `PruneReport` of containers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PruneDocument {
    containers_deleted: Option<Vec<String>>,
    space_reclaimed: u64,
}

impl From<engine::ContainersPruned> for PruneDocument {
    fn from(pruned: engine::ContainersPruned) -> Self {
        Self { containers_deleted: Some(pruned.ids).filter(|ids| !ids.is_empty()), space_reclaimed: pruned.bytes }
    }
}

/// Docker's `WaitResponse`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WaitDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WaitErrorView>,
    status_code: i32,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WaitErrorView {
    message: String,
}

impl From<engine::WaitOutcome> for WaitDocument {
    fn from(outcome: engine::WaitOutcome) -> Self {
        let error = Some(outcome.error).filter(|error| !error.is_empty());
        Self { error: error.map(|message| WaitErrorView { message }), status_code: outcome.exit_code }
    }
}
