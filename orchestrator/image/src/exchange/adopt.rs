//! Knows an image that is here by a name that pins it.

use std::sync::Arc;

use crate::store::blocking;
use crate::{Digest, ImageError, ImageStore, Reference};

impl ImageStore {
    /// Gives the image that is known here by the digest of a reference this name, too: it is the very same content,
    /// whichever way it came. `None` where the reference has no digest, or nothing here has it.
    pub async fn adopt(&self, reference: &Reference) -> Result<Option<Digest>, ImageError> {
        let Some(digest) = reference.digest() else { return Ok(None) };
        let (shared, name) = (Arc::clone(&self.shared), reference.at(digest));
        blocking(move || {
            shared.change(|catalog| {
                let id = catalog.with_document(digest).map(|(id, _, _)| id);
                if let Some(id) = id {
                    catalog.name(id, name);
                }
                Ok(id)
            })
        })
        .await
    }
}
