//! Images that come from registries and other nodes, and go to them.

use std::sync::{Arc, PoisonError};

use image::{
    BlobSource, Credentials, Descriptor, FetchError, Fetched, ImageError, Platform, Progress, Pulled, Pushed,
    Reference, RegistryClient, RegistryError, Resolved,
};

use super::Images;

impl Images {
    /// Pulls an image; for this machine, or the only one there is, where no platform is named.
    ///
    /// Afterwards it is in the store under its tag and its digest. An error leaves what was there before.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: Arc<dyn Progress>,
    ) -> Result<Pulled, ImageError> {
        let registries = self.registries()?;
        let pulled = registries.pull(&self.store, reference, platform, credentials, progress).await?;
        self.publish("pull", &reference.familiar(), &reference.familiar_name(), &self.labels(pulled.id));
        Ok(pulled)
    }

    /// Takes an image from other nodes that have it: the one that a manifest or an index leads to, under this name. To
    /// those who listen it was pulled.
    pub async fn fetch(
        &self,
        sources: &[Arc<dyn BlobSource>],
        document: &Descriptor,
        name: Option<Reference>,
    ) -> Result<Fetched, FetchError> {
        let fetched = self.store.fetch(sources, document, name.clone()).await?;
        if let Some(name) = name {
            self.publish("pull", &name.familiar(), &name.familiar_name(), &self.labels(fetched.id));
        }
        Ok(fetched)
    }

    /// Pushes the image of a tag. Afterwards the image is also known by its digest at that registry.
    pub async fn push(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        progress: Arc<dyn Progress>,
    ) -> Result<Pushed, ImageError> {
        let registries = self.registries()?;
        let pushed = registries.push(&self.store, reference, credentials, progress).await?;
        let familiar = reference.familiar();
        let labels = self.store.find(&familiar).map(|image| image.config.config.labels.clone()).unwrap_or_default();
        self.publish("push", &familiar, &reference.familiar_name(), &labels);
        Ok(pushed)
    }

    /// Asks a registry what a name means there now, without pulling anything.
    pub async fn resolve(&self, reference: &Reference, credentials: &Credentials) -> Result<Resolved, RegistryError> {
        self.registries()?.resolve(reference, credentials).await
    }

    /// Asks the registry of a reference whether it lets these in.
    pub async fn login(&self, reference: &Reference, credentials: &Credentials) -> Result<(), RegistryError> {
        self.registries()?.login(reference, credentials).await
    }

    /// The client, made when it is first needed: it reads the machine's certificates.
    fn registries(&self) -> Result<RegistryClient, RegistryError> {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match registries.take() {
            Some(client) => client,
            None => RegistryClient::new(self.settings.clone())?,
        };
        *registries = Some(client.clone());
        Ok(client)
    }
}
