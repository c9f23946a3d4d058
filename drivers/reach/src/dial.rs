//! From a machine's access to a session with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use driver::Access;

use crate::{MemoryHosts, ReachError, Session, ssh};

/// Opens sessions; made once, at the edge, with what it needs of the environment.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// How long the host may take to accept a connection and to show its key.
    pub connect_timeout: Duration,
    /// How long it may take to accept us.
    pub login_timeout: Duration,
    /// The agent's socket (`SSH_AUTH_SOCK`), asked where no key file is named.
    pub agent_socket: Option<PathBuf>,
    /// The hosts that exist in memory only.
    pub memory: MemoryHosts,
}

impl Default for Dialer {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(15),
            agent_socket: None,
            memory: MemoryHosts::default(),
        }
    }
}

impl Dialer {
    /// Opens a session with a machine. `machine` is its name at the provider, which is all that a machine in memory has.
    ///
    /// # Errors
    /// [`ReachError`]: [`is_transient`](ReachError::is_transient) where the machine may only be on its way up.
    pub async fn dial(&self, machine: &str, access: &Access) -> Result<Arc<dyn Session>, ReachError> {
        match access {
            Access::Ssh(access) => Ok(Arc::new(ssh::connect(self, access).await?)),
            Access::Namespace { pid, started } => enter(*pid, *started),
            Access::Memory => Ok(self.memory.host(machine)),
        }
    }
}

#[cfg(target_os = "linux")]
fn enter(pid: u32, started: u64) -> Result<Arc<dyn Session>, ReachError> {
    Ok(Arc::new(crate::namespace::enter(pid, started)?))
}

#[cfg(not(target_os = "linux"))]
fn enter(pid: u32, _started: u64) -> Result<Arc<dyn Session>, ReachError> {
    Err(ReachError::Unsupported { peer: format!("the machine behind process {pid}"), action: "be entered from here" })
}
