//! Images that come from registries and go to them.

use std::panic::resume_unwind;
use std::sync::{Arc, PoisonError};

use image::{
    Credentials, ImageError, Platform, Progress, Pulled, Pushed, Reference, RegistryClient, RegistryError, Resolved,
};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

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
        let (registries, store) = (self.registries()?, self.store.clone());
        let (name, platform, credentials) = (reference.clone(), platform.cloned(), credentials.clone());
        let pull = on_own_thread(async move || {
            registries.pull(&store, &name, platform.as_ref(), &credentials, progress).await
        });
        let pulled = pull.await?;
        self.publish("pull", &reference.familiar(), &reference.familiar_name(), &self.labels(pulled.id));
        Ok(pulled)
    }

    /// Pushes the image of a tag. Afterwards the image is also known by its digest at that registry.
    pub async fn push(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        progress: Arc<dyn Progress>,
    ) -> Result<Pushed, ImageError> {
        let (registries, store) = (self.registries()?, self.store.clone());
        let (name, credentials) = (reference.clone(), credentials.clone());
        let pushed = on_own_thread(async move || registries.push(&store, &name, &credentials, progress).await).await?;
        let familiar = reference.familiar();
        let labels = self.store.find(&familiar).map(|image| image.config.config.labels.clone()).unwrap_or_default();
        self.publish("push", &familiar, &reference.familiar_name(), &labels);
        Ok(pushed)
    }

    /// Asks a registry what a name means there now, without pulling anything.
    pub async fn resolve(&self, reference: &Reference, credentials: &Credentials) -> Result<Resolved, RegistryError> {
        self.registries()?.resolve(reference, credentials).await
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

/// Runs work that cannot be proven to be `Send`, as the closures that pulls and pushes are made of, on one thread.
///
/// Whoever gives up waiting ends the work: it stops where it waits itself.
async fn on_own_thread<T: Send + 'static>(work: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    // Dropped with this future.
    let (_waiting, gone) = oneshot::channel::<()>();
    let thread = spawn_blocking(move || {
        Handle::current().block_on(async {
            tokio::select! {
                outcome = work() => Some(outcome),
                _ = gone => None,
            }
        })
    });
    match thread.await {
        Ok(outcome) => outcome.expect("somebody waits"),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => unreachable!("work on a thread of its own is never cancelled"),
        },
    }
}
