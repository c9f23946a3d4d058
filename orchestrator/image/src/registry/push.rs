//! `docker push`: brings an image from the store to a registry.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzEncoder;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::CONTENT_TYPE;

use super::retry::Patience;
use super::session::Session;
use super::upload::Upload;
use super::{Credentials, RegistryClient};
use crate::manifest::{DOCUMENT_LIMIT, OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST};
use crate::store::{Folders, ImageRecord, SealedBlob, blocking, new_manifest, read_blob, seal_blob, store_document};
use crate::{Descriptor, Digest, ImageError, ImageStore, Progress, ProgressLine, Reference};

/// How many layers are uploaded at once for one image, as by Docker.
const PARALLEL: usize = 5;

/// What a push made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest's digest at the registry.
    pub digest: Digest,
    /// The manifest's length, bytes.
    pub size: u64,
}

/// A layer as it goes to the registry.
#[derive(Debug)]
struct Parcel {
    descriptor: Descriptor,
    /// Where a plain layer was packed for the way; the store's own blob otherwise.
    packed: Option<SealedBlob>,
}

impl RegistryClient {
    /// Pushes the image of this tag. Plain layers are packed on the way, as registries expect; all else stays as it is.
    ///
    /// Afterwards the image is also known by its digest at that registry.
    pub async fn push(
        &self,
        store: &ImageStore,
        reference: &Reference,
        credentials: &Credentials,
        progress: Arc<dyn Progress>,
    ) -> Result<Pushed, ImageError> {
        let catalog = store.shared.catalog();
        let id = catalog.resolve(reference).ok_or_else(|| ImageError::NoSuchImage(reference.familiar()))?;
        let record = catalog.images.get(&id).ok_or_else(|| ImageError::NoSuchImage(reference.familiar()))?;
        let _pinned = store.shared.pins.pin(record.blobs(id));
        progress.report(ProgressLine::whole(format!("The push refers to repository [{}]", reference.name())));
        for layer in &record.layers {
            progress.report(ProgressLine::about(layer.diff_id.short(), "Preparing"));
        }
        let session = self.session(reference, "push", credentials).await?;
        let push = Push { session, folders: store.shared.folders.clone(), id, record, progress };
        let layers = push.layers().await?;
        let (manifest, media_type) = push.manifest(&layers).await?;
        let pushed = push.publish(reference, &manifest, &media_type).await?;
        let mut known = record.clone();
        known.aliases = vec![Descriptor::new(&media_type, pushed.digest, pushed.size)];
        let _pinned = store.shared.pins.pin([pushed.digest]);
        let folders = store.shared.folders.clone();
        blocking(move || store_document(&folders, &manifest)).await?;
        store.register(id, known, vec![reference.at(pushed.digest)]).await?;
        Ok(pushed)
    }
}

/// A push of an image that is there.
struct Push<'a> {
    session: Session,
    folders: Folders,
    id: Digest,
    record: &'a ImageRecord,
    progress: Arc<dyn Progress>,
}

impl Push<'_> {
    /// Uploads the layers, some at once; returns how they are called there, lowest first.
    async fn layers(&self) -> Result<Vec<Descriptor>, ImageError> {
        let uploads = self.record.layers.iter().map(|layer| async {
            let label = layer.diff_id.short();
            let parcel = self.parcel(&layer.blob).await?;
            let path = match &parcel.packed {
                Some(packed) => packed.path().to_owned(),
                None => self.folders.blob(parcel.descriptor.digest),
            };
            let (digest, size) = (parcel.descriptor.digest, parcel.descriptor.size);
            let (session, progress) = (&self.session, &self.progress);
            let upload = Upload { session, path, digest, size, progress, label: Some(label.clone()) };
            let status = if upload.run().await? { "Pushed" } else { "Layer already exists" };
            progress.report(ProgressLine::about(label, status));
            Ok::<_, ImageError>(parcel.descriptor)
        });
        // Collected, as the compiler cannot see that a future with the closure in it is `Send`.
        stream::iter(uploads.collect::<Vec<_>>()).buffered(PARALLEL).try_collect().await
    }

    /// A layer ready to go. The same plain layer gives the same packed one, so that it is found where it was brought to.
    async fn parcel(&self, blob: &Descriptor) -> Result<Parcel, ImageError> {
        if blob.media_type != OCI_LAYER {
            return Ok(Parcel { descriptor: blob.clone(), packed: None });
        }
        let (folders, path) = (self.folders.clone(), self.folders.blob(blob.digest));
        blocking(move || {
            let plain = File::open(&path).map_err(ImageError::io("open", &path))?;
            let packed = GzEncoder::new(io::BufReader::new(plain), Compression::default());
            let packed = seal_blob(&folders, packed.take(u64::MAX), u64::MAX)?;
            let descriptor = Descriptor::new(OCI_LAYER_GZIP, packed.digest, packed.size);
            Ok(Parcel { descriptor, packed: Some(packed) })
        })
        .await
    }

    /// The manifest of these layers, after the configuration is there, too.
    async fn manifest(&self, layers: &[Descriptor]) -> Result<(Vec<u8>, String), ImageError> {
        let path = self.folders.blob(self.id);
        let (folders, id, own) = (self.folders.clone(), self.id, self.record.manifest.clone());
        let read = blocking(move || {
            let manifest = read_blob(&folders, own.digest, DOCUMENT_LIMIT)?;
            Ok::<_, ImageError>((read_blob(&folders, id, DOCUMENT_LIMIT)?.len() as u64, manifest))
        });
        let (size, own) = read.await?;
        let progress = &self.progress;
        Upload { session: &self.session, path, digest: id, size, progress, label: None }.run().await?;
        if layers.iter().eq(self.record.layers.iter().map(|layer| &layer.blob)) {
            return Ok((own, self.record.manifest.media_type.clone()));
        }
        Ok((new_manifest(self.id, size, layers.to_vec()), OCI_MANIFEST.to_owned()))
    }

    /// Gives the image its name.
    async fn publish(&self, reference: &Reference, manifest: &[u8], media_type: &str) -> Result<Pushed, ImageError> {
        let tag = reference.tag().unwrap_or("latest");
        let url = self.session.url(&format!("manifests/{tag}"))?;
        let mut patience = Patience::new(self.session.settings.attempts);
        loop {
            let put = self
                .session
                .send(&url, |http, url| http.put(url).header(CONTENT_TYPE, media_type).body(manifest.to_vec()));
            match put.await {
                Ok(_) => break,
                Err(error) => patience.bear(error).await?,
            }
        }
        let (digest, size) = (Digest::of(manifest), manifest.len() as u64);
        self.progress.report(ProgressLine::whole(format!("{tag}: digest: {digest} size: {size}")));
        Ok(Pushed { digest, size })
    }
}
