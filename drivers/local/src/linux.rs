//! The provider on Linux: blocking work of milliseconds, done on tokio's threads for it.

mod agent;
mod failure;
mod forwarding;
mod machine;
mod network;
mod provider;
mod record;
mod resolver;
mod state;
mod subnet;

use std::path::Path;
use std::sync::Arc;

use driver::{Driver, DriverError, Options};

pub use provider::Local;

/// Opens the provider. What it knows belongs to the computer, not to a user: the folder is not used.
pub fn open(_options: &Options, _state: &Path) -> Result<Arc<dyn Driver>, DriverError> {
    Ok(Arc::new(Local::system()))
}
