//! A fake of Azure Resource Manager and of the authority beside it, for tests: what a driver asks of Azure, with its state.
//!
//! ```text
//!   driver ── https://127.0.0.1:PORT ──> serve (faults, latency, log) ──> dispatch ──> world (what exists, and when)
//!   machine ── http ─────────────────────────────┘                 └────> metadata ────────┘
//! ```
//! It is written from Microsoft's documents and published schemas, not from a driver, and proves nothing about the real
//! Azure: neither its quotas nor its capacity, and of its order only what the documents say. What it refuses: unknown
//! fields, parameters and versions of the API; requests for or about what does not exist; a machine whose network is
//! not made yet; deleting what is in use; asking after an operation before `Retry-After`; tokens that are not good.
//! Where the real one overlooks a mistake (a misspelt parameter), this one refuses it, so that a test sees it.

#![forbid(unsafe_code)]

mod answer;
mod authority;
mod bodies;
mod books;
mod dispatch;
mod fault;
mod groups;
mod identities;
mod judgment;
mod lists;
mod log;
mod machines;
mod metadata;
mod network;
mod oracle;
mod route;
mod rules;
mod serve;
mod settings;
mod view;
mod world;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use books::{Machine, MachineState};
pub use fault::{Fault, How, Shortage, ShortageHow};
pub use log::Logged;
pub use oracle::{Verdict, judge};
pub use settings::{Rates, Settings};

use fault::Faults;
use log::Log;
use serve::{Shared, lock};
use world::{Progress, World};

/// A fake that runs until it is dropped.
#[derive(Debug)]
pub struct FakeAzure {
    shared: Arc<Shared>,
    address: SocketAddr,
    metadata: Option<SocketAddr>,
    folder: tempfile::TempDir,
    cancel: CancellationToken,
    held: watch::Receiver<usize>,
    thread: Option<JoinHandle<()>>,
}

impl FakeAzure {
    /// Starts a fake, on loopback unless the settings say otherwise, with a certificate of its own.
    ///
    /// # Errors
    /// The port is taken, or the log cannot be written.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let (listener, address) = listen(SocketAddr::new(settings.address, settings.port))?;
        let metadata = settings.metadata.map(listen).transpose()?;
        let metadata_address = metadata.as_ref().map(|(_, address)| *address);
        let folder = tempfile::tempdir()?;
        let tls = make_certificate(folder.path(), settings.address)?;
        let authority = format!("https://{address}");
        let (held, held_seen) = watch::channel(0);
        let shared = Arc::new(Shared {
            log: Mutex::new(Log::open(settings.log_file.as_deref())?),
            world: Mutex::new(World::new(settings, authority.clone())),
            faults: Mutex::new(Faults::default()),
            held,
            authority,
        });
        let cancel = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = {
            let (shared, cancel) = (Arc::clone(&shared), cancel.clone());
            move || {
                runtime.block_on(async move {
                    let Ok(listener) = TcpListener::from_std(listener) else { return };
                    let serving = serve::serve(listener, Some(tls), Arc::clone(&shared), cancel.clone());
                    let metadata = metadata.and_then(|(listener, _)| TcpListener::from_std(listener).ok());
                    match metadata {
                        None => serving.await,
                        Some(listener) => {
                            tokio::join!(serving, serve::serve(listener, None, shared, cancel));
                        }
                    }
                });
            }
        };
        // A thread and runtime of its own: the clock of the test may be paused.
        let thread = Some(std::thread::Builder::new().name("fake-azure".to_owned()).spawn(serving)?);
        Ok(Self { shared, address, metadata: metadata_address, folder, cancel, held: held_seen, thread })
    }

    /// Where Azure Resource Manager is: `AZURE_RESOURCE_MANAGER_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where the authority is: `AZURE_AUTHORITY_HOST`.
    pub fn authority(&self) -> String {
        self.endpoint()
    }

    /// Where the machines' metadata service is, if there is one.
    pub fn metadata(&self) -> Option<SocketAddr> {
        self.metadata
    }

    /// The certificate to trust: `SSL_CERT_FILE`.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.path().join(CERTIFICATE)
    }

    /// What a program needs in its environment to find this fake and to sign in.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let settings = self.settings();
        vec![
            ("AZURE_AUTHORITY_HOST", self.authority()),
            ("AZURE_RESOURCE_MANAGER_ENDPOINT", self.endpoint()),
            ("SSL_CERT_FILE", self.certificate_file().display().to_string()),
            ("AZURE_SUBSCRIPTION_ID", settings.subscription),
            ("AZURE_TENANT_ID", settings.tenant),
            ("AZURE_CLIENT_ID", settings.client),
            ("AZURE_CLIENT_SECRET", settings.secret),
        ]
    }

    /// How it behaves.
    pub fn settings(&self) -> Settings {
        lock(&self.shared.world).settings.clone()
    }

    /// Changes how it behaves from the next request on.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.shared.world).settings);
    }

    /// What was asked, in order.
    pub fn requests(&self) -> Vec<Logged> {
        lock(&self.shared.log).entries()
    }

    /// Forgets what was asked until now; a file of the log keeps it.
    pub fn forget_requests(&self) {
        lock(&self.shared.log).clear();
    }

    /// Sets a fault beside those that are set.
    pub fn set_fault(&self, fault: Fault) {
        lock(&self.shared.faults).add(fault);
    }

    /// Takes all faults back, and lets failures of machines and shortages end.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
        let mut world = lock(&self.shared.world);
        world.failing.clear();
        world.shortages.clear();
    }

    /// Lets a size be short from now on.
    pub fn set_shortage(&self, shortage: Shortage) {
        lock(&self.shared.world).shortages.push(shortage);
    }

    /// Lets the provisioning of the next so many machines of this name fail with a code.
    pub fn fail_provisioning(&self, name: &str, code: &'static str, times: u32) {
        lock(&self.shared.world).failing.insert(name.to_owned(), (code, times));
    }

    /// Takes a machine away, as somebody else would, or a spot machine's eviction.
    pub fn take_machine_away(&self, name: &str) {
        let mut world = lock(&self.shared.world);
        world.settle(Instant::now());
        for item in world.items.values_mut().filter(|item| item.name == name) {
            if item.what.machine().is_some() {
                item.progress = Progress::Deleting { until: Instant::now() };
            }
        }
        world.settle(Instant::now());
    }

    /// Makes every token that was given out useless.
    pub fn expire_tokens(&self) {
        let now = Instant::now();
        for (until, _) in lock(&self.shared.world).tokens.values_mut() {
            *until = now;
        }
    }

    /// Waits until a request is being held; whether one was within the time.
    pub async fn held(&self, patience: Duration) -> bool {
        let mut held = self.held.clone();
        let waiting = held.wait_for(|count| *count > 0);
        matches!(tokio::time::timeout(patience, waiting).await, Ok(Ok(_)))
    }

    /// Whether a request is being held.
    pub fn is_holding(&self) -> bool {
        *self.held.borrow() > 0
    }

    /// Forgets that requests were held; they stay unanswered.
    pub fn forget_held(&self) {
        self.shared.held.send_modify(|held| *held = 0);
    }
}

impl Drop for FakeAzure {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            // It has panicked where this fails, which its connections have shown already.
            let _ = thread.join();
        }
    }
}

/// The certificate's file in the fake's own folder.
const CERTIFICATE: &str = "certificate.pem";

fn listen(address: SocketAddr) -> io::Result<(std::net::TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn make_certificate(folder: &Path, address: IpAddr) -> io::Result<TlsAcceptor> {
    let names = vec![address.to_string(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    fs::write(folder.join(CERTIFICATE), made.cert.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
