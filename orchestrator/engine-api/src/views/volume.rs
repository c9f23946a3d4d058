//! Volumes, as Docker shows them.

use std::collections::BTreeMap;

use engine::{Volume, VolumesPruned};
use jiff::{Timestamp, Unit};
use serde::Serialize;

use super::time;

/// Docker's `Volume`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VolumeDocument {
    created_at: String,
    driver: &'static str,
    labels: Option<BTreeMap<String, String>>,
    mountpoint: String,
    name: String,
    options: Option<BTreeMap<String, String>>,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_data: Option<UsageView>,
}

/// How much a volume takes, and how many containers claim it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UsageView {
    /// Containers.
    pub(crate) ref_count: usize,
    /// Bytes; -1 where nobody knows.
    pub(crate) size: i64,
}

impl VolumeDocument {
    /// Shows a volume, with its use where that was asked for.
    pub(crate) fn new(volume: Volume, usage_data: Option<UsageView>) -> Self {
        Self {
            created_at: time(whole_second(volume.created)),
            driver: "local",
            labels: Some(volume.labels).filter(|labels| !labels.is_empty()),
            options: Some(volume.options).filter(|options| !options.is_empty()),
            mountpoint: volume.path.display().to_string(),
            name: volume.name.into(),
            scope: "local",
            usage_data,
        }
    }
}

fn whole_second(moment: Timestamp) -> Timestamp {
    let rounding = jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor);
    moment.round(rounding).unwrap_or(moment)
}

/// Docker's `VolumeListResponse`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VolumesDocument {
    /// The volumes.
    pub(crate) volumes: Vec<VolumeDocument>,
    /// What could not be listed; all of it can.
    pub(crate) warnings: Option<Vec<String>>,
}

/// Docker's `PruneReport`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VolumesPrunedDocument {
    volumes_deleted: Vec<String>,
    space_reclaimed: u64,
}

impl From<VolumesPruned> for VolumesPrunedDocument {
    fn from(pruned: VolumesPruned) -> Self {
        Self { volumes_deleted: pruned.names.into_iter().map(String::from).collect(), space_reclaimed: pruned.bytes }
    }
}
