//! From Docker's words to the runtime's: what a container of these settings and this image is to be. Pure.
//!
//! ```text
//! Config + image ── with_image ──> Config in full ──┐
//! HostConfig ── check, mounts::plan ──> mount points ┼── bundle ──> runtime::Bundle
//! node: NodeFacts, the host's hosts and resolv.conf ─┘              (files: hosts, hostname, resolv.conf)
//! ```
//! Every refusal is in Docker's words, and comes when a container is made, not when it is started.

mod bundle;
mod check;
mod files;
mod image;
mod limits;
mod log;
mod mounts;
mod network;
mod ports;
mod security;

pub(crate) use self::bundle::{Health, Place, bundle, environment, exec_environment, health, stop_grace, stop_signal};
pub(crate) use self::check::check;
pub(crate) use self::files::{Position, Servers, hosts, is_stub, resolv_conf, servers};
pub(crate) use self::image::with_image;
pub(crate) use self::limits::limits;
pub(crate) use self::log::log_settings;
pub use self::mounts::{MountKind, MountPoint, TmpfsSettings, VolumeRequest};
pub(crate) use self::mounts::{SharedMounts, check_bind, plan};
pub use self::network::NetworkMode;
pub(crate) use self::ports::ports;

/// Settings that no container can have. Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSettings(pub String);

impl InvalidSettings {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// What the settings of containers need to know of their node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The name that the node has in the swarm.
    pub hostname: String,
    /// How many processors it has.
    pub cpus: usize,
    /// Whether its control groups are one hierarchy.
    pub has_unified_cgroups: bool,
}
