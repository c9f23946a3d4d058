//! A Compute Engine of our own, for tests: the part of its v1 REST interface that the driver uses, with state.
//!
//! ```text
//!   request ──> log ──> faults ──> token? ──> route ──> shape ──> state ──> operation: PENDING, RUNNING, DONE
//! ```
//! It is written from Google's discovery document, before and apart from the driver. It refuses what the document does
//! not know, what does not exist, what is there already and what is not ready yet; its operations take time, fail
//! inside, and take back what they made. It proves nothing about quota, capacity or order at the real provider.
//!
//! Its clock is the workstation's, and can be advanced. It listens without TLS, and on loopback where nothing else is said.

#![forbid(unsafe_code)]

mod answer;
mod catalog;
mod clock;
mod fault;
mod firewalls;
mod instances;
mod listing;
mod metadata;
mod networks;
mod operations;
mod oracle;
mod permissions;
mod power;
mod rates;
mod routes;
mod server;
mod settings;
mod shape;
mod shapes;
mod state;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use fault::{Fault, FaultKind};
pub use oracle::judge;
pub use rates::Rates;
pub use settings::{NetworkSetting, Settings};
pub use state::Machine;

use server::{Server, Side};

/// A running fake; it ends when it is dropped.
#[derive(Debug)]
pub struct FakeGcp {
    address: SocketAddr,
    metadata_server: Option<SocketAddr>,
    server: Arc<Server>,
    _tasks: JoinSet<()>,
}

impl FakeGcp {
    /// Starts a fake.
    ///
    /// # Errors
    /// It cannot listen, or the log cannot be written.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind((settings.address, settings.port)).await?;
        let address = listener.local_addr()?;
        let metadata = settings.metadata_server;
        let server = Arc::new(Server::new(settings, address)?);
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(listener, Arc::clone(&server), Side::Users));
        let mut metadata_server = None;
        if let Some(address) = metadata {
            let listener = TcpListener::bind(address).await?;
            metadata_server = Some(listener.local_addr()?);
            tasks.spawn(server::serve(listener, Arc::clone(&server), Side::Instances));
        }
        Ok(Self { address, metadata_server, server, _tasks: tasks })
    }

    /// Where it is reached: what `CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE` is set to.
    pub fn endpoint(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Where instances ask for their metadata, if they can.
    pub fn metadata_server(&self) -> Option<SocketAddr> {
        self.metadata_server
    }

    /// The credentials of a user whose tokens this fake gives out, as the file that `GOOGLE_APPLICATION_CREDENTIALS`
    /// names.
    pub fn credentials(&self) -> Value {
        json!({
            "type": "authorized_user",
            "client_id": "fake",
            "client_secret": "fake",
            "refresh_token": "fake",
            "token_uri": format!("http://{}/token", self.address),
        })
    }

    /// Writes [`credentials`](Self::credentials) into a folder; the file's path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_credentials(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join("fake-gcp-credentials.json");
        std::fs::write(&path, self.credentials().to_string())?;
        Ok(path)
    }

    /// Every request so far, in the order of arrival: `{"method", "url", "headers", "body", "kind", "bucket", "status",
    /// "at"}`; those that were never answered have the status 0, and `at` is when one was answered, in seconds since 1970.
    /// Requests for tokens are not among them.
    pub fn requests(&self) -> Vec<Value> {
        self.server.requests()
    }

    /// Forgets the requests so far; the log on disk keeps them.
    pub fn forget_requests(&self) {
        self.server.forget_requests();
    }

    /// Adds faults to those that wait for their request.
    pub fn fault(&self, fault: Fault) {
        self.server.fault(fault);
    }

    /// Takes all faults away.
    pub fn forget_faults(&self) {
        self.server.forget_faults();
    }

    /// How many requests are held by a fault at the moment.
    pub fn held(&self) -> usize {
        self.server.held()
    }

    /// The instances that exist now.
    pub fn machines(&self) -> Vec<Machine> {
        self.server.with_state(|state| state.machines())
    }

    /// Everything that somebody made and nobody removed: `instances/x`, `firewalls/y`. Networks of the settings are not
    /// in it.
    pub fn holdings(&self) -> Vec<String> {
        self.server.with_state(|state| state.holdings())
    }

    /// The firewall rules that exist now, as they were written.
    pub fn firewalls(&self) -> Vec<Value> {
        self.server
            .with_state(|state| state.firewalls.values().map(|firewall| Value::Object(firewall.body.clone())).collect())
    }

    /// Makes a firewall rule as another client would, at once.
    ///
    /// # Panics
    /// Where the fake refuses it.
    pub fn insert_firewall(&self, body: &Value) {
        self.server.with_state(|state| state.insert_firewall_at_once(body));
    }

    /// Has every operation that begins from now on take this long.
    pub fn slow_down(&self, operation: Duration) {
        self.server.with_state(|state| state.settings.operation = operation);
    }

    /// Makes instances as another client would, at once; `body` is that of `instances.bulkInsert`.
    ///
    /// # Panics
    /// Where the fake refuses them.
    pub fn insert(&self, zone: &str, body: &Value) {
        self.server.with_state(|state| state.insert_at_once(zone, body));
    }

    /// Removes an instance as if its host had died for good.
    pub fn vanish(&self, name: &str) {
        self.server.with_state(|state| state.vanish(name));
    }

    /// Refuses all tokens given out so far.
    pub fn expire_tokens(&self) {
        self.server.expire_tokens();
    }

    /// Moves the fake's clock ahead.
    pub fn advance(&self, by: Duration) {
        self.server.advance(by);
    }
}
