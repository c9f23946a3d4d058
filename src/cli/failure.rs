//! How a command ends, and what a user can do about an error.

use crate::bundle::BundleError;
use crate::cluster::InvalidSpec;
use crate::config::ConfigError;
use crate::cost::TooExpensive;
use crate::engine::EngineError;
use crate::home::HomeError;
use crate::images::{ArchiveError, DockerError};
use crate::journal::{JournalError, LockError};
use crate::operator::OperatorError;
use crate::phase::PhaseError;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed, and nothing is left half done.
    Failed,
    /// The command line is wrong.
    Usage,
    /// Partly done; the journal is kept.
    PartlyDone,
    /// Interrupted by the user.
    Interrupted,
    /// As a command on a node ended.
    Code(u8),
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::PartlyDone => 3,
            Self::Interrupted => 130,
            Self::Code(code) => code,
        }
    }

    /// How a command ends that returned an error.
    pub fn of_error(error: &anyhow::Error) -> Self {
        let is_usage = |cause: &(dyn std::error::Error + 'static)| {
            let is_wrong_file = matches!(cause.downcast_ref(), Some(ConfigError::Read { .. }));
            let is_wish = cause.is::<ConfigError>() && !is_wrong_file;
            let is_name = matches!(cause.downcast_ref(), Some(HomeError::Name(_) | HomeError::Ambiguous { .. }));
            is_wish || is_name || cause.is::<InvalidSpec>() || cause.is::<UsageError>()
        };
        if error.chain().any(is_usage) { Self::Usage } else { Self::Failed }
    }
}

/// The arguments are well-formed, and yet cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct UsageError {
    message: String,
    hint: Option<String>,
}

impl UsageError {
    /// What is wrong, and what to do instead.
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// The command is right, but not for this cluster as it is.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct StateError {
    message: String,
    hint: Option<String>,
}

impl StateError {
    /// What stands in the way, and what to do about it.
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// What the user can do about an error: the hint of the outermost cause that has one.
pub fn hint_of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let hints = [
            cause.downcast_ref::<UsageError>().map(|error| error.hint.clone()),
            cause.downcast_ref::<StateError>().map(|error| error.hint.clone()),
            cause.downcast_ref::<ConfigError>().map(ConfigError::hint),
            cause.downcast_ref::<TooExpensive>().map(|error| Some(error.hint())),
            cause.downcast_ref::<OperatorError>().map(|error| Some(error.hint())),
            cause.downcast_ref::<InvalidSpec>().map(|error| Some(error.hint())),
            cause.downcast_ref::<HomeError>().map(HomeError::hint),
            cause.downcast_ref::<JournalError>().map(JournalError::hint),
            cause.downcast_ref::<LockError>().map(LockError::hint),
            cause.downcast_ref::<PhaseError>().map(PhaseError::hint),
            cause.downcast_ref::<EngineError>().map(EngineError::hint),
            cause.downcast_ref::<ArchiveError>().map(ArchiveError::hint),
            cause.downcast_ref::<DockerError>().map(DockerError::hint),
            cause.downcast_ref::<BundleError>().map(BundleError::hint),
            cause.downcast_ref::<reach::ReachError>().map(reach::ReachError::hint),
            cause.downcast_ref::<driver::DriverError>().map(driver::DriverError::hint),
        ];
        hints.into_iter().flatten().flatten().next()
    })
}
