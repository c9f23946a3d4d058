//! `docker image prune`: takes what nobody uses.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Image, ImageStore, Removal, Removed, blocking};
use crate::ImageError;

/// What may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneFilter {
    /// Also what has names; else only what has none.
    pub is_all: bool,
    /// Only what was made before.
    pub until: Option<Timestamp>,
    /// Only what has all these labels, with this value where one is given.
    pub labels: Vec<(String, Option<String>)>,
    /// Nothing that has one of these.
    pub not_labels: Vec<(String, Option<String>)>,
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names, images and layers.
    pub removed: Vec<Removed>,
    /// The bytes that are free again, packed and unpacked.
    pub bytes: u64,
}

impl ImageStore {
    /// Removes the images that no container uses and the filter allows.
    pub async fn prune(&self, filter: PruneFilter) -> Result<Pruned, ImageError> {
        let store = self.clone();
        blocking(move || store.prune_now(&filter)).await
    }

    fn prune_now(&self, filter: &PruneFilter) -> Result<Pruned, ImageError> {
        let mut pruned = Pruned::default();
        // An image goes after those that were made from it.
        loop {
            let before = pruned.removed.len();
            self.prune_childless(filter, &mut pruned)?;
            if pruned.removed.len() == before {
                return Ok(pruned);
            }
        }
    }

    fn prune_childless(&self, filter: &PruneFilter, pruned: &mut Pruned) -> Result<(), ImageError> {
        let shared = Arc::clone(&self.shared);
        for image in self.list() {
            let is_child_free = shared.catalog().children_of(image.id).next().is_none();
            let is_unused = is_child_free && self.holders_of(image.id).is_empty();
            if !is_unused || !filter.allows(&image) {
                continue;
            }
            let mut names = [image.repo_tags, image.repo_digests].concat();
            if names.is_empty() {
                names.push(image.id.to_string());
            }
            for name in names {
                match shared.remove(&name, &Removal::default()) {
                    Ok((removed, bytes)) => {
                        pruned.removed.extend(removed);
                        pruned.bytes += bytes;
                    }
                    // Somebody began to use it, or removed it, meanwhile; a name goes with another one.
                    Err(ImageError::Conflict(_) | ImageError::NoSuchImage(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl PruneFilter {
    fn allows(&self, image: &Image) -> bool {
        let is_dangling = image.repo_tags.is_empty() && image.repo_digests.is_empty();
        let created = image.config.created.unwrap_or(Timestamp::UNIX_EPOCH);
        let has = |(name, value): &(String, Option<String>)| match (image.config.config.labels.get(name), value) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(found), Some(wanted)) => found == wanted,
        };
        (is_dangling || self.is_all)
            && self.until.is_none_or(|until| created < until)
            && self.labels.iter().all(has)
            && !self.not_labels.iter().any(has)
    }
}
