//! `docker login`: whether a registry lets somebody in.

use super::session::LOGIN;
use super::{Credentials, RegistryClient, RegistryError, RegistrySettings};
use crate::Reference;

/// How often it is asked: somebody waits for the answer.
const ATTEMPTS: u32 = 2;

impl RegistryClient {
    /// Asks the registry of a reference whether it lets these in; [`RegistryError::Denied`] where it does not.
    ///
    /// Which repositories they may read or write nobody knows afterwards. A registry that asks nobody lets everybody in.
    pub async fn login(&self, reference: &Reference, credentials: &Credentials) -> Result<(), RegistryError> {
        let attempts = self.settings.attempts.min(ATTEMPTS);
        let hasty = Self { settings: RegistrySettings { attempts, ..self.settings.clone() }, ..self.clone() };
        let session = hasty.session(reference, LOGIN, credentials).await?;
        session.send(&session.base(), reqwest::Client::get).await.map(drop)
    }
}
