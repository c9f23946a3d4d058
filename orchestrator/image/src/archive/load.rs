//! `docker load`: reads images from an archive, of Docker's form or the OCI's, packed or not.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use serde::Deserialize;

use super::bundle::{Bundle, blob_path};
use crate::body::with_body;
use crate::config::null_is_default;
use crate::manifest::{Document, Index};
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
}

impl ImageStore {
    /// Loads all images of an archive: those of its `manifest.json`, else those of its `index.json` for this machine.
    ///
    /// Loading again changes nothing. What a name meant before loses that name.
    pub async fn load(&self, body: impl Stream<Item = io::Result<Bytes>>) -> Result<Vec<Loaded>, ImageError> {
        let outcome = self.load_all(body).await;
        self.swept(outcome).await
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
) -> Result<(Ingredients, Vec<Reference>, Pinned), ImageError> {
    // Several images share layers and may share a configuration: what was taken for one is in its place for the next.
    let (id, text) = (bundle.file(&part.config)?.digest, bundle.text(&part.config)?);
    let mut layers = Vec::new();
    for path in &part.layers {
        let file = bundle.file(path)?;
        layers.push(Descriptor::new(layer_type(file.path())?, file.digest, file.size));
    }
    let own_manifest = match &part.manifest {
        Some(descriptor) => bundle.text(&blob_path(descriptor.digest))?,
        None => new_manifest(id, text.len() as u64, layers.clone()),
    };
    let media_type = part.manifest.as_ref().map_or(crate::manifest::OCI_MANIFEST, |descriptor| &descriptor.media_type);
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
    let image = Ingredients::new(id, &text, manifest, layers)?;
    let pinned = store.pin(&image);
    store_document(&shared.folders, &text)?;
    store_document(&shared.folders, &own_manifest)?;
    for path in &part.layers {
        bundle.publish(path, &shared.folders)?;
    }
    Ok((image, part.names.clone(), pinned))
}

fn parts(bundle: &Bundle) -> Result<Vec<Part>, ImageError> {
    let index = bundle.find("index.json").map(|_| bundle.document::<Index>("index.json")).transpose()?;
    if bundle.find("manifest.json").is_some() {
        let entries: Vec<DockerEntry> = bundle.document("manifest.json")?;
        return entries.into_iter().map(|entry| docker_part(bundle, index.as_ref(), entry)).collect();
    }
    let index = index.ok_or_else(|| ImageError::Archive("it has neither manifest.json nor index.json".to_owned()))?;
    let mut parts: Vec<Part> = Vec::new();
    for descriptor in &index.manifests {
        let name = name_in(descriptor)?;
        let Some(part) = oci_part(bundle, descriptor, &Platform::host())? else { continue };
        match parts.iter_mut().find(|other| other.config == part.config) {
            Some(other) => other.names.extend(name),
            None => parts.push(Part { names: name.into_iter().collect(), ..part }),
        }
    }
    if parts.is_empty() {
        return Err(ImageError::Archive(format!("it has no image for {}", Platform::host())));
    }
    Ok(parts)
}

fn docker_part(bundle: &Bundle, index: Option<&Index>, entry: DockerEntry) -> Result<Part, ImageError> {
    let names = entry.repo_tags.iter().map(|name| name.parse()).collect::<Result<Vec<Reference>, _>>()?;
    let config = bundle.file(&entry.config)?.digest;
    let layers = entry.layers.iter().map(|path| Ok(bundle.file(path)?.digest));
    let layers = layers.collect::<Result<Vec<_>, ImageError>>()?;
    // The manifest that the image had when it was saved, so that its digest stays.
    let manifest = index.into_iter().flat_map(|index| &index.manifests).find(|descriptor| {
        matches!(read_manifest(bundle, descriptor), Ok(Document::Manifest(manifest))
            if manifest.config.digest == config && manifest.layers.iter().map(|layer| layer.digest).eq(layers.iter().copied()))
    });
    Ok(Part { config: entry.config, layers: entry.layers, names, manifest: manifest.cloned() })
}

/// The image that a descriptor leads to, perhaps through an index of machines; `None` for other machines' images.
fn oci_part(bundle: &Bundle, descriptor: &Descriptor, host: &Platform) -> Result<Option<Part>, ImageError> {
    let mut descriptor = descriptor.clone();
    if descriptor.platform.as_ref().is_some_and(|platform| host.distance(platform).is_none()) {
        return Ok(None);
    }
    if let Document::Index(index) = read_manifest(bundle, &descriptor)? {
        match index.choose(host) {
            Ok(chosen) => descriptor = chosen.clone(),
            Err(_) => return Ok(None),
        }
    }
    match read_manifest(bundle, &descriptor)? {
        Document::Index(_) => Err(ImageError::Archive("an index leads to another one".to_owned())),
        Document::Manifest(manifest) => Ok(Some(Part {
            config: blob_path(manifest.config.digest),
            layers: manifest.layers.iter().map(|layer| blob_path(layer.digest)).collect(),
            names: Vec::new(),
            manifest: Some(descriptor),
        })),
    }
}

fn read_manifest(bundle: &Bundle, descriptor: &Descriptor) -> Result<Document, ImageError> {
    let text = bundle.text(&blob_path(descriptor.digest))?;
    Document::parse(&text, &descriptor.media_type).map_err(ImageError::manifest(descriptor.digest))
}

/// What an index calls an image: a name in full, or nothing of use.
fn name_in(descriptor: &Descriptor) -> Result<Option<Reference>, ImageError> {
    match (descriptor.annotations.get(NAME), descriptor.annotations.get(REF_NAME)) {
        (Some(name), _) => Ok(Some(name.parse()?)),
        // A tag alone says nothing of the repository.
        (None, Some(name)) if name.contains(['/', ':']) => Ok(name.parse().ok()),
        (None, _) => Ok(None),
    }
}
