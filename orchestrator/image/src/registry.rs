//! Registries: from where images are pulled and to where they are pushed.
//!
//! ```text
//! reference ── endpoint (which host, https or http) ── session (who asks: token, password)
//!                                                         │
//!     manifest or index ── platform ── configuration ── layers, three at a time ──> blobs, verified ──> unpacked
//! ```
//!
//! A registry may be down, slow, or lie. Every answer is bounded in length and in time; what is interrupted goes on
//! where it was; nothing is believed before its digest is right.

mod challenge;
mod credentials;
mod document;
mod download;
mod endpoint;
mod error;
mod login;
mod pull;
mod push;
mod resolve;
mod retry;
mod session;
mod trust;
mod upload;

use std::time::Duration;

pub use credentials::{Credentials, InvalidCredentials};
pub use error::RegistryError;
pub use pull::Pulled;
pub use push::Pushed;
pub use resolve::Resolved;

/// How registries are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Hosts, with their port where they have one, and prefixes of addresses (`10.0.0.0/8`), whose certificate is not
    /// checked and with whom plain http will do. Addresses of this machine itself always count so, as in Docker.
    pub insecure: Vec<String>,
    /// The longest that connecting may take.
    pub connect_timeout: Duration,
    /// The longest that nothing, or next to nothing, may arrive.
    pub stall: Duration,
    /// How often in a row something is tried that brings nothing forward.
    pub attempts: u32,
}

impl Default for RegistrySettings {
    /// 15 s to connect, half of what Docker allows, as there are several tries; 30 s of silence; 5 tries, as Docker.
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            connect_timeout: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            attempts: 5,
        }
    }
}

/// Speaks to registries. Clones share their connections.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    settings: RegistrySettings,
    /// Checks certificates.
    strict: reqwest::Client,
    /// Does not, for hosts that are allowed that.
    lax: reqwest::Client,
}

impl RegistryClient {
    /// Prepares to speak to registries; speaks to none yet.
    pub fn new(settings: RegistrySettings) -> Result<Self, RegistryError> {
        let strict = trust::client(&settings, true)?;
        let lax = trust::client(&settings, false)?;
        Ok(Self { settings, strict, lax })
    }
}
