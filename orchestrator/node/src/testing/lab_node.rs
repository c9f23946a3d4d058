//! One node of the laboratory: a thread, a runtime, a data directory.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use agent::Executor;
use engine::{Engine, EngineSettings};
use model::{Bootstrap, Caller, ControlRequest, ControlResponse, Node, NodeId, NodeSpec, Secret, SwarmError};
use raft::RaftSettings;
use rand::rngs::StdRng;
use store::Clock;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::containers::{History, Machine, MachineExecutor};
use crate::{ApiTls, Ending, InitRequest, JoinRequest, NodeRuntime, NodeSettings, NodeView, SwarmNode, SwarmRead};

/// How often an operator looks again before giving up.
const ATTEMPTS: usize = 10;

/// A host of the laboratory and the node on it.
#[derive(Debug)]
pub struct LabNode {
    /// Its host name.
    pub hostname: String,
    /// Its address.
    pub addr: IpAddr,
    /// Runs its tasks.
    pub(super) executor: Arc<dyn Executor>,
    directory: TempDir,
    running: Option<Running>,
    thaw: Option<std_mpsc::Sender<()>>,
}

/// The node while it runs.
#[derive(Debug)]
struct Running {
    node: Arc<dyn SwarmNode>,
    engine: Arc<Engine>,
    api_tls: watch::Receiver<Option<ApiTls>>,
    handle: Handle,
    ending: Ending,
    stop: CancellationToken,
    kill: Option<oneshot::Sender<()>>,
    thread: JoinHandle<()>,
}

