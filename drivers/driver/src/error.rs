//! Why a provider could not do what it was asked.

use std::time::Duration;

/// Why a provider could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// An option has a value that cannot be used.
    #[error("option `{option}` is wrong: {reason}")]
    InvalidOption {
        /// The option's name.
        option: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that the provider needs on this workstation or host is missing.
    #[error("{what}")]
    Unmet {
        /// What is missing.
        what: String,
        /// What the user can do about it.
        hint: String,
    },
    /// A quota is used up.
    #[error("quota `{quota}` in {region} is exhausted")]
    QuotaExhausted {
        /// The quota's name at the provider.
        quota: String,
        /// Where.
        region: String,
    },
    /// The provider asks for patience.
    #[error("{provider} is throttling requests")]
    Throttled {
        /// The provider.
        provider: &'static str,
        /// When to try again, where it said so.
        retry_after: Option<Duration>,
    },
    /// The machine does not exist.
    #[error("there is no machine `{id}`")]
    NoSuchMachine {
        /// The provider's id.
        id: String,
    },
    /// The provider cannot do this at all.
    #[error("{provider} cannot {action}")]
    Unsupported {
        /// The provider.
        provider: &'static str,
        /// What it cannot do.
        action: &'static str,
    },
    /// The call was cut short on purpose.
    #[error("interrupted while trying to {action}")]
    Interrupted {
        /// What was going on.
        action: String,
    },
    /// Something did not happen in time.
    #[error("failed to {action} within {} s", after.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        action: String,
        /// How long.
        after: Duration,
    },
    /// Anything else; `is_transient` says whether trying again may help.
    #[error("failed to {action}")]
    Provider {
        /// What failed.
        action: String,
        /// Whether trying again may help.
        is_transient: bool,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DriverError {
    /// A failure that trying again will not mend.
    pub fn provider(action: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Provider { action: action.into(), is_transient: false, source: source.into() }
    }

    /// A failure that trying again may mend.
    pub fn transient(action: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Provider { action: action.into(), is_transient: true, source: source.into() }
    }

    /// How long the provider asks us to wait before the next call.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            Self::InvalidOption { .. }
            | Self::Unmet { .. }
            | Self::QuotaExhausted { .. }
            | Self::NoSuchMachine { .. }
            | Self::Unsupported { .. }
            | Self::Interrupted { .. }
            | Self::TimedOut { .. }
            | Self::Provider { .. } => None,
        }
    }

    /// The same failure once it has been tried often enough: nobody tries again.
    #[must_use]
    pub fn into_final(self) -> Self {
        match self {
            Self::Provider { action, source, .. } => Self::Provider { action, is_transient: false, source },
            throttled @ Self::Throttled { .. } => Self::provider("get an answer in time", throttled),
            Self::InvalidOption { .. }
            | Self::Unmet { .. }
            | Self::QuotaExhausted { .. }
            | Self::NoSuchMachine { .. }
            | Self::Unsupported { .. }
            | Self::Interrupted { .. }
            | Self::TimedOut { .. } => self,
        }
    }

    /// Whether trying the same call again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Throttled { .. } => true,
            Self::Provider { is_transient, .. } => *is_transient,
            Self::InvalidOption { .. }
            | Self::Unmet { .. }
            | Self::QuotaExhausted { .. }
            | Self::NoSuchMachine { .. }
            | Self::Unsupported { .. }
            | Self::TimedOut { .. }
            | Self::Interrupted { .. } => false,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unmet { hint, .. } => Some(hint.clone()),
            Self::QuotaExhausted { quota, .. } => {
                Some(format!("request an increase of `{quota}`, or pick another region"))
            }
            Self::InvalidOption { .. }
            | Self::Throttled { .. }
            | Self::NoSuchMachine { .. }
            | Self::Unsupported { .. }
            | Self::Interrupted { .. }
            | Self::TimedOut { .. }
            | Self::Provider { .. } => None,
        }
    }
}
