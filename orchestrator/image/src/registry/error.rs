//! Why a registry did not do what it was asked.

use std::time::Duration;

use crate::Digest;

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It has no such image. Docker's words.
    #[error("manifest for {0} not found: manifest unknown: manifest unknown")]
    NotFound(String),
    /// It does not let this user, or has no such repository: registries do not tell which. Docker's words.
    #[error("{action} access denied for {name}, repository does not exist or may require 'docker login': {reason}")]
    Denied {
        /// `pull`, `push` or `login`.
        action: &'static str,
        /// The repository.
        name: String,
        /// What the registry says.
        reason: String,
    },
    /// Nobody can be reached there, or the connection broke.
    #[error("failed to reach the registry {registry}")]
    Unreachable {
        /// Where.
        registry: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// Next to nothing arrived for too long.
    #[error("the registry {registry} sent next to nothing for {} s", .after.as_secs_f32())]
    Stalled {
        /// Which.
        registry: String,
        /// How long.
        after: Duration,
    },
    /// It sent less than it said.
    #[error("the registry {registry} ended {digest} after {received} of {size} bytes")]
    Truncated {
        /// Which.
        registry: String,
        /// What.
        digest: Digest,
        /// What arrived.
        received: u64,
        /// What was said.
        size: u64,
    },
    /// It is overloaded, or broken for now.
    #[error("the registry {registry} is not able to answer now: {reason}")]
    Busy {
        /// Which.
        registry: String,
        /// What it says.
        reason: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// What it sent is not what it was asked for.
    #[error("the registry {registry} lies: it was asked for {expected} and sent {found}")]
    Lies {
        /// Which.
        registry: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: String,
    },
    /// It refuses, and will again.
    #[error("the registry {registry} refuses: {reason}")]
    Refused {
        /// Which.
        registry: String,
        /// What it says.
        reason: String,
    },
    /// What it says makes no sense.
    #[error("the registry {registry} speaks nonsense: {what}")]
    Nonsense {
        /// Which.
        registry: String,
        /// What is wrong.
        what: String,
    },
    /// There is an image, for another machine. Docker's words.
    #[error(
        "image with reference {name} was found but its platform ({found}) does not match the specified platform ({wanted})"
    )]
    OtherPlatform {
        /// The image.
        name: String,
        /// The machine that it is for.
        found: String,
        /// The machine that was asked for.
        wanted: String,
    },
    /// TLS cannot be had on this machine.
    #[error("failed to prepare TLS")]
    Tls(#[source] rustls::Error),
    /// The client cannot be had on this machine.
    #[error("failed to prepare the client for registries")]
    Client(#[source] reqwest::Error),
}

impl RegistryError {
    /// Whether asking again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::Truncated { .. } | Self::Busy { .. } => true,
            Self::NotFound(_)
            | Self::Denied { .. }
            | Self::Lies { .. }
            | Self::Refused { .. }
            | Self::Nonsense { .. }
            | Self::OtherPlatform { .. }
            | Self::Tls(_)
            | Self::Client(_) => false,
        }
    }

    /// What it says of when to ask again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Busy { retry_after, .. } = self { *retry_after } else { None }
    }
}