impl LabNode {
    /// A bare host.
    ///
    /// # Panics
    /// Where there is no place for temporary directories.
    pub(super) fn new(hostname: String, addr: IpAddr, history: History) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for part in ["data", "run"] {
            fs::create_dir(directory.path().join(part)).expect("a new directory is empty");
        }
        let executor: Arc<dyn Executor> = Arc::new(MachineExecutor(Machine::new(hostname.clone(), history)));
        Self { hostname, addr, executor, directory, running: None, thaw: None }
    }

    /// Where the node keeps its state.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Where the bootstrap file is looked for.
    pub fn run_dir(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// Puts a bootstrap file where the node finds it.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn put_bootstrap(&self, bootstrap: &Bootstrap) {
        let text = serde_json::to_vec(bootstrap).expect("a bootstrap file can be encoded");
        write_private(&self.run_dir().join("bootstrap.json"), &text);
    }

    /// Starts the node.
    ///
    /// # Panics
    /// Where it runs already.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "{} runs already", self.hostname);
        let (report, started) = std_mpsc::channel();
        let (ending, stop) = (Ending::default(), CancellationToken::new());
        let (kill, killed) = oneshot::channel();
        let (hostname, data_dir, run_dir) = (self.hostname.clone(), self.data_dir(), self.run_dir());
        let (told, token, executor) = (ending.clone(), stop.clone(), Arc::clone(&self.executor));
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            let engine = runtime.block_on(engine(&hostname, &data_dir));
            let node = NodeRuntime::new(NodeSettings {
                executor,
                data_dir,
                run_dir,
                hostname,
                engine: Arc::clone(&engine),
                clock: Clock::system(),
                rng: rand::make_rng(),
                raft: RaftSettings::default(),
                // All nodes of a laboratory share one network namespace, which is the machine's own.
                guard: None,
                ending: told,
            });
            let _ = report.send((node.node(), engine, node.api_tls(), runtime.handle().clone()));
            runtime.block_on(async move {
                tokio::select! {
                    ended = node.run(token) => ended.expect("the state of a node of the laboratory is sound"),
                    // Dropped with everything it runs: nothing says farewell, nothing is flushed.
                    _ = killed => {}
                }
            });
        });
        let (node, engine, api_tls, handle) = started.recv().expect("the node's thread tells that it has started");
        self.running = Some(Running { node, engine, api_tls, handle, ending, stop, kill: Some(kill), thread });
    }

    /// Whether the node runs.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Kills the node as SIGKILL would: no farewell, nothing handed over.
    ///
    /// # Panics
    /// Where it does not run, or its thread has panicked.
    pub fn kill(&mut self) {
        self.thaw = None;
        let mut running = self.running.take().expect("only a running node can be killed");
        // An error means that the node has ended by itself, which joining its thread shows.
        let _ = running.kill.take().map(|kill| kill.send(()));
        running.thread.join().expect("the node's thread ends well");
    }

    /// Stops the node until it is started again, as `swarmd service stop` would, and waits for it.
    ///
    /// # Panics
    /// Where it does not run, or its thread has panicked.
    pub fn stop_for_good(&mut self) {
        self.running().ending.stop_for_good();
        self.stop();
    }

    /// Stops the node as SIGTERM would, and waits for it.
    ///
    /// # Panics
    /// Where it does not run, or its thread has panicked.
    pub fn stop(&mut self) {
        self.thaw = None;
        let running = self.running.take().expect("only a running node can be stopped");
        running.stop.cancel();
        running.thread.join().expect("the node's thread ends well");
    }

    /// Freezes the node as SIGSTOP would: its thread stands still, while the kernel keeps its connections open.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn freeze(&mut self) {
        let (thaw, thawed) = std_mpsc::channel::<()>();
        let (report, frozen) = std_mpsc::channel();
        let block = async move {
            let _ = report.send(());
            let _ = thawed.recv();
        };
        // Detached on purpose: it is the node's own thread that stands still in it.
        drop(self.running().handle.spawn(block));
        frozen.recv().expect("the node's thread takes the task up");
        self.thaw = Some(thaw);
    }

    /// Lets a frozen node go on.
    pub fn thaw(&mut self) {
        self.thaw = None;
    }

    /// The node as the Engine API uses it.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn node(&self) -> Arc<dyn SwarmNode> {
        Arc::clone(&self.running().node)
    }

    /// The machine and its events.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.running().engine)
    }

    /// What 2376 serves with.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn api_tls(&self) -> watch::Receiver<Option<ApiTls>> {
        self.running().api_tls.clone()
    }

    /// The node's own view.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn view(&self) -> NodeView {
        self.running().node.view()
    }

    /// The node's id.
    ///
    /// # Panics
    /// Where it is in no swarm.
    pub fn id(&self) -> NodeId {
        self.view().node_id.expect("the node is a member of a swarm")
    }

    /// `docker swarm init` on this node's address.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn init(&self) -> Result<NodeId, SwarmError> {
        self.init_as(InitRequest::default()).await
    }

    /// `docker swarm init --autolock` on this node's address.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn init_locking(&self) -> Result<NodeId, SwarmError> {
        self.init_as(InitRequest { auto_lock_managers: true, ..InitRequest::default() }).await
    }

    async fn init_as(&self, request: InitRequest) -> Result<NodeId, SwarmError> {
        let request = InitRequest {
            listen_addr: Some(format!("{}:2377", self.addr)),
            advertise_addr: Some(self.addr.to_string()),
            ..request
        };
        let node = self.node();
        self.on_its_own_thread(async move { node.init(request).await }).await
    }

    /// `docker swarm init --force-new-cluster` on this node, at another address where one is given.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn begin_anew(&self, addr: Option<IpAddr>) -> Result<NodeId, SwarmError> {
        let request = InitRequest {
            listen_addr: addr.map(|addr| format!("{addr}:2377")),
            advertise_addr: addr.map(|addr| addr.to_string()),
            force_new_cluster: true,
            ..InitRequest::default()
        };
        let node = self.node();
        self.on_its_own_thread(async move { node.init(request).await }).await
    }

    /// `docker swarm join` from this node's address.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn join(&self, remote: IpAddr, token: &str) -> Result<(), SwarmError> {
        let request = JoinRequest {
            listen_addr: Some(format!("{}:2377", self.addr)),
            advertise_addr: Some(self.addr.to_string()),
            remote_addrs: vec![format!("{remote}:2377")],
            join_token: token.to_owned(),
            ..JoinRequest::default()
        };
        let node = self.node();
        self.on_its_own_thread(async move { node.join(request).await }).await
    }

    /// `docker swarm unlock`.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn unlock(&self, key: &Secret) -> Result<(), SwarmError> {
        let (node, key) = (self.node(), key.clone());
        self.on_its_own_thread(async move { node.unlock(&key).await }).await
    }

    /// Whether the keys on this host's disk are locked, as the file says.
    pub fn is_locked_on_disk(&self) -> bool {
        fs::read_to_string(self.data_dir().join("swarm/lock.json")).is_ok_and(|text| text.contains("\"seal\""))
    }

    /// `docker swarm leave`.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn leave(&self, force: bool) -> Result<(), SwarmError> {
        let node = self.node();
        self.on_its_own_thread(async move { node.leave(force).await }).await
    }

    /// A linearizable read through this node.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn read(&self) -> Result<SwarmRead, SwarmError> {
        let node = self.node();
        self.on_its_own_thread(async move { node.manager()?.read().await }).await
    }

    /// A change through this node.
    ///
    /// # Errors
    /// The swarm's refusal.
    pub async fn control(&self, request: ControlRequest) -> Result<ControlResponse, SwarmError> {
        let node = self.node();
        let caller = Caller::Client { name: "laboratory".to_owned() };
        self.on_its_own_thread(async move { node.manager()?.control(caller, request).await }).await
    }

    /// Changes what is wanted of a node, as it stands now; looks again where the swarm changed it in between, as an
    /// operator does.
    ///
    /// # Errors
    /// The swarm's refusal.
    pub async fn update_node(&self, id: &NodeId, change: impl Fn(&mut NodeSpec)) -> Result<(), SwarmError> {
        let mut outcome = Err(SwarmError::out_of_sequence());
        for _ in 0..ATTEMPTS {
            let read = self.read().await?;
            let node: &Node =
                read.nodes.get(id).ok_or_else(|| SwarmError::not_found(format!("node {id} not found")))?;
            let mut spec = node.spec.clone();
            change(&mut spec);
            let request = ControlRequest::UpdateNode { id: id.clone(), version: node.meta.version, spec };
            outcome = self.control(request).await.map(|_| ());
            if outcome != Err(SwarmError::out_of_sequence()) {
                break;
            }
        }
        outcome
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the node runs")
    }

    /// Runs a call where the node runs, so that what the call starts ends with the node.
    pub(super) async fn on_its_own_thread<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, SwarmError>> + Send + 'static,
    ) -> Result<T, SwarmError> {
        match self.running().handle.spawn(call).await {
            Ok(outcome) => outcome,
            Err(ended) => Err(SwarmError::unavailable(ended.to_string())),
        }
    }
}

impl Drop for LabNode {
    fn drop(&mut self) {
        if self.is_running() && !std::thread::panicking() {
            self.kill();
        }
    }
}

async fn engine(hostname: &str, data_dir: &Path) -> Arc<Engine> {
    let settings = EngineSettings {
        hostname: hostname.to_owned(),
        labels: BTreeMap::new(),
        data_dir: data_dir.to_owned(),
        run_dir: data_dir.join("engine-run"),
        lease: None,
        insecure_registries: Vec::new(),
    };
    let mut rng: StdRng = rand::make_rng();
    Arc::new(Engine::open(settings, &mut rng).await.expect("an engine can be opened in an empty directory"))
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).expect("a file can be made");
    file.write_all(bytes).expect("a file can be written");
}
