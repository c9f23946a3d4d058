//! The kernel's side of a node: namespaces, links, addresses, packet filter rules, control groups, private roots.
//!
//! ```text
//! process     a process that cannot be mistaken for another one that was given its number later
//! namespace   start a process in namespaces of its own; run something inside those of another
//! gate        the handshake with the first process of a machine
//! root        the private file system of a machine
//! route       links, addresses, routes (rtnetlink)
//! nft         packet filter rules (nfnetlink), one transaction a change
//! conntrack   what the packet filter remembers of connections
//! cgroup      control groups, version 1, hybrid and version 2
//! socket      what the other end of a connection has not taken yet
//! sysctl      kernel settings below /proc/sys
//! ```
//!
//! Everything here blocks for at most milliseconds (waits take a limit), so that callers in async code use
//! `spawn_blocking`. No part of it starts another program.

#![cfg(target_os = "linux")]

pub mod cgroup;
pub mod conntrack;
mod error;
pub mod gate;
pub mod namespace;
mod netlink;
pub mod nft;
mod prefix;
pub mod process;
pub mod root;
pub mod route;
pub mod socket;
pub mod sysctl;

pub use error::KernelError;
pub use prefix::{InvalidPrefix, Prefix};
pub use process::Process;
