//! Virtual machines at Microsoft Azure, by Azure Resource Manager's REST interface.
//!
//! ```text
//!   resource group (a cluster's own) ──┬── network security group ──┐
//!                                      └── virtual network ─────────┴── virtual machines, each with
//!                                                                       interface, public address, disk
//! ```
//! Nothing official manages resources in Rust, so the calls are written out here: [`azure_identity`] signs in, `reqwest`
//! carries. TLS is our own: a configuration with ring, whatever crypto provider the process has installed or not.
//!
//! A cluster is a resource group, which carries its mark as tags, and in which everything carries it again. Destroying a
//! cluster is deleting its group, in one call. Azure ends no machine by itself when a time is up: the tag of the expiry
//! is there for whoever looks (`swarmup gc`). With `--self-delete` the managers do it: they are lent an identity that may
//! read, change and delete the group, which is to say that whoever runs code on a manager may; see `identity`.

#![forbid(unsafe_code)]

mod answers;
mod check;
mod choice;
mod client;
mod credential;
mod documents;
mod environment;
mod estimate;
mod farewell;
mod find;
mod identity;
mod machines;
mod names;
mod network;
mod operation;
mod patience;
mod power;
mod provider;
mod rates;
mod refusal;
mod removal;
mod rules;
mod sizes;
mod survey;

use std::path::Path;
use std::sync::Arc;

use driver::{Driver, DriverError, Options};

pub use choice::OPTIONS;
pub use environment::Environment;
pub use patience::Patience;

/// The provider's name.
pub const NAME: &str = "azure";
/// What it is, in one line.
pub const ABOUT: &str = "virtual machines at Microsoft Azure";

/// Opens the driver with these options, the credentials and endpoints of the process's environment, and a folder in which
/// the pace of calls is kept. Asks nothing of Azure.
///
/// # Errors
/// [`DriverError::InvalidOption`] where an option cannot be used.
pub fn open(options: &Options, folder: &Path) -> Result<Arc<dyn Driver>, DriverError> {
    open_in(Environment::of_process(), Patience::default(), options, folder)
}

/// Opens the driver in another environment, or with another patience.
///
/// # Errors
/// [`DriverError::InvalidOption`] where an option cannot be used.
pub fn open_in(
    environment: Environment,
    patience: Patience,
    options: &Options,
    folder: &Path,
) -> Result<Arc<dyn Driver>, DriverError> {
    Ok(Arc::new(provider::Azure::new(environment, options, folder.to_owned(), patience)?))
}
