//! `docker pull`: brings an image from a registry into the store.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use super::document::Fetched;
use super::download::Download;
use super::session::Session;
use super::{Credentials, RegistryClient, RegistryError};
use crate::manifest::{Document, Manifest};
use crate::store::{Ingredients, blocking, store_document};
use crate::{Descriptor, Digest, ImageError, ImageStore, Platform, Progress, ProgressLine, Reference};

/// How many layers are downloaded at once for one image, as by Docker.
const PARALLEL: usize = 3;
/// How many bytes of a packed layer lie between two lines about its unpacking.
const REPORT_EVERY: u64 = 1 << 20;

/// What a pull brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The image's id.
    pub id: Digest,
    /// The digest that the reference means at the registry: of the index, where there is one.
    pub digest: Digest,
    /// Whether the name means another image than before.
    pub is_news: bool,
}

impl RegistryClient {
    /// Pulls the image of a reference for a platform; for this machine, or the only one there is, where none is named.
    ///
    /// Afterwards the image is in the store, unpacked, under the reference's tag and its digest. Pulling again costs a
    /// question. An error leaves what was there before.
    pub async fn pull(
        &self,
        store: &ImageStore,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: Arc<dyn Progress>,
    ) -> Result<Pulled, ImageError> {
        store.swept(self.pull_image(store, reference, platform, credentials, progress)).await
    }

    async fn pull_image(
        &self,
        store: &ImageStore,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: Arc<dyn Progress>,
    ) -> Result<Pulled, ImageError> {
        let session = self.session(reference, "pull", credentials).await?;
        let asked = session.manifest(reference).await?;
        let label = reference
            .digest()
            .map_or_else(|| reference.tag().unwrap_or_default().to_owned(), |digest| digest.to_string());
        progress.report(ProgressLine::about(label, format!("Pulling from {}", reference.path())));
        let digest = asked.descriptor.digest;
        let (fetched, manifest, index) = choose(&session, asked, platform).await?;
        let mut pull = Pull::prepare(store, &session, reference, &fetched, &manifest, platform).await?;
        pull.image.aliases.extend(index.as_ref().map(|index| index.descriptor.clone()));
        let _pinned = store.pin(&pull.image);
        let documents: Vec<_> =
            index.map(|index| index.bytes).into_iter().chain([pull.config.clone(), fetched.bytes]).collect();
        let folders = store.shared.folders.clone();
        blocking(move || documents.iter().try_for_each(|bytes| store_document(&folders, bytes).map(drop))).await?;
        let bytes = pull.layers(&progress).await?;
        let names = [reference.without_digest(), Some(reference.at(digest))];
        let id = pull.image.id;
        let is_news = names.iter().flatten().any(|name| store.shared.catalog().resolve(name) != Some(id));
        // A tag beside a digest is not looked up: whether it means the digest is not known.
        let names = names.into_iter().flatten().filter(|name| name.tag().is_none() || reference.digest().is_none());
        store.enlist(pull.image, bytes, names.collect()).await?;
        progress.report(ProgressLine::whole(format!("Digest: {digest}")));
        let what = if is_news { "Downloaded newer image" } else { "Image is up to date" };
        progress.report(ProgressLine::whole(format!("Status: {what} for {}", reference.familiar())));
        Ok(Pulled { id, digest, is_news })
    }
}

/// The manifest for a machine, and the index that leads to it where there is one.
async fn choose(
    session: &Session,
    asked: Fetched,
    platform: Option<&Platform>,
) -> Result<(Fetched, Manifest, Option<Fetched>), ImageError> {
    let chosen = match &asked.document {
        Document::Manifest(manifest) => {
            let manifest = manifest.clone();
            return Ok((asked, manifest, None));
        }
        Document::Index(index) => {
            let wanted = platform.cloned().unwrap_or_else(Platform::host);
            index.choose(&wanted).map_err(ImageError::manifest(session.name()))?.clone()
        }
    };
    let fetched = session.manifest_of(&chosen).await?;
    match &fetched.document {
        Document::Manifest(manifest) => {
            let manifest = manifest.clone();
            Ok((fetched, manifest, Some(asked)))
        }
        Document::Index(_) => Err(session.nonsense("an index leads to another one").into()),
    }
}

