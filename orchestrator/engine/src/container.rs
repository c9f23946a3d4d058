//! The containers of a node: what is there, what it is to be, what it does, kept over restarts of the agent.
//!
//! ```text
//! Containers ── create, find, list ──> registry: ids and names
//!     │ start, stop, kill, pause, update, remove          one actor a container: it alone changes it
//!     └── command ──> actor ──> runtime (shim), mounts, <root>/<id>/{container,state}.json, events
//!                       └── state ──> whoever waits or looks
//!
//! created ─> running <─> paused        running ─> exited | restarting ─> running
//! any ─> removing ─> gone
//! ```
//! A caller that goes away changes nothing: what was asked for is done to its end, and may be asked for again. What this
//! process does not live to do, the next one does: [`Containers::open`] adopts what runs and finishes what was begun.

mod actor;
mod asker;
mod attachment;
mod cell;
mod changes;
mod commit;
mod create;
mod error;
mod exec;
mod exec_session;
mod file_stream;
mod files;
mod health;
pub(crate) mod last_end;
mod membership;
mod network_of;
mod open;
mod owner;
mod places;
mod populate;
mod prune;
mod record;
mod registry;
mod restart;
mod state;
mod streams;
mod top;
mod volume;
mod wait;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use image::{ImageStore, UnpackLimits};
use network::Subnet;
use rand::rngs::StdRng;
use runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::attachment::{Attachment, EndpointSettings};
use self::cell::Cell;
pub use self::changes::{ContainerUpdate, Grace, StopRequest};
pub use self::commit::CommitRequest;
pub use self::create::Created;
pub use self::error::ContainerError;
pub use self::exec::{ExecConfig, ExecView};
pub use self::exec_session::{ExecInput, ExecStream};
pub use self::file_stream::FileStream;
pub use self::files::{ContainerFilesError, CopyInRequest};
pub use self::health::{HealthState, HealthStatus, ProbeResult};
pub(crate) use self::network_of::host_of;
pub use self::open::ContainersError;
pub use self::owner::NoSuchOwner;
pub use self::places::ContainerPlaces;
pub use self::prune::{ContainerFilter, ContainersPruned};
pub use self::record::ContainerRecord;
use self::registry::Registry;
pub use self::state::{ContainerState, ContainerStatus};
pub use self::top::ProcessTable;
pub use self::wait::{Wait, WaitCondition, WaitOutcome};
use crate::document::blocking;
use crate::event::EventLog;
use crate::local_network::Networks;
use crate::settings::NodeFacts;
use crate::volume::Volumes;

/// How long what was begun may take once the engine is to close; what takes longer is the next one's.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Where the containers of a node lie, and what they stand on.
#[derive(Debug)]
pub struct ContainerSettings {
    /// The folder of containers, images and volumes; made where it is missing. On a disk.
    pub root: PathBuf,
    /// Runs them.
    pub runtime: Runtime,
    /// How much an image may unpack to.
    pub unpack_limits: UnpackLimits,
    /// What settings need to know of the node.
    pub node: NodeFacts,
    /// The engine's id: whose the bridge of this host is.
    pub engine_id: String,
}

/// A container at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerView {
    /// What it is.
    pub record: Arc<ContainerRecord>,
    /// What it does.
    pub state: ContainerState,
}

/// The containers of a node. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct Containers {
    shared: Arc<Shared>,
}

/// What all containers stand on.
#[derive(Debug)]
struct Shared {
    root: PathBuf,
    runtime: Runtime,
    images: ImageStore,
    volumes: Volumes,
    networks: Networks,
    events: Arc<EventLog>,
    node: NodeFacts,
    registry: Registry,
    execs: exec::Execs,
    rng: Mutex<StdRng>,
    /// The actors, and what goes on when its caller is gone: each ends between two steps once `closing` says so.
    tasks: Mutex<JoinSet<()>>,
    /// The streams of programs that were added: they end whenever they are dropped.
    streams: Mutex<JoinSet<()>>,
    closing: watch::Sender<bool>,
}

impl Containers {
    /// All containers, the youngest first.
    pub fn list(&self) -> Vec<ContainerView> {
        let mut views: Vec<_> = self.shared.registry.all().iter().map(|cell| cell.view()).collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.record.created));
        views
    }

    /// The container of this id, name or beginning of an id, in this order.
    pub fn find(&self, name: &str) -> Result<ContainerView, ContainerError> {
        self.cell(name).map(|cell| cell.view())
    }

    /// Where the files of a container lie on this node.
    pub fn places(&self, id: &str) -> ContainerPlaces {
        ContainerPlaces::new(&self.shared.folder_of(id))
    }

    /// The images that containers are made of.
    pub fn images(&self) -> &ImageStore {
        &self.shared.images
    }

    /// The volumes that containers claim.
    pub fn volumes(&self) -> &Volumes {
        &self.shared.volumes
    }

    /// The networks that containers are in.
    pub fn networks(&self) -> &Networks {
        &self.shared.networks
    }

    /// The range of the node's bridge; where no container has needed it yet, the one that it would have now.
    pub async fn bridge_subnet(&self) -> Result<Subnet, ContainerError> {
        let bridge = self.shared.networks.node_bridge();
        Ok(blocking(move || bridge.subnet()).await?)
    }

    /// Ends the work on containers, and waits until what was begun is done; the containers themselves run on. Nothing can
    /// be asked for afterwards.
    pub async fn close(&self) {
        let take = |set: &Mutex<JoinSet<()>>| std::mem::take(&mut *set.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.closing.send_replace(true);
        take(&self.shared.streams).shutdown().await;
        let deadline = Instant::now() + CLOSE_LIMIT;
        loop {
            // What was begun may begin something itself, which ends as soon as it looks.
            let mut tasks = take(&self.shared.tasks);
            if tasks.is_empty() {
                return;
            }
            let all = async { while tasks.join_next().await.is_some() {} };
            if tokio::time::timeout_at(deadline, all).await.is_err() {
                tracing::warn!("work on containers is left to the next engine");
                tasks.shutdown().await;
            }
        }
    }

    fn cell(&self, name: &str) -> Result<Arc<Cell>, ContainerError> {
        self.shared.registry.find(name)
    }
}

impl Shared {
    /// Lets work go on whether or not its caller stays. Who has ended is forgotten.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        spawn_in(&self.tasks, work);
    }

    /// Lets a stream go on whether or not somebody listens.
    fn spawn_stream(&self, work: impl Future<Output = ()> + Send + 'static) {
        spawn_in(&self.streams, work);
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn folder_of(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }
}

fn spawn_in(set: &Mutex<JoinSet<()>>, work: impl Future<Output = ()> + Send + 'static) {
    let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
    while set.try_join_next().is_some() {}
    set.spawn(work);
}
