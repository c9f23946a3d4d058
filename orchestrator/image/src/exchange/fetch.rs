//! Takes an image from other nodes: only the blobs that are not here, each verified before anything reads it.
//!
//! Whoever gives something else than it was asked for, or breaks off, is asked for nothing more; the next one is asked for
//! the same blob. What is there at the end is a whole image or nothing.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::manifest::{DOCUMENT_LIMIT, Document, Manifest};
use crate::store::{BlobWriter, Ingredients, blocking, read_blob, store_document};
use crate::{Descriptor, Digest, ImageError, ImageStore, ManifestError, Platform, Reference};

/// How many layers are fetched at once for one image, as from a registry.
const PARALLEL: usize = 3;
/// What is collected before it is written and hashed.
const PIECE: usize = 256 << 10;

/// A node that has an image. Nothing that it says is believed.
pub trait BlobSource: Debug + Send + Sync {
    /// The bytes of a blob, from its beginning. Whoever implements this ends the stream with an error where too little
    /// comes for too long; its length is bounded here.
    fn read(&self, digest: Digest) -> BoxStream<'static, io::Result<Bytes>>;
}

/// An image that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its id.
    pub id: Digest,
    /// The bytes that came from other nodes.
    pub received: u64,
    /// How many of the sources failed or lied.
    pub spoiled: usize,
}

/// Why an image was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// None of the nodes gave a blob; what the last of them did instead.
    #[error("no node gave {digest}: {reason}")]
    NotGiven {
        /// The blob.
        digest: Digest,
        /// What the last node did.
        reason: String,
    },
    /// The image itself, or this node, is the reason.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Why one node's blob was not taken.
enum Refused {
    /// The node failed or lied.
    Source(String),
    /// This node cannot take it.
    Own(ImageError),
}

impl From<ImageError> for Refused {
    /// What the content is, and how long, is the sender's doing; the rest is ours.
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::WrongContent { .. } | ImageError::TooLarge { .. } => Self::Source(model::with_causes(&error)),
            error @ (ImageError::NoSuchImage(_)
            | ImageError::Ambiguous(_)
            | ImageError::InvalidReference(_)
            | ImageError::Conflict(_)
            | ImageError::Manifest { .. }
            | ImageError::NotWhole(_)
            | ImageError::Layer { .. }
            | ImageError::Archive(_)
            | ImageError::Registry(_)
            | ImageError::NoSpace(_)
            | ImageError::Locked(_)
            | ImageError::Damaged { .. }
            | ImageError::Io { .. }) => Self::Own(error),
        }
    }
}

impl ImageStore {
    /// Fetches the image that a document leads to, a manifest or an index of which the image for this machine is taken.
    ///
    /// Afterwards the image is in the store, unpacked, under this name, which the caller has checked: a digest in it
    /// must be the document's. What is here already is not asked for. An error leaves what was there before.
    pub async fn fetch(
        &self,
        sources: &[Arc<dyn BlobSource>],
        document: &Descriptor,
        name: Option<Reference>,
    ) -> Result<Fetched, FetchError> {
        let fetch = Fetch {
            store: self,
            sources,
            is_spoiled: sources.iter().map(|_| AtomicBool::new(false)).collect(),
            received: AtomicU64::new(0),
        };
        self.swept(fetch.run(document, name)).await
    }
}

/// An image on its way.
struct Fetch<'a> {
    store: &'a ImageStore,
    sources: &'a [Arc<dyn BlobSource>],
    is_spoiled: Vec<AtomicBool>,
    received: AtomicU64,
}

