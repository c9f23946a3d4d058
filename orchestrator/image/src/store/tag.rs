//! Gives images names.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Catalog, ImageRecord, ImageStore, blocking};
use crate::{Digest, ImageError, Reference};

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
                catalog.images.entry(id).or_insert(record);
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
    fn name(&mut self, id: Digest, name: Reference) {
        if self.references.get(&name) == Some(&id) {
            return;
        }
        self.references.insert(name, id);
        if let Some(record) = self.images.get_mut(&id) {
            record.tagged = Timestamp::now();
        }
    }
}
