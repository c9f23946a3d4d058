//! Fetches manifests, indexes and configurations: short, and verified before anything reads them.

use reqwest::header::{ACCEPT, CONTENT_TYPE};

use super::RegistryError;
use super::retry::Patience;
use super::session::Session;
use crate::manifest::{DOCKER_LIST, DOCKER_MANIFEST, DOCUMENT_LIMIT, Document, OCI_INDEX, OCI_MANIFEST};
use crate::{Descriptor, Digest, Reference};

/// The header in which a registry says what it thinks the digest is.
const DIGEST_HEADER: &str = "docker-content-digest";

/// A manifest or an index, as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Vec<u8>,
    pub(super) document: Document,
}

impl Session {
    /// The manifest or index of a tag or digest. A reference with both means the digest.
    pub(super) async fn manifest(&self, reference: &Reference) -> Result<Fetched, RegistryError> {
        let name = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        self.manifest_at(&name, reference.digest(), &reference.familiar()).await
    }

    /// The manifest that a descriptor of an index names.
    pub(super) async fn manifest_of(&self, descriptor: &Descriptor) -> Result<Fetched, RegistryError> {
        let name = descriptor.digest.to_string();
        self.manifest_at(&name, Some(descriptor.digest), &format!("{}@{name}", self.name())).await
    }

    /// A short blob, an image's configuration.
    pub(super) async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let url = self.url(&format!("blobs/{}", descriptor.digest))?;
        let (bytes, _) = self.document(&url, "*/*", Some(descriptor.digest)).await?;
        Ok(bytes)
    }

    async fn manifest_at(&self, name: &str, expected: Option<Digest>, shown: &str) -> Result<Fetched, RegistryError> {
        let url = self.url(&format!("manifests/{name}"))?;
        let accept = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
        let outcome = self.document(&url, &accept, expected).await;
        let (bytes, media_type) = match outcome {
            Err(RegistryError::NotFound(_)) => return Err(RegistryError::NotFound(shown.to_owned())),
            outcome => outcome?,
        };
        let document = Document::parse(&bytes, &media_type)
            .map_err(|error| self.nonsense(format!("the manifest for {shown}: {}", model::with_causes(&error))))?;
        let own_type = match &document {
            Document::Manifest(manifest) => &manifest.media_type,
            Document::Index(index) => &index.media_type,
        };
        let media_type = if own_type.is_empty() { media_type } else { own_type.clone() };
        let descriptor = Descriptor::new(&media_type, Digest::of(&bytes), bytes.len() as u64);
        Ok(Fetched { descriptor, bytes, document })
    }

    /// A document and what it is said to be, tried again where that may help.
    async fn document(
        &self,
        url: &reqwest::Url,
        accept: &str,
        expected: Option<Digest>,
    ) -> Result<(Vec<u8>, String), RegistryError> {
        let mut patience = Patience::new(self.settings.attempts);
        loop {
            match self.document_once(url, accept, expected).await {
                Err(error) => patience.bear(error).await?,
                outcome => return outcome,
            }
        }
    }

    async fn document_once(
        &self,
        url: &reqwest::Url,
        accept: &str,
        expected: Option<Digest>,
    ) -> Result<(Vec<u8>, String), RegistryError> {
        let answer = self.send(url, |http, url| http.get(url).header(ACCEPT, accept)).await?;
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = header(CONTENT_TYPE.as_str()).split(';').next().unwrap_or_default().trim().to_owned();
        let said = header(DIGEST_HEADER).parse().ok();
        let bytes = self.read(answer, usize::try_from(DOCUMENT_LIMIT).unwrap_or(usize::MAX)).await?;
        let found = Digest::of(&bytes);
        match expected.or(said) {
            Some(expected) if expected != found => {
                Err(RegistryError::Lies { registry: self.registry(), expected, found: found.to_string() })
            }
            _ => Ok((bytes, media_type)),
        }
    }
}
