//! Why a container could not be made, reached or changed.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Why the first program of a container, or of an `exec`, did not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartFailure {
    /// There is no such program: a shell would answer 127.
    NotFound,
    /// It may not be executed, or is no program: a shell would answer 126.
    NotExecutable,
    /// Anything else.
    Other,
}

/// Why an operation on a container failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The file system, a socket or a process did not do as asked.
    #[error("failed to {action}")]
    Io {
        /// What was being done, as a clause.
        action: String,
        /// The kernel's word.
        #[source]
        source: io::Error,
    },
    /// The kernel did not do as asked.
    #[error(transparent)]
    Kernel(#[from] links::KernelError),
    /// A container of this id has a state folder already.
    #[error("container `{id}` exists already")]
    Exists {
        /// Its id.
        id: String,
    },
    /// The request itself cannot be served, whoever asks.
    #[error("{reason}")]
    Invalid {
        /// What is wrong with it, as a clause.
        reason: String,
    },
    /// The container could not be prepared.
    #[error("failed to create container `{id}`: {reason}")]
    Create {
        /// Its id.
        id: String,
        /// The shim's word.
        reason: String,
    },
    /// The program did not begin.
    #[error("failed to start a process in container `{id}`: {reason}")]
    Start {
        /// The container's id.
        id: String,
        /// Which exit status Docker would show.
        failure: StartFailure,
        /// The shim's word.
        reason: String,
    },
    /// The container is not in a state for this.
    #[error("container `{id}` {state}")]
    State {
        /// Its id.
        id: String,
        /// What it is instead, as a clause: "is not running".
        state: String,
    },
    /// The container's shim has ended, or does not answer.
    #[error("the shim of container `{id}` has ended")]
    ShimGone {
        /// The container's id.
        id: String,
    },
    /// A state folder or a message is not as this version knows it.
    #[error("{what} is not understood: {reason}")]
    Malformed {
        /// What was read.
        what: String,
        /// Why it was not accepted.
        reason: String,
    },
}

impl RuntimeError {
    /// Names the path that an action failed on.
    pub(crate) fn at(action: &str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action: format!("{action} `{}`", path.display()), source: source.into() }
    }

    /// Whether the kernel's word was that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Kernel(error) => error.kind() == io::ErrorKind::NotFound,
            Self::Exists { .. }
            | Self::Invalid { .. }
            | Self::Create { .. }
            | Self::Start { .. }
            | Self::State { .. }
            | Self::ShimGone { .. }
            | Self::Malformed { .. } => false,
        }
    }
}

/// Adds what was being done to a failure.
pub(crate) trait Doing<T> {
    /// Names the action that failed.
    fn doing<A: Into<String>>(self, action: impl FnOnce() -> A) -> Result<T, RuntimeError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing<A: Into<String>>(self, action: impl FnOnce() -> A) -> Result<T, RuntimeError> {
        self.map_err(|source| RuntimeError::Io { action: action().into(), source: source.into() })
    }
}
