//! Machines at Amazon EC2.
//!
//! ```text
//!   ensure_network   subnets ∥ our group ──> create group ──> its rules                     (own VPC where there is no default)
//!   create           image ∥ our machines ──> RunInstances, one a group and zone ──> one look a second for addresses
//!   destroy          TerminateInstances ──> (terminated) ──> delete group ──> own VPC
//!   find             tags ∥ machines ──> what else the tags name
//! ```
//! Every resource carries the cluster's mark as tags from the call that creates it. The machines of a batch are made by
//! one call and so carry the same tags: `swarmup-numbers` lists the batch's machines, and a machine's place in that list
//! is its launch index. A batch is launched whole or not at all, under a client token that is a hash of what is asked
//! for, so that a call whose answer was lost can be repeated.
//!
//! Machines end themselves: powering off terminates them. Nothing without the mark is ever deleted.

#![forbid(unsafe_code)]

mod api;
mod batch;
mod connect;
mod destroy;
mod failure;
mod firewall;
mod image;
mod launch;
mod machine;
mod network;
mod own_network;
mod patience;
mod place;
mod plan;
mod power;
mod price;
mod provider;
mod rates;
mod region;
mod rule;
mod settings;
mod size;
mod survey;
mod tags;

use std::path::Path;
use std::sync::Arc;

use aws_config::SdkConfig;
use driver::cloud::{ARCH, DISK, IMAGE, NETWORK, PRIVATE, REGION, SIZE_OPTION, SPOT, TYPE, USER, ZONE};
use driver::{Driver, DriverError, OptionSpec, Options};

pub use patience::Patience;

/// The provider's name.
pub const NAME: &str = "aws";
/// What it is, as a clause for help.
pub const ABOUT: &str = "machines at Amazon EC2";
/// Its options.
pub const OPTIONS: &[OptionSpec] = &[
    option(REGION, "REGION", "The region; without it the one that AWS_REGION or the profile names"),
    OptionSpec {
        is_repeated: true,
        ..option(ZONE, "ZONE", "An availability zone; may be repeated, machines go round them")
    },
    SIZE_OPTION,
    OptionSpec {
        is_repeated: true,
        ..option(TYPE, "TYPE", "An instance type in place of a size; may be repeated, in order of preference")
    },
    option(ARCH, "x86_64|aarch64", "The architecture; without it that of the machine type, else x86_64"),
    option(IMAGE, "AMI", "The image; without it the newest Ubuntu 24.04"),
    option(USER, "NAME", "The image's user that may log in and use sudo; `ubuntu` unless given"),
    option(DISK, "GB", "The size of a machine's disk; 20 unless given"),
    OptionSpec {
        is_repeated: true,
        ..option(NETWORK, "SUBNET", "A subnet that exists; may be repeated, machines go round them")
    },
    option(SPOT, "true|false", "Use spot machines, which are cheaper and may be taken away"),
    option(PRIVATE, "true|false", "Give machines no public address, and reach them by their private ones"),
];

/// An option that is given at most once and has no variable of its own.
const fn option(name: &'static str, value_name: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec { name, env: None, value_name, default: None, is_repeated: false, help }
}

/// Opens the provider on what its own chain finds: variables (`AWS_*`), profiles, single sign-on, roles. The folder
/// holds the pace of calls, which all of the workstation's commands share. Nothing is read and nobody is asked yet.
///
/// # Errors
/// [`DriverError::InvalidOption`] where an option cannot be understood.
pub fn open(options: &Options, folder: &Path) -> Result<Arc<dyn Driver>, DriverError> {
    let settings = settings::Settings::read(options)?;
    Ok(Arc::new(provider::Aws::new(settings, folder, None, Patience::default())))
}

/// Opens the provider on a configuration that is known already, with a patience of the caller's own.
///
/// # Errors
/// [`DriverError::InvalidOption`] where an option cannot be understood.
pub fn open_on(
    options: &Options,
    folder: &Path,
    configuration: SdkConfig,
    patience: Patience,
) -> Result<Arc<dyn Driver>, DriverError> {
    let settings = settings::Settings::read(options)?;
    Ok(Arc::new(provider::Aws::new(settings, folder, Some(configuration), patience)))
}
