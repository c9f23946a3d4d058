//! From a machine's access to a session with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use driver::Access;

use crate::sessions::Sessions;
use crate::{MemoryHosts, ReachError, Session};

/// Opens sessions; made once, at the edge, with what it needs of the environment. Clones share their SSH sessions: a
/// host is logged in to once, whoever asks.
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
    /// The SSH sessions that are open.
    pub sessions: Sessions,
}

impl Default for Dialer {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(15),
            agent_socket: None,
            memory: MemoryHosts::default(),
            sessions: Sessions::default(),
        }
    }
}

impl Dialer {
    /// A session with a machine: by SSH the one that is open, else a new one. `machine` is its name at the provider,
    /// which is all that a machine in memory has.
    ///
    /// A session over SSH stays open as long as a clone of this dialer lives, so that whoever is done with it need not
    /// know who else uses it.
    ///
    /// # Errors
    /// [`ReachError`]: [`is_transient`](ReachError::is_transient) where the machine may only be on its way up.
    pub async fn dial(&self, machine: &str, access: &Access) -> Result<Arc<dyn Session>, ReachError> {
        match access {
            Access::Ssh(access) => self.sessions.get(self, access).await,
            Access::Namespace { pid, started } => enter(*pid, *started),
            Access::Memory => Ok(self.memory.host(machine)),
        }
    }

    /// Opens a new session with a machine next time: the machine is restarted, or the one that is open broke.
    pub async fn forget(&self, access: &Access) {
        if let Access::Ssh(access) = access {
            self.sessions.forget(access).await;
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
