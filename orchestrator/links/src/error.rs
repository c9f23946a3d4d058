//! Why the kernel did not do what it was asked.

use std::io;

/// Why the kernel did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action}")]
pub struct KernelError {
    action: String,
    #[source]
    source: io::Error,
}

impl KernelError {
    /// Names the action that failed, as a clause: "add link `eth0`".
    pub fn new(action: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { action: action.into(), source: source.into() }
    }

    /// The kind of the failure, where a caller treats one differently (`NotFound`, `AlreadyExists`).
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

/// Adds what was being done to a failure.
pub(crate) trait Doing<T> {
    /// Names the action that failed.
    fn doing<A: Into<String>>(self, action: impl FnOnce() -> A) -> Result<T, KernelError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing<A: Into<String>>(self, action: impl FnOnce() -> A) -> Result<T, KernelError> {
        self.map_err(|source| KernelError::new(action(), source))
    }
}
