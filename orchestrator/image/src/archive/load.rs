//! `docker load`: reads images from an archive, of Docker's form or the OCI's, packed or not.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use serde::Deserialize;

use super::bundle::{Bundle, blob_path, named_digest};
use crate::body::with_body;
use crate::config::null_is_default;
use crate::manifest::{Document, Index, Manifest, OCI_MANIFEST};
use crate::store::{Ingredients, Pinned, Shared, layer_type, new_manifest, store_document};
use crate::unpack::UnpackLimits;
use crate::{Descriptor, Digest, ImageError, ImageStore, Platform, Reference};

/// How many times larger than a layer an archive of images may be.
const LAYERS: u64 = 8;
/// What containerd calls an image in an index.
const NAME: &str = "io.containerd.image.name";
/// What others call it.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// The names that the archive gave it, as Docker shows them.
    pub names: Vec<String>,
}

/// One image of Docker's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default, deserialize_with = "null_is_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    layers: Vec<String>,
}

/// An image of an archive: where its parts are in there.
struct Part {
    config: String,
    layers: Vec<String>,
    names: Vec<Reference>,
    /// Its manifest, where the archive has one.
    manifest: Option<Descriptor>,
    /// The indexes that lead to it.
    aliases: Vec<Descriptor>,
}

/// What an entry of `index.json` leads to.
struct Listed {
    manifest: Manifest,
    descriptor: Descriptor,
    /// The index between.
    alias: Option<Descriptor>,
    name: Option<Reference>,
}

impl ImageStore {
    /// Loads all images of an archive: those of its `manifest.json`, else those of its `index.json` for this machine.
    ///
    /// Layers that are here already may be left out of the archive, if it names them by their digest. Loading again changes nothing. What a name meant before loses that name.
    pub async fn load(&self, body: impl Stream<Item = io::Result<Bytes>>) -> Result<Vec<Loaded>, ImageError> {
        self.swept(self.load_all(body)).await
    }

    async fn load_all(&self, body: impl Stream<Item = io::Result<Bytes>>) -> Result<Vec<Loaded>, ImageError> {
        let shared = Arc::clone(&self.shared);
        let store = self.clone();
        let images = with_body(body, move |reader| {
            let limits = UnpackLimits { bytes: shared.limits.bytes.saturating_mul(LAYERS), ..shared.limits };
            let mut bundle = Bundle::read(&shared.folders, reader, limits)?;
            let parts = parts(&bundle)?;
            parts.iter().map(|part| take_in(&store, &shared, &mut bundle, part)).collect::<Result<Vec<_>, _>>()
        })
        .await?;
        let mut loaded = Vec::new();
        for (image, names, _pinned) in images {
            loaded.push(Loaded { id: image.id, names: names.iter().map(Reference::familiar).collect() });
            self.admit(image, names).await?;
        }
        Ok(loaded)
    }
}

/// Puts the blobs of one image in their place.
fn take_in(
    store: &ImageStore,
    shared: &Shared,
    bundle: &mut Bundle,
    part: &Part,
) -> Result<(Ingredients, Vec<Reference>, Vec<Pinned>), ImageError> {
    let (id, text) = (bundle.file(&part.config)?.digest, bundle.text(&part.config)?);
    let digests = part.layers.iter().map(|path| digest_of(bundle, path)).collect::<Result<Vec<_>, _>>()?;
    // Before it is looked whether they are there.
    let mut pinned = vec![shared.pins.pin(digests.iter().copied())];
    let mut layers = Vec::new();
    for (path, digest) in part.layers.iter().zip(digests) {
        let file = bundle.find(path).map_or_else(|| shared.folders.blob(digest), |file| file.path().to_owned());
        let size = match std::fs::metadata(&file) {
            Ok(metadata) => metadata.len(),
            Err(_) => return Err(ImageError::Archive(format!("`{path}` is missing, and is not known here"))),
        };
        layers.push(Descriptor::new(layer_type(&file)?, digest, size));
    }
    let own_manifest = match &part.manifest {
        Some(descriptor) => bundle.text(&blob_path(descriptor.digest))?,
        None => new_manifest(id, text.len() as u64, layers.clone()),
    };
    let media_type = part.manifest.as_ref().map_or(OCI_MANIFEST, |descriptor| &descriptor.media_type);
    if let Document::Manifest(manifest) =
        Document::parse(&own_manifest, media_type).map_err(ImageError::manifest("the archive"))?
    {
        let blobs = manifest.layers.iter().map(|layer| layer.digest);
        if manifest.config.digest != id || !blobs.eq(layers.iter().map(|layer| layer.digest)) {
            return Err(ImageError::Archive("its manifests contradict each other".to_owned()));
        }
        layers = manifest.layers;
    }
    let manifest = Descriptor::new(media_type, Digest::of(&own_manifest), own_manifest.len() as u64);
    let mut image = Ingredients::new(id, &text, manifest, layers)?;
    image.aliases.clone_from(&part.aliases);
    pinned.push(store.pin(&image));
    store_document(&shared.folders, &text)?;
    store_document(&shared.folders, &own_manifest)?;
    for alias in &part.aliases {
        store_document(&shared.folders, &bundle.text(&blob_path(alias.digest))?)?;
    }
    // Several images share layers: what was taken for one is found in its place by the next.
    for path in part.layers.iter().filter(|path| bundle.find(path).is_some()).cloned().collect::<Vec<_>>() {
        bundle.publish(&path, &shared.folders)?;
    }
    Ok((image, part.names.clone(), pinned))
}

