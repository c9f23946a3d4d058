//! Failures of the kernel and the disk, in the contract's words.

use std::error::Error;
use std::fmt;
use std::path::Path;

use driver::DriverError;

/// Adds what was being done to a failure.
pub(super) trait Failed<T> {
    /// Names the action, as a clause: "make bridge `a`".
    fn failed<A: Into<String>>(self, action: impl FnOnce() -> A) -> Result<T, DriverError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Failed<T> for Result<T, E> {
    fn failed<A: Into<String>>(self, action: impl FnOnce() -> A) -> Result<T, DriverError> {
        self.map_err(|source| DriverError::provider(action(), source))
    }
}

/// A clause with a path: "write `/run/a`".
pub(super) fn at(verb: &str, path: &Path) -> impl FnOnce() -> String {
    move || format!("{verb} `{}`", path.display())
}

/// A first process that did not come up, with the last lines it left.
#[derive(Debug)]
pub(super) struct NotReady {
    /// What was noticed of it.
    pub(super) source: DriverError,
    /// The end of its console.
    pub(super) console: String,
}

impl fmt::Display for NotReady {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "its first process said: {}", self.console.trim())
    }
}

impl Error for NotReady {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
