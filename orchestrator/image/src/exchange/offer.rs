//! What this node can give of an image.

use std::collections::BTreeSet;

use crate::{Descriptor, Digest, ImageError, ImageStore, Reference};

/// An image as other nodes may have it from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What all else hangs on: the document of the digest that was named, else the image's manifest.
    pub document: Descriptor,
    /// All blobs of the image; nothing else is given under its name.
    pub blobs: BTreeSet<Digest>,
}

impl ImageStore {
    /// What can be given of the image of this name.
    ///
    /// A name with a digest means the image with a document of that digest, whatever it is called here. Another one
    /// means what it is here, in full: beginnings of ids do not count, as they mean something else on each node.
    pub fn offer(&self, name: &str) -> Result<Offer, ImageError> {
        let catalog = self.shared.catalog();
        let missing = || ImageError::NoSuchImage(name.to_owned());
        let own = |id: Digest| catalog.images.get(&id).map(|record| (id, record, &record.manifest));
        let found = if let Ok(id) = name.parse::<Digest>() {
            own(id)
        } else {
            let reference: Reference = name.parse()?;
            match reference.digest() {
                Some(digest) => catalog.with_document(digest),
                None => catalog.resolve(&reference).and_then(own),
            }
        };
        let (id, record, document) = found.ok_or_else(missing)?;
        Ok(Offer { document: document.clone(), blobs: record.blobs(id).collect() })
    }
}