/// A pull whose manifest is known.
struct Pull<'a> {
    store: &'a ImageStore,
    session: &'a Session,
    config: Vec<u8>,
    image: Ingredients,
}

impl<'a> Pull<'a> {
    async fn prepare(
        store: &'a ImageStore,
        session: &'a Session,
        reference: &Reference,
        fetched: &Fetched,
        manifest: &Manifest,
        platform: Option<&Platform>,
    ) -> Result<Self, ImageError> {
        let config = session.config(&manifest.config).await?;
        let layers: Vec<Descriptor> = manifest.layers.iter().map(plain).collect();
        let image = Ingredients::new(manifest.config.digest, &config, fetched.descriptor.clone(), layers)?;
        let found = image.config.platform();
        if let Some(wanted) = platform
            && wanted.distance(&found).is_none()
        {
            let (name, found, wanted) = (reference.familiar(), found.to_string(), wanted.to_string());
            return Err(RegistryError::OtherPlatform { name, found, wanted }.into());
        }
        Ok(Self { store, session, config, image })
    }

    /// Downloads the layers, some at once, and unpacks each once those below are. Returns the bytes of their files.
    async fn layers(&self, progress: &Arc<dyn Progress>) -> Result<Vec<u64>, ImageError> {
        let count = self.image.layers.len();
        for layer in &self.image.layers {
            progress.report(ProgressLine::about(layer.digest.short(), "Pulling fs layer"));
        }
        // Room for all: whoever downloads never waits for whoever unpacks.
        let (sender, mut arrived) = mpsc::channel(count.max(1));
        let download = async move {
            let downloads = self.image.layers.iter().enumerate().map(|(index, layer)| {
                let download =
                    Download { session: self.session, store: self.store, layer, progress: progress.as_ref() };
                let progress = Arc::clone(progress);
                async move {
                    let status = if download.run().await? { "Download complete" } else { "Already exists" };
                    progress.report(ProgressLine::about(layer.digest.short(), status));
                    Ok::<_, ImageError>(index)
                }
            });
            // Collected, as the compiler cannot see that a future with the closure in it is `Send`.
            let mut downloads = stream::iter(downloads.collect::<Vec<_>>()).buffer_unordered(PARALLEL);
            while let Some(index) = downloads.try_next().await? {
                let _ = sender.send(index).await;
            }
            Ok::<_, ImageError>(())
        };
        let unpack = async {
            let mut is_here = vec![false; count];
            let mut bytes = Vec::with_capacity(count);
            while let Some(index) = arrived.recv().await {
                is_here[index] = true;
                while is_here.get(bytes.len()).is_some_and(|is_here| *is_here) {
                    bytes.push(self.unpack(bytes.len(), progress).await?);
                }
            }
            Ok(bytes)
        };
        let ((), bytes) = tokio::try_join!(download, unpack)?;
        Ok(bytes)
    }

    async fn unpack(&self, index: usize, progress: &Arc<dyn Progress>) -> Result<u64, ImageError> {
        let layer = &self.image.layers[index];
        let (id, total, listener) = (layer.digest.short(), layer.size, Arc::clone(progress));
        let mut reported = 0;
        let on_progress = move |unpacked: u64| {
            if unpacked >= reported + REPORT_EVERY {
                reported = unpacked;
                listener.report(ProgressLine::about(id.clone(), "Extracting").at(unpacked, total));
            }
        };
        let bytes = self.store.admit_layer(&self.image, index, on_progress).await?;
        progress.report(ProgressLine::about(layer.digest.short(), "Pull complete"));
        Ok(bytes)
    }
}

/// What is kept of a layer's descriptor: not what else its maker wrote there.
fn plain(layer: &Descriptor) -> Descriptor {
    Descriptor::new(&layer.media_type, layer.digest, layer.size)
}