impl Fetch<'_> {
    async fn run(&self, top: &Descriptor, name: Option<Reference>) -> Result<Fetched, FetchError> {
        let (manifest, described, aliases, mut documents) = self.manifest(top).await?;
        let config = self.document(&manifest.config).await?;
        let plain = |layer: &Descriptor| Descriptor::new(&layer.media_type, layer.digest, layer.size);
        let layers = manifest.layers.iter().map(plain).collect();
        let mut image = Ingredients::new(manifest.config.digest, &config, described, layers)?;
        image.aliases = aliases;
        documents.push(config);
        let _pinned = self.store.pin(&image);
        let folders = self.store.shared.folders.clone();
        blocking(move || documents.iter().try_for_each(|bytes| store_document(&folders, bytes).map(drop))).await?;
        // Collected, as the compiler cannot see that a future with the closure in it is `Send`.
        let layers: Vec<_> = image.layers.iter().map(|layer| self.layer(layer)).collect();
        stream::iter(layers).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        let id = image.id;
        self.store.admit(image, name.into_iter().collect()).await?;
        let spoiled = self.is_spoiled.iter().filter(|is_spoiled| is_spoiled.load(Ordering::Relaxed)).count();
        Ok(Fetched { id, received: self.received.load(Ordering::Relaxed), spoiled })
    }

    /// The manifest, what describes it, the index that leads to it, and the texts of both.
    async fn manifest(
        &self,
        top: &Descriptor,
    ) -> Result<(Manifest, Descriptor, Vec<Descriptor>, Vec<Vec<u8>>), FetchError> {
        let top = Descriptor::new(&top.media_type, top.digest, top.size);
        let unusable = |digest: Digest| move |error: ManifestError| ImageError::manifest(digest)(error);
        let text = self.document(&top).await?;
        let chosen = match Document::parse(&text, &top.media_type).map_err(unusable(top.digest))? {
            Document::Manifest(manifest) => return Ok((manifest, top, Vec::new(), vec![text])),
            Document::Index(index) => {
                let chosen = index.choose(&Platform::host()).map_err(unusable(top.digest))?;
                Descriptor::new(&chosen.media_type, chosen.digest, chosen.size)
            }
        };
        let inner = self.document(&chosen).await?;
        match Document::parse(&inner, &chosen.media_type).map_err(unusable(chosen.digest))? {
            Document::Manifest(manifest) => Ok((manifest, chosen, vec![top], vec![text, inner])),
            Document::Index(_) => Err(ImageError::NotWhole("an index leads to another one".to_owned()).into()),
        }
    }

    /// A short document, from here or from the first node that gives it.
    async fn document(&self, wanted: &Descriptor) -> Result<Vec<u8>, FetchError> {
        let (digest, size) = (wanted.digest, wanted.size);
        if size > DOCUMENT_LIMIT {
            return Err(ImageError::TooLarge { what: format!("the document {digest}"), limit: DOCUMENT_LIMIT }.into());
        }
        if self.store.lacking(&[digest]).is_empty() {
            let folders = self.store.shared.folders.clone();
            if let Ok(bytes) = blocking(move || read_blob(&folders, digest, DOCUMENT_LIMIT)).await {
                return Ok(bytes);
            }
        }
        let mut last = None;
        for (number, source) in self.usable() {
            match self.document_of(source, digest, size).await {
                Ok(bytes) => return Ok(bytes),
                Err(refused) => last = Some(self.spoil(number, refused)?),
            }
        }
        Err(not_given(digest, last))
    }

    async fn document_of(&self, source: &dyn BlobSource, digest: Digest, size: u64) -> Result<Vec<u8>, Refused> {
        let mut pieces = source.read(digest);
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Refused::Source(error.to_string()))?;
            if (bytes.len() + piece.len()) as u64 > size {
                return Err(ImageError::TooLarge { what: format!("the document {digest}"), limit: size }.into());
            }
            bytes.extend_from_slice(&piece);
        }
        self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let found = Digest::of(&bytes);
        if found == digest { Ok(bytes) } else { Err(ImageError::WrongContent { expected: digest, found }.into()) }
    }

    /// Brings a layer among the blobs, which the caller has pinned.
    async fn layer(&self, layer: &Descriptor) -> Result<(), FetchError> {
        let (shared, digest) = (&self.store.shared, layer.digest);
        if layer.size > shared.limits.bytes {
            let what = format!("layer {digest}");
            return Err(ImageError::TooLarge { what, limit: shared.limits.bytes }.into());
        }
        let _turn = shared.turns.take(digest).await;
        let mut last = None;
        for (number, source) in self.usable() {
            match self.layer_of(source, layer).await {
                Ok(()) => return Ok(()),
                Err(refused) => last = Some(self.spoil(number, refused)?),
            }
        }
        Err(not_given(digest, last))
    }

    async fn layer_of(&self, source: &dyn BlobSource, layer: &Descriptor) -> Result<(), Refused> {
        let shared = &self.store.shared;
        let (digest, size, folders) = (layer.digest, layer.size, shared.folders.clone());
        let begun = blocking(move || {
            if folders.blob(digest).exists() { Ok(None) } else { BlobWriter::begin(&folders, size).map(Some) }
        });
        let Some(mut writer) = begun.await? else { return Ok(()) };
        let mut pieces = source.read(digest);
        let mut buffer = Vec::with_capacity(PIECE);
        loop {
            let piece = pieces.next().await.transpose().map_err(|error| Refused::Source(error.to_string()))?;
            let is_end = piece.is_none();
            buffer.extend_from_slice(&piece.unwrap_or_default());
            if buffer.len() >= PIECE || is_end {
                let bytes = std::mem::replace(&mut buffer, Vec::with_capacity(PIECE));
                self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                writer = blocking(move || writer.write(&bytes).map(|()| writer)).await?;
            }
            if is_end {
                break;
            }
        }
        let keeper = Arc::clone(shared);
        let finish = blocking(move || {
            let outcome = writer.finish(Some(digest));
            keeper.sweep_stray(digest, []);
            outcome
        });
        Ok(finish.await.map(drop)?)
    }

    /// The sources that have not failed yet, as they are asked.
    fn usable(&self) -> impl Iterator<Item = (usize, &dyn BlobSource)> {
        let sources = self.sources.iter().map(AsRef::as_ref).enumerate();
        sources.filter(move |(number, _)| !self.is_spoiled[*number].load(Ordering::Relaxed))
    }

    /// Asks a source for nothing more, if it is to blame.
    fn spoil(&self, number: usize, refused: Refused) -> Result<String, FetchError> {
        match refused {
            Refused::Own(error) => Err(error.into()),
            Refused::Source(reason) => {
                let source = &self.sources[number];
                tracing::warn!(?source, reason, "another node did not give what it has; asking the next one");
                self.is_spoiled[number].store(true, Ordering::Relaxed);
                Ok(reason)
            }
        }
    }
}

fn not_given(digest: Digest, last: Option<String>) -> FetchError {
    FetchError::NotGiven { digest, reason: last.unwrap_or_else(|| "nobody is left to ask".to_owned()) }
}
