//! `GET /distribution/{name}/json`: what a name means at its registry, without pulling anything.

use super::{Credentials, RegistryClient, RegistryError, RegistrySettings};
use crate::manifest::Document;
use crate::{Descriptor, ImageConfig, Platform, Reference};

/// How often it is asked.
const ATTEMPTS: u32 = 2;

/// What a name means at its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The manifest or index: its digest pins the name.
    pub descriptor: Descriptor,
    /// The machines that there are images for.
    pub platforms: Vec<Platform>,
}

impl RegistryClient {
    /// Asks what a reference means now. Somebody waits for the answer, so that little patience is had.
    pub async fn resolve(&self, reference: &Reference, credentials: &Credentials) -> Result<Resolved, RegistryError> {
        let attempts = self.settings.attempts.min(ATTEMPTS);
        let hasty = Self { settings: RegistrySettings { attempts, ..self.settings.clone() }, ..self.clone() };
        let session = hasty.session(reference, "pull", credentials).await?;
        let fetched = session.manifest(reference).await?;
        let platforms = match &fetched.document {
            Document::Index(index) => index.platforms(),
            Document::Manifest(manifest) => {
                let config = session.config(&manifest.config).await?;
                // Whatever else has a manifest runs on no machine.
                serde_json::from_slice(&config).map(|config: ImageConfig| vec![config.platform()]).unwrap_or_default()
            }
        };
        Ok(Resolved { descriptor: fetched.descriptor, platforms })
    }
}
