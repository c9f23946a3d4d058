//! Machines on this workstation: each is a set of Linux namespaces whose first process is `swarmd init`.
//!
//! ```text
//! host ── bridge of the cluster (10.201.n.1/24, masqueraded) ──┬── eth0 of node-1 (10.201.n.2)
//!                                                             ├── eth0 of node-2 (10.201.n.3)   …
//!
//! /var/lib/swarmup/local/<mark>/          one folder a cluster: its mark, whatever becomes of the journal
//!   cluster.json                          name, prefix, bridge
//!   swarmd                                the agent's binary that its machines run
//!   machines/<name>/machine.json          address, and the first process while it runs
//!   machines/<name>/data                  the machine's /var, which it keeps while it is stopped
//!   machines/<name>/console.log           what its first process says
//! /run/swarmup/local/forwarding.json      the host's settings as they were before the first cluster
//! ```
//! The bridge carries the mark in its alias, the packet filter's table and the control groups in their names, and
//! every process in its environment. A machine is a lab, not a security boundary: its processes are the host's root.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

use driver::OptionSpec;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::open;
#[cfg(target_os = "linux")]
pub use linux::{Local, open};

/// The provider's name.
pub const NAME: &str = "local";
/// What it is, as a clause for help.
pub const ABOUT: &str = "machines on this computer, in Linux namespaces; needs root";
/// Its options.
pub const OPTIONS: &[OptionSpec] = &[OptionSpec {
    name: "subnet",
    env: Some("SWARMUP_LOCAL_SUBNET"),
    value_name: "CIDR",
    default: None,
    is_repeated: false,
    help: "The prefix of the machines' addresses; without it, one that clashes with no route of this computer",
}];
