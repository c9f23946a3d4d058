//! Gives images names.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Catalog, ImageRecord, ImageStore, blocking};
use crate::{Digest, ImageError, Reference};

/// How many other documents an image is known by.
const ALIAS_LIMIT: usize = 16;

impl ImageStore {
    /// Names an image. Another image that had the name loses it.
    pub async fn tag(&self, source: &str, target: &Reference) -> Result<Digest, ImageError> {
        let (source, target) = (source.to_owned(), target.clone());
        if target.digest().is_some() {
            return Err(ImageError::Conflict(format!("refusing to create a tag with a digest reference ({target})")));
        }
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            shared.change(|catalog| {
                let (id, _) = catalog.find(&source)?;
                catalog.name(id, target);
                Ok(id)
            })
        })
        .await
    }

    /// Puts an image, whose blobs and layers are there and pinned, into the catalog, with these names.
    ///
    /// An image that is there already keeps what it has, and gets the names.
    pub(crate) async fn register(
        &self,
        id: Digest,
        record: ImageRecord,
        names: Vec<Reference>,
    ) -> Result<(), ImageError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            shared.change(|catalog| {
                catalog.add(id, record);
                for name in names {
                    catalog.name(id, name);
                }
                Ok(())
            })
        })
        .await
    }
}

impl Catalog {
    /// An image that is there keeps its blobs, and is known by more documents where these lead to the same blobs.
    fn add(&mut self, id: Digest, record: ImageRecord) {
        let existing = match self.images.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(record);
                return;
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        if existing.layers != record.layers {
            return;
        }
        for alias in record.aliases.into_iter().chain([record.manifest]) {
            if alias.digest != existing.manifest.digest
                && !existing.aliases.iter().any(|known| known.digest == alias.digest)
            {
                existing.aliases.push(alias);
            }
        }
        let excess = existing.aliases.len().saturating_sub(ALIAS_LIMIT);
        existing.aliases.drain(..excess);
    }

    /// Gives an image a name, which another one loses.
    pub(crate) fn name(&mut self, id: Digest, name: Reference) {
        if self.references.get(&name) == Some(&id) {
            return;
        }
        self.references.insert(name, id);
        if let Some(record) = self.images.get_mut(&id) {
            record.tagged = Timestamp::now();
        }
    }
}
