//! `docker volume prune`: takes what no container claims.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Volume, VolumeError, VolumeName, Volumes};
use crate::document::blocking;
use crate::event::EventKind;

/// Which volumes may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeFilter {
    /// Also those with names; else only those that were given none.
    pub is_all: bool,
    /// Only what has all these labels, with this value where one is given.
    pub labels: Vec<(String, Option<String>)>,
    /// Nothing that has one of these.
    pub not_labels: Vec<(String, Option<String>)>,
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumesPruned {
    /// The volumes.
    pub names: Vec<VolumeName>,
    /// The bytes that are free again.
    pub bytes: u64,
}

impl VolumeFilter {
    fn allows(&self, volume: &Volume) -> bool {
        (self.is_all || volume.is_anonymous())
            && self.labels.iter().all(|wanted| has_label(&volume.labels, wanted))
            && !self.not_labels.iter().any(|unwanted| has_label(&volume.labels, unwanted))
    }
}

/// Whether there is a label of this name, with this value where one is given.
pub(crate) fn has_label(labels: &BTreeMap<String, String>, (name, value): &(String, Option<String>)) -> bool {
    labels.get(name).is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
}

impl Volumes {
    /// Removes the volumes that no container claims and the filter allows.
    pub async fn prune(&self, filter: VolumeFilter) -> Result<VolumesPruned, VolumeError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let mut pruned = VolumesPruned::default();
            let mut known = shared.known();
            let unused = known.volumes.values().filter(|volume| !known.claims.contains_key(&volume.name));
            let going: Vec<Volume> = unused.filter(|volume| filter.allows(volume)).cloned().collect();
            for volume in going {
                let bytes = bytes_below(&volume.path);
                shared.remove(&mut known, &volume.name)?;
                pruned.bytes += bytes;
                pruned.names.push(volume.name);
            }
            let reclaimed = [("reclaimed".to_owned(), pruned.bytes.to_string())].into();
            shared.events.tell(EventKind::Volume, "prune", "", reclaimed);
            Ok(pruned)
        })
        .await
    }

    /// The bytes that a volume takes. Reads all of it. `None` where it lies elsewhere, which may be large and far away.
    pub async fn bytes_of(&self, volume: &Volume) -> Option<u64> {
        if !volume.options.is_empty() {
            return None;
        }
        let path = volume.path.clone();
        Some(blocking(move || bytes_below(&path)).await)
    }
}

/// The bytes of all files below a folder. What cannot be read counts nothing.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}