/// The digest of a layer in the archive, or of one that is left out because whoever loads has it.
fn digest_of(bundle: &Bundle, path: &str) -> Result<Digest, ImageError> {
    match (bundle.find(path), named_digest(path)) {
        (Some(file), _) => Ok(file.digest),
        (None, Some(digest)) => Ok(digest),
        (None, None) => Err(ImageError::Archive(format!("`{path}` is missing"))),
    }
}

fn parts(bundle: &Bundle) -> Result<Vec<Part>, ImageError> {
    let index = bundle.find("index.json").map(|_| bundle.document::<Index>("index.json")).transpose()?;
    let entries = index.as_ref().map(|index| index.manifests.as_slice()).unwrap_or_default();
    let host = Platform::host();
    if bundle.find("manifest.json").is_some() {
        // What does not hold together there does not matter here.
        let listed: Vec<_> = entries.iter().filter_map(|entry| listed(bundle, entry, &host).ok().flatten()).collect();
        let entries: Vec<DockerEntry> = bundle.document("manifest.json")?;
        return entries.into_iter().map(|entry| docker_part(bundle, &listed, entry)).collect();
    }
    if index.is_none() {
        return Err(ImageError::Archive("it has neither manifest.json nor index.json".to_owned()));
    }
    let mut parts: Vec<Part> = Vec::new();
    for entry in entries {
        let Some(listed) = listed(bundle, entry, &host)? else { continue };
        let config = blob_path(listed.manifest.config.digest);
        let at = parts.iter().position(|part| part.config == config).unwrap_or_else(|| {
            let layers = listed.manifest.layers.iter().map(|layer| blob_path(layer.digest)).collect();
            let manifest = Some(listed.descriptor.clone());
            parts.push(Part { config, layers, names: Vec::new(), manifest, aliases: Vec::new() });
            parts.len() - 1
        });
        parts[at].aliases.extend(listed.alias);
        parts[at].names.extend(listed.name);
    }
    if parts.is_empty() {
        return Err(ImageError::Archive(format!("it has no image for {host}")));
    }
    Ok(parts)
}

fn docker_part(bundle: &Bundle, listed: &[Listed], entry: DockerEntry) -> Result<Part, ImageError> {
    let mut names = entry.repo_tags.iter().map(|name| name.parse()).collect::<Result<Vec<Reference>, _>>()?;
    if let Some(name) = names.iter().find(|name| name.digest().is_some()) {
        return Err(ImageError::Archive(format!("it has a tag with a digest ({name})")));
    }
    let config = bundle.file(&entry.config)?.digest;
    let layers = entry.layers.iter().map(|path| digest_of(bundle, path)).collect::<Result<Vec<_>, _>>()?;
    // The manifest that the image had when it was saved, so that its digest stays; and the names that prove themselves.
    let same: Vec<_> = listed
        .iter()
        .filter(|listed| {
            let blobs = listed.manifest.layers.iter().map(|layer| layer.digest);
            listed.manifest.config.digest == config && blobs.eq(layers.iter().copied())
        })
        .collect();
    names.extend(same.iter().filter_map(|listed| listed.name.clone()).filter(|name| name.digest().is_some()));
    let aliases = same.iter().filter_map(|listed| listed.alias.clone()).collect();
    let manifest = same.first().map(|listed| listed.descriptor.clone());
    Ok(Part { config: entry.config, layers: entry.layers, names, manifest, aliases })
}

/// The image that an entry leads to, perhaps through an index of machines; `None` for other machines' images.
fn listed(bundle: &Bundle, entry: &Descriptor, host: &Platform) -> Result<Option<Listed>, ImageError> {
    if entry.platform.as_ref().is_some_and(|platform| host.distance(platform).is_none()) {
        return Ok(None);
    }
    let plain = |descriptor: &Descriptor| Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size);
    let name = name_in(entry)?;
    let (chosen, alias) = match read_manifest(bundle, entry)? {
        Document::Manifest(manifest) => {
            return Ok(Some(Listed { manifest, descriptor: plain(entry), alias: None, name }));
        }
        Document::Index(index) => match index.choose(host) {
            Ok(chosen) => (chosen.clone(), plain(entry)),
            Err(_) => return Ok(None),
        },
    };
    match read_manifest(bundle, &chosen)? {
        Document::Index(_) => Err(ImageError::Archive("an index leads to another one".to_owned())),
        Document::Manifest(manifest) => {
            Ok(Some(Listed { manifest, descriptor: plain(&chosen), alias: Some(alias), name }))
        }
    }
}

fn read_manifest(bundle: &Bundle, descriptor: &Descriptor) -> Result<Document, ImageError> {
    let text = bundle.text(&blob_path(descriptor.digest))?;
    Document::parse(&text, &descriptor.media_type).map_err(ImageError::manifest(descriptor.digest))
}

/// What an index calls an image: a name in full, or nothing of use. A digest in it must be that of what is called so.
fn name_in(entry: &Descriptor) -> Result<Option<Reference>, ImageError> {
    let name: Option<Reference> = match (entry.annotations.get(NAME), entry.annotations.get(REF_NAME)) {
        (Some(name), _) => Some(name.parse()?),
        // A tag alone says nothing of the repository.
        (None, Some(name)) if name.contains(['/', ':']) => name.parse().ok(),
        (None, _) => None,
    };
    match name.as_ref().and_then(Reference::digest) {
        Some(expected) if expected != entry.digest => Err(ImageError::WrongContent { expected, found: entry.digest }),
        Some(digest) => Ok(name.map(|name| name.at(digest))),
        None => Ok(name),
    }
}
