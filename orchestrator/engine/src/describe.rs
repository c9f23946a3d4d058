//! The engine of a node: one home for what the machine is, and for the events that happen on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use image::UnpackLimits;
use links::{KernelError, cgroup};
use model::{EngineDescription, LOG_FORMAT, NodeDescription, Plugin, TlsInfo};
use network::NetworkError;
use runtime::{Runtime, RuntimeError};

use crate::container::{ContainerSettings, Containers, ContainersError};
use crate::event::EventLog;
use crate::facts::HostFacts;
use crate::identity::{self, EngineIdentityError};
use crate::images::Images;
use crate::lease::Lease;
use crate::prefixes;
use crate::settings::NodeFacts;

/// The version that the engine reports: that of the agent it is part of.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an engine is started with.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The name the node has in the swarm; given, because nodes in namespaces may share the kernel's.
    pub hostname: String,
    /// The operator's labels of this engine (`--label`).
    pub labels: BTreeMap<String, String>,
    /// Where the node keeps its state.
    pub data_dir: PathBuf,
    /// Where sockets lie, and what need not outlive the machine; made where it is missing.
    pub run_dir: PathBuf,
    /// How long the machine stays after each renewal of the swarm's lease; `None` where nobody need hold it.
    pub lease: Option<Duration>,
    /// Registries that need neither a valid certificate nor https (`--insecure-registry`), besides this machine's own.
    pub insecure_registries: Vec<String>,
}

