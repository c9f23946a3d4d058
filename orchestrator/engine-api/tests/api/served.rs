//! A served API on a socket in a temporary folder, and a plain HTTP client for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::body::Body;
use engine::{Engine, EngineSettings};
use engine_api::{ApiServer, UnixSocket};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use node::SwarmNode;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long anything here may take before it counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What containers' shims are: this program is the test runner's, and cannot be.
const SHIM: &str = env!("CARGO_BIN_EXE_engine-api-shim");

/// A served API; it ends with this.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) engine: Arc<Engine>,
    pub(crate) server: ApiServer,
    /// Goes before the folders do.
    _containers: Remains,
    pub(crate) folder: TempDir,
    /// Sockets lie there, whose paths must be short.
    _run: TempDir,
    pub(crate) cancel: CancellationToken,
    /// The servers; whoever wants to see them end takes them.
    pub(crate) tasks: JoinSet<()>,
}

/// What an engine leaves on the machine: containers, their mounts, their control groups. They go with this.
#[derive(Debug)]
struct Remains {
    data_dir: PathBuf,
    run_dir: PathBuf,
}

impl Drop for Remains {
    fn drop(&mut self) {
        let (data_dir, run_dir) = (self.data_dir.clone(), self.run_dir.clone());
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(engine::remove_containers(&data_dir, &run_dir)).unwrap();
        });
        let outcome = removal.join();
        assert!(outcome.is_ok() || std::thread::panicking(), "containers of a test stay on the machine");
    }
}

/// Another one for each engine that is there at a time: from it follows the engine's id, and from that the place of its
/// control groups.
fn seed() -> u64 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    u64::from(std::process::id()) << 16 | u64::from(COUNT.fetch_add(1, Ordering::Relaxed))
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Served {
    /// Serves the API of a node on a socket.
    pub(crate) async fn start(node: Arc<dyn SwarmNode>) -> Self {
        Self::leased(node, None).await
    }

    /// Serves the API of a node that stays this long after each renewal of its swarm's lease.
    pub(crate) async fn leased(node: Arc<dyn SwarmNode>, lease: Option<Duration>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run = tempfile::Builder::new().prefix("api-test-").tempdir_in("/run").unwrap();
        let settings = EngineSettings {
            hostname: "node-1".to_owned(),
            labels: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
            data_dir: folder.path().to_owned(),
            run_dir: run.path().to_owned(),
            lease,
            insecure_registries: Vec::new(),
        };
        let engine = Engine::with_shim(settings, Path::new(SHIM), &mut StdRng::seed_from_u64(seed())).await.unwrap();
        let engine = Arc::new(engine);
        let server = ApiServer::new(node, Arc::clone(&engine));
        let socket = UnixSocket::bind(&folder.path().join("api.sock")).await.unwrap();
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (serving, until) = (server.clone(), cancel.clone());
        tasks.spawn(async move { serving.serve_unix(socket, until).await.unwrap() });
        let containers = Remains { data_dir: folder.path().to_owned(), run_dir: run.path().to_owned() };
        Self { engine, server, _containers: containers, folder, _run: run, cancel, tasks }
    }

    /// Where the socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    /// Sends a request without a body.
    pub(crate) async fn send(&self, method: &str, path: &str) -> Answer {
        self.request(request(method, path, Body::empty())).await
    }

    /// Sends a JSON document.
    pub(crate) async fn post(&self, path: &str, document: &Value) -> Answer {
        let mut request = request("POST", path, Body::from(document.to_string()));
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        self.request(request).await
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn request(&self, request: Request<Body>) -> Answer {
        let (answer, _connection) = open(&self.socket(), request).await;
        let (parts, body) = answer.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the answer hangs").unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}

impl Answer {
    /// The document in the body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The status and Docker's message.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let message = self.json()["message"].as_str().expect("a refusal has a message").to_owned();
        (self.status.as_u16(), message)
    }
}

/// A request as simple clients send it: no `Content-Type`.
pub(crate) fn request(method: &str, path: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(path).header("host", "docker").body(body).unwrap()
}

/// Sends a request and returns when the head of the answer is there. The connection lives as long as its tasks.
pub(crate) async fn open(socket: &Path, request: Request<Body>) -> (http::Response<Incoming>, JoinSet<()>) {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // A server that ends first is what some tests want to see.
        let _ = connection.await;
    });
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("no answer comes");
    (answer.unwrap(), tasks)
}
