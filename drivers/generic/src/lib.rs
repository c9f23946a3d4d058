//! Machines that exist already: given hosts, reached by SSH.
//!
//! ```text
//!   --host root@a --host ops@b:2222 ──> probe ──> claim (the mark is on the host) ──> firewall open
//!                                       refuses:  another cluster's host, a taken port, no root, no x86_64, …
//! ```
//! "Creating" a machine is claiming a host: `/var/lib/swarmup-host/host.json` on it says whose it is from then on, and which
//! of its firewall's rules are ours. "Destroying" it takes the agent, those rules and that file away again. Which host
//! is which machine is written on the hosts alone; the workstation remembers only where it has claimed any, and the
//! host keys that it pinned.
//!
//! A host that carries another cluster's mark is never touched.

#![forbid(unsafe_code)]

mod choice;
mod firewall;
mod given;
mod memory;
mod probe;
mod provider;
mod record;

use std::path::Path;
use std::sync::Arc;

use driver::{Driver, DriverError, OptionSpec, Options};
use reach::Dialer;

/// The provider's name.
pub const NAME: &str = "generic";
/// What it is, in one line.
pub const ABOUT: &str = "existing hosts over SSH";
/// The options that it takes.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: given::HOST,
        env: None,
        value_name: "[USER@]ADDRESS[:PORT]",
        default: None,
        is_repeated: true,
        help: "A host to use, managers first; may be repeated",
    },
    OptionSpec {
        name: given::SSH_KEY,
        env: Some("SWARMUP_SSH_KEY"),
        value_name: "FILE",
        default: None,
        is_repeated: false,
        help: "The private key that logs in to the hosts; without it the agent's keys are tried",
    },
    OptionSpec {
        name: given::HOST_KEY,
        env: None,
        value_name: "[ADDRESS=]KEY",
        default: None,
        is_repeated: true,
        help: "The key that a host must show (OpenSSH public key or SHA256:…); without it the first one is pinned",
    },
    OptionSpec {
        name: given::ADDRESS_INTERFACE,
        env: None,
        value_name: "NAME",
        default: None,
        is_repeated: false,
        help: "The interface whose address the members use among themselves",
    },
];

/// Opens the driver with these options; what it must find again it keeps in the folder given. The
/// sessions that it opens are the dialer's: whoever works with the hosts besides shares them.
///
/// # Errors
/// [`DriverError::InvalidOption`] where a host or key cannot be understood, or a host is given twice.
pub fn open(options: &Options, folder: &Path, dialer: &Dialer) -> Result<Arc<dyn Driver>, DriverError> {
    let given = given::Given::read(options)?;
    Ok(Arc::new(provider::Generic::new(given, memory::Memory::new(folder), dialer.clone())))
}
