//! `docker save`: writes images as an archive that Docker, containerd and this store read, byte for byte as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::bundle::blob_path;
use crate::body::BodyWriter;
use crate::manifest::OCI_INDEX;
use crate::store::{Folders, ImageRecord, Pinned, blocking};
use crate::{Descriptor, Digest, ImageError, ImageStore, Reference};

/// Images that are to be saved. They stay until this is dropped.
#[derive(Debug)]
pub struct Export {
    folders: Folders,
    images: Vec<Exported>,
    /// Layers that whoever loads has.
    omitted: BTreeSet<Digest>,
    _pinned: Pinned,
}

#[derive(Debug)]
struct Exported {
    id: Digest,
    record: ImageRecord,
    names: BTreeSet<Reference>,
}

impl ImageStore {
    /// Chooses what to save: by name with its tag or digest, by id (without a name), or by repository (all its tags).
    pub fn export(&self, names: &[String]) -> Result<Export, ImageError> {
        let catalog = self.shared.catalog();
        let mut chosen: BTreeMap<Digest, BTreeSet<Reference>> = BTreeMap::new();
        for name in names {
            let reference = name.parse::<Reference>().ok();
            let is_repository = !name.rsplit('/').next().unwrap_or_default().contains([':', '@']);
            let tags = catalog.references.iter().filter(|(other, _)| {
                is_repository
                    && other.digest().is_none()
                    && reference.as_ref().is_some_and(|reference| reference.name() == other.name())
            });
            let tags: Vec<_> = tags.collect();
            if tags.is_empty() {
                let (id, _) = catalog.find(name)?;
                let digest = reference.as_ref().and_then(|name| Some(name.at(name.digest()?)));
                let tag = reference.and_then(|reference| reference.without_digest());
                let names = [tag, digest].into_iter().flatten();
                chosen.entry(id).or_default().extend(names.filter(|name| catalog.references.get(name) == Some(&id)));
            }
            for (tag, id) in tags {
                chosen.entry(*id).or_default().insert(tag.clone());
            }
        }
        let images = chosen.into_iter().filter_map(|(id, names)| {
            let record = catalog.images.get(&id)?.clone();
            Some(Exported { id, record, names })
        });
        let images: Vec<_> = images.collect();
        let blobs = images.iter().flat_map(|image| image.record.blobs(image.id)).collect::<Vec<_>>();
        let pinned = self.shared.pins.pin(blobs);
        // Whoever removed one before it was pinned was faster.
        let now = self.shared.catalog();
        if let Some(gone) = images.iter().find(|image| !now.images.contains_key(&image.id)) {
            return Err(ImageError::NoSuchImage(gone.id.to_string()));
        }
        Ok(Export { folders: self.shared.folders.clone(), images, omitted: BTreeSet::new(), _pinned: pinned })
    }
}

impl Export {
    /// The layers of all images, each once.
    pub fn layers(&self) -> Vec<Descriptor> {
        let layers = self.images.iter().flat_map(|image| image.record.layers.iter().map(|layer| &layer.blob));
        let layers: BTreeMap<_, _> = layers.map(|blob| (blob.digest, blob.clone())).collect();
        layers.into_values().collect()
    }

    /// Leaves these layers out of the archive: whoever loads has them.
    #[must_use]
    pub fn without(mut self, layers: &[Digest]) -> Self {
        let all: BTreeSet<_> = self.layers().iter().map(|layer| layer.digest).collect();
        self.omitted = layers.iter().copied().filter(|layer| all.contains(layer)).collect();
        self
    }

    /// Writes the archive; whoever receives sets the pace. Ends with an error where nobody receives any more.
    pub async fn write(self, sender: mpsc::Sender<Bytes>) -> Result<(), ImageError> {
        let export = Arc::new(self);
        blocking(move || {
            let mut writer = BodyWriter::new(sender);
            export.write_to(&mut writer)?;
            writer.flush().map_err(|error| ImageError::Archive(error.to_string()))
        })
        .await
    }

    fn write_to(&self, writer: impl Write) -> Result<(), ImageError> {
        let mut builder = Builder::new(writer);
        let failed = |error: io::Error| ImageError::Archive(error.to_string());
        for folder in ["blobs/", "blobs/sha256/"] {
            append(&mut builder, folder, EntryType::Directory, 0, io::empty()).map_err(failed)?;
        }
        let blobs: BTreeSet<_> = self.images.iter().flat_map(|image| image.record.blobs(image.id)).collect();
        for digest in blobs.difference(&self.omitted).copied() {
            let path = self.folders.blob(digest);
            let file = File::open(&path).map_err(ImageError::io("open", &path))?;
            let size = file.metadata().map_err(ImageError::io("read", &path))?.len();
            append(&mut builder, &blob_path(digest), EntryType::Regular, size, file).map_err(failed)?;
        }
        let documents = [
            ("index.json", self.index()),
            ("manifest.json", self.docker_manifest()),
            ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
        ];
        for (name, document) in documents {
            let text = document.to_string();
            append(&mut builder, name, EntryType::Regular, text.len() as u64, text.as_bytes()).map_err(failed)?;
        }
        builder.finish().map_err(failed)
    }

    /// The OCI's list: an image with several names is in it as often.
    fn index(&self) -> Value {
        let named = |image: &Exported, name: Option<&Reference>| {
            let record = &image.record;
            let documents = record.aliases.iter().chain([&record.manifest]);
            // A name with a digest is that of the document, which is the index perhaps.
            let named =
                documents.into_iter().find(|document| Some(document.digest) == name.and_then(Reference::digest));
            let mut descriptor = named.unwrap_or(&record.manifest).clone();
            descriptor.platform = None;
            descriptor.annotations = name
                .into_iter()
                .flat_map(|name| {
                    let tag = name.tag().map(|tag| ("org.opencontainers.image.ref.name".to_owned(), tag.to_owned()));
                    [Some(("io.containerd.image.name".to_owned(), name.to_string())), tag].into_iter().flatten()
                })
                .collect();
            json!(descriptor)
        };
        let mut manifests = Vec::new();
        for image in &self.images {
            if image.names.is_empty() {
                manifests.push(named(image, None));
            }
            let is_proven = |name: &&Reference| match name.digest() {
                None => true,
                Some(digest) => image.record.blobs(image.id).any(|blob| blob == digest),
            };
            manifests.extend(image.names.iter().filter(is_proven).map(|name| named(image, Some(name))));
        }
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
    }

    /// Docker's list.
    fn docker_manifest(&self) -> Value {
        let entries = self.images.iter().map(|image| {
            let layers = image.record.layers.iter().map(|layer| blob_path(layer.blob.digest));
            let tags = image.names.iter().filter(|name| name.digest().is_none());
            json!({
                "Config": blob_path(image.id),
                "RepoTags": tags.map(Reference::familiar).collect::<Vec<_>>(),
                "Layers": layers.collect::<Vec<_>>(),
            })
        });
        Value::Array(entries.collect())
    }
}

fn append(
    builder: &mut Builder<impl Write>,
    path: &str,
    kind: EntryType,
    size: u64,
    contents: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, path, contents)
}
