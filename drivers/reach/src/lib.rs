//! Reaches into hosts: one [`Session`] a host, whoever carries it.
//!
//! ```text
//!   phases, generic ──> Session ──┬── ssh        russh, in this process; host keys pinned
//!                                 ├── namespace  nsenter into a machine of this workstation (Linux)
//!                                 └── memory     a scripted host, for the provider `fake`
//! ```
//! [`Dialer::dial`] turns a machine's [`driver::Access`] into a session. What a session can do is built on one
//! primitive, a process with its streams ([`process`]); only memory answers without one.
//! Nothing here decides what to install: that is the phases' work. Nothing here retries: [`ReachError::is_transient`]
//! tells its callers whether they may.

#![forbid(unsafe_code)]

mod command;
mod copy;
mod dial;
mod error;
mod keys;
mod memory;
#[cfg(target_os = "linux")]
mod namespace;
mod process;
mod remote;
mod service_client;
mod session;
mod sessions;
mod ssh;
mod stdio;
mod upload;

pub use command::{Command, CommandLine, Output, quote};
pub use dial::Dialer;
pub use error::ReachError;
pub use keys::SshKeyPair;
pub use memory::{MemoryFile, MemoryHost, MemoryHosts};
pub use service_client::{AGENT_PATH, NEXT_AGENT_PATH, ServiceError};
pub use session::{CopyOptions, Duplex, ForwardTarget, Interaction, Session};
pub use sessions::Sessions;
pub use ssh::fingerprint;
pub use upload::{Content, Upload, Uploaded, sha256_hex};

/// Talking to the agent's service on a host.
pub mod service {
    pub use crate::service_client::{install, remove, restart, start, status, stop, succeed};
}