/// Why an engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EngineOpenError {
    /// Its id is neither there nor can be kept.
    #[error(transparent)]
    Identity(#[from] EngineIdentityError),
    /// The place of its containers' control groups cannot be found.
    #[error(transparent)]
    ControlGroups(#[from] KernelError),
    /// Nothing can run containers.
    #[error("failed to prepare what runs containers")]
    Runtime(#[source] RuntimeError),
    /// What it has made of the host's network cannot be taken back.
    #[error("failed to remove the node's bridge")]
    Network(#[source] NetworkError),
    /// Its containers, or what they stand on, cannot be had.
    #[error(transparent)]
    Containers(#[from] ContainersError),
}

/// The drivers of a node: type and name, in Docker's words. The scheduler goes by this list.
const PLUGINS: [(&str, &str); 6] = [
    ("Log", "json-file"),
    ("Log", "local"),
    ("Network", "bridge"),
    ("Network", "host"),
    ("Network", "null"),
    ("Volume", "local"),
];
/// The program that this process runs.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The folder of containers, images and volumes in the data directory.
pub(crate) const FOLDER: &str = "engine";
/// The folder of running containers in the run directory.
pub(crate) const RUNTIME_FOLDER: &str = "containers";

/// The engine of a node. Costs nothing while nobody asks.
#[derive(Debug)]
pub struct Engine {
    settings: EngineSettings,
    id: String,
    events: Arc<EventLog>,
    lease: Arc<Lease>,
    containers: Containers,
    images: Images,
}

impl Engine {
    /// Opens the engine whose state is in the data directory, which must exist. Its id is drawn at the first start
    /// and kept there. The containers of an engine before are there on return, as they are. Refused while another process
    /// has its images open.
    pub async fn open(settings: EngineSettings, rng: &mut impl rand::Rng) -> Result<Self, EngineOpenError> {
        Self::with_shim(settings, Path::new(OWN_PROGRAM), rng).await
    }

    /// Like [`open`](Self::open), with another program for the shims of containers, which calls `runtime::reenter`: for
    /// programs that cannot do so themselves.
    pub async fn with_shim(
        settings: EngineSettings,
        shim: &Path,
        rng: &mut impl rand::Rng,
    ) -> Result<Self, EngineOpenError> {
        let id = identity::ensure(&settings.data_dir, rng)?;
        let lease = Arc::new(Lease::new(settings.lease));
        let events = Arc::new(EventLog::new());
        let facts = HostFacts::read();
        // By the id, so that several engines of one machine never take what is another one's for left over.
        let (root, cgroups) = (settings.run_dir.join(RUNTIME_FOLDER), cgroup::containers_group(&id)?);
        let runtime = Runtime::with_executable(root, cgroups, shim).map_err(EngineOpenError::Runtime)?;
        let containers = ContainerSettings {
            root: settings.data_dir.join(FOLDER),
            runtime,
            unpack_limits: UnpackLimits::default(),
            node: NodeFacts {
                hostname: settings.hostname.clone(),
                cpus: facts.cpus,
                has_unified_cgroups: facts.cgroups.is_unified,
            },
            engine_id: id.clone(),
        };
        let containers = Containers::open(containers, Arc::clone(&events), rng).await?;
        let images = Images::new(&settings, containers.clone(), Arc::clone(&events));
        Ok(Self { settings, id, events, lease, containers, images })
    }

    /// The engine's id: a UUID that survives restarts. Not the node's id, which the swarm gives.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name the node has in the swarm.
    pub fn hostname(&self) -> &str {
        &self.settings.hostname
    }

    /// The labels the engine was started with.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.settings.labels
    }

    /// Where the node keeps its state.
    pub fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }

    /// The events of this node.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// The containers of this node.
    pub fn containers(&self) -> &Containers {
        &self.containers
    }

    /// The images of this node.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// Registries that need neither a valid certificate nor https.
    pub fn insecure_registries(&self) -> &[String] {
        &self.settings.insecure_registries
    }

    /// How long the machine stays. It is measured from when the engine was opened.
    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// The drivers that stand.
    pub fn plugins(&self) -> Vec<Plugin> {
        PLUGINS.map(|(kind, name)| Plugin { kind: kind.to_owned(), name: name.to_owned() }).to_vec()
    }

    /// What the machine is at this moment. Reads a few small files of the kernel.
    pub fn facts(&self) -> HostFacts {
        HostFacts::read()
    }

    /// What the node says of itself when it opens a session. `tls` is the node's to fill: the engine has no certificate.
    pub fn describe(&self) -> NodeDescription {
        let facts = self.facts();
        NodeDescription {
            hostname: self.settings.hostname.clone(),
            platform: facts.platform.clone(),
            resources: facts.resources(),
            engine: EngineDescription {
                engine_version: VERSION.to_owned(),
                labels: self.settings.labels.clone(),
                plugins: self.plugins(),
            },
            tls: TlsInfo::default(),
            prefixes: prefixes::read(),
            log_format: LOG_FORMAT,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    async fn open(data_dir: &Path, seed: u64) -> Engine {
        let settings = EngineSettings {
            hostname: "node-1".to_owned(),
            labels: BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]),
            data_dir: data_dir.to_owned(),
            run_dir: data_dir.join("run"),
            lease: None,
            insecure_registries: Vec::new(),
        };
        Engine::open(settings, &mut StdRng::seed_from_u64(seed)).await.unwrap()
    }

    #[tokio::test]
    async fn a_description_holds_what_was_given_and_what_the_kernel_says() {
        let directory = tempfile::tempdir().unwrap();
        let description = open(directory.path(), 1).await.describe();

        assert_eq!(description.hostname, "node-1");
        assert_eq!(description.engine.engine_version, VERSION);
        assert_eq!(description.log_format, LOG_FORMAT);
        assert_eq!(description.engine.labels["disk"], "ssd");
        assert!(description.engine.plugins.iter().any(|plugin| plugin.name == "json-file"));
        assert_eq!(description.platform.os, "linux");
        assert_eq!(description.platform.architecture, std::env::consts::ARCH);
        assert!(description.resources.nano_cpus >= 1_000_000_000);
        assert!(description.resources.memory_bytes > 1 << 20);
    }

    #[tokio::test]
    async fn an_engine_keeps_its_id_over_restarts() {
        let directory = tempfile::tempdir().unwrap();

        let first = open(directory.path(), 1).await.id().to_owned();
        let second = open(directory.path(), 2).await.id().to_owned();

        assert_eq!(first, second);
    }
}
