//! What a node is built from.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agent::Executor;
use engine::Engine;
use raft::RaftSettings;
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::Clock;
use tokio::sync::watch;

use crate::ApiTls;
use crate::guard::GuardTable;
use crate::shared::Shared;

/// What a node is built from.
#[derive(Debug)]
pub struct NodeSettings {
    /// Where the node keeps its state; must exist.
    pub data_dir: PathBuf,
    /// Where the bootstrap file lies, if there is one.
    pub run_dir: PathBuf,
    /// The name that the node has in the swarm.
    pub hostname: String,
    /// The machine and its events.
    pub engine: Arc<Engine>,
    /// Runs the containers of tasks.
    pub executor: Arc<dyn Executor>,
    /// The wall clock.
    pub clock: Clock,
    /// Seeded by the system: ids, secrets and nonces are drawn from it.
    pub rng: StdRng,
    /// Timings and bounds of raft.
    pub raft: RaftSettings,
    /// The packet filter table that keeps strangers from 7946 and 4789, in the network namespace of the process; `None`
    /// leaves the ports to the firewall, and to other nodes of the same namespace.
    pub guard: Option<String>,
    /// What becomes of the node once it is cancelled.
    pub ending: Ending,
}

/// What becomes of a node that is cancelled: back in a moment, unless it is said before that it stops for good.
///
/// Whoever cancels the node keeps a clone. The swarm waits for a node that comes back, and calls one that stops for
/// good down at once.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<AtomicBool>);

impl Ending {
    /// The node stops until somebody starts it again.
    pub fn stop_for_good(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_for_good(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the parts of a node share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) hostname: String,
    pub(crate) engine: Arc<Engine>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) clock: Clock,
    pub(crate) raft_settings: RaftSettings,
    pub(crate) api_tls: watch::Sender<Option<ApiTls>>,
    pub(crate) guard: GuardTable,
    pub(crate) ending: Ending,
    pub(crate) shared: Arc<Shared>,
    pub(crate) rng: Arc<Mutex<StdRng>>,
}

impl Parts {
    /// Takes the certificate of the API on TLS away: this node is no manager any more.
    pub(crate) fn close_api(&self) {
        self.api_tls.send_if_modified(|tls| tls.take().is_some());
    }

    /// A generator of its own for a part.
    pub(crate) fn fork_rng(&self) -> StdRng {
        StdRng::from_rng(&mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
