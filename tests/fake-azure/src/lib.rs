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

use std::collections::BTreeMap;
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

pub use fault::{Fault, How, Shortage, ShortageHow};
pub use log::Logged;
pub use oracle::{Verdict, judge};
pub use settings::{Rates, Settings};

use fault::Faults;
use log::Log;
use serve::{Shared, lock};
use world::{Item, Progress, World};

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

/// A machine that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its resource group.
    pub group: String,
    /// Its size.
    pub size: String,
    /// Its zone, where it has one.
    pub zone: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its address in the subnet.
    pub private_address: Option<IpAddr>,
    /// Its public address.
    pub public_address: Option<IpAddr>,
    /// The user data that it was given, decoded.
    pub custom_data: Option<String>,
    /// The user that may log in.
    pub admin_user: String,
    /// The key with which that user logs in.
    pub ssh_public_key: String,
    /// Whether it is a spot machine.
    pub is_spot: bool,
    /// The names of the identities that it is lent.
    pub identities: Vec<String>,
    /// What it is doing.
    pub state: MachineState,
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineState {
    /// On its way up.
    Booting,
    /// Up.
    Running,
    /// Down, and not charged.
    Deallocated,
    /// Never came up.
    Failed,
    /// On its way out.
    Deleting,
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

    /// The machines that exist, by group and name.
    pub fn machines(&self) -> Vec<Machine> {
        let mut world = lock(&self.shared.world);
        let now = Instant::now();
        world.settle(now);
        let machines = world.items.iter().filter_map(|(key, item)| Some((key, item, item.what.machine()?)));
        machines
            .map(|(key, item, record)| {
                let interface = world.items.get(&record.interface).and_then(|item| item.what.interface());
                let address = interface.and_then(|interface| world.items.get(interface.address.as_ref()?));
                let own = &record.properties;
                Machine {
                    id: world.id(key),
                    name: item.name.clone(),
                    group: item.group.clone(),
                    size: own.hardware_profile.vm_size.clone(),
                    zone: item.zones.first().cloned(),
                    tags: item.tags.clone(),
                    private_address: interface.map(|interface| interface.private),
                    public_address: address.and_then(|item| item.what.address()).map(|address| address.public),
                    custom_data: World::custom_data(record),
                    admin_user: own.os_profile.admin_username.clone(),
                    ssh_public_key: own
                        .os_profile
                        .linux_configuration
                        .ssh
                        .public_keys
                        .first()
                        .map(|key| key.key_data.clone())
                        .unwrap_or_default(),
                    identities: record.lent.iter().map(|key| key.name.clone()).collect(),
                    is_spot: own.priority.as_deref() == Some("Spot"),
                    state: state_of(item, record, now),
                }
            })
            .collect()
    }

    /// The ids of all resources, assignments of roles and resource groups that exist.
    pub fn resources(&self) -> Vec<String> {
        let mut world = lock(&self.shared.world);
        world.settle(Instant::now());
        let groups = world.groups.values().map(|group| format!("/resourceGroups/{}", group.name));
        let items = world.items.keys().map(|key| world.id(key));
        let assignments = world.assignments.keys().map(|key| world.assignment_id(key));
        groups.chain(items).chain(assignments).collect()
    }

    /// The tags of a resource or resource group that exists.
    pub fn tags(&self, id: &str) -> Option<BTreeMap<String, String>> {
        let world = lock(&self.shared.world);
        let group = world.groups.values().find(|group| format!("/resourceGroups/{}", group.name) == id);
        let item = || world.items.iter().find(|(key, _)| world.id(key) == id);
        group.map(|group| group.tags.clone()).or_else(|| item().map(|(_, item)| item.tags.clone()))
    }

    /// Gives a resource other tags, as somebody else could; whether it exists.
    pub fn set_tags(&self, id: &str, tags: BTreeMap<String, String>) -> bool {
        let mut world = lock(&self.shared.world);
        let key = world.items.keys().find(|key| world.id(key) == id).cloned();
        let item = key.and_then(|key| world.items.get_mut(&key));
        item.map(|item| item.tags = tags).is_some()
    }

    /// Makes a resource group without tags, as somebody else would.
    pub fn make_group(&self, name: &str) {
        let group = world::Group {
            name: name.to_owned(),
            location: "eastus2".to_owned(),
            tags: BTreeMap::new(),
            gone_at: None,
        };
        lock(&self.shared.world).groups.insert(name.to_lowercase(), group);
    }

    /// Makes a network with one subnet in a resource group of its own, as somebody else would; the subnet's id.
    ///
    /// # Panics
    /// Where the prefix is none.
    pub fn make_network(&self, name: &str, prefix: &str) -> String {
        self.make_group(name);
        let body = serde_json::json!({
            "location": "eastus2",
            "properties": {
                "addressSpace": { "addressPrefixes": [prefix] },
                "subnets": [{ "name": "shared", "properties": { "addressPrefix": prefix } }],
            },
        });
        let mut world = lock(&self.shared.world);
        assert!(world.put_network(name, name, body.to_string().as_bytes()).is_ok(), "a test names a prefix");
        format!("{}/subnets/shared", world.id(&world::Key::new(name, route::Kind::Network, name)))
    }

    /// The rules of all security groups, in Azure's words: `{"name", "properties"}`.
    pub fn security_rules(&self) -> Vec<serde_json::Value> {
        let world = lock(&self.shared.world);
        let groups = world.items.values().filter_map(|item| {
            let world::What::SecurityGroup { rules } = &item.what else { return None };
            Some(serde_json::json!(rules))
        });
        groups.flat_map(|rules| rules.as_array().cloned().unwrap_or_default()).collect()
    }

    /// Whether a packet from an address gets in to a machine (`Tcp`, `Udp`, `Esp`).
    pub fn lets_in(&self, machine: &Machine, from: IpAddr, protocol: &str, port: Option<u16>) -> bool {
        let world = lock(&self.shared.world);
        let key = world::Key::new(&machine.group, route::Kind::Machine, &machine.name);
        world.lets_in(&key, from, protocol, port)
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

fn state_of(item: &Item, record: &machines::MachineRecord, now: Instant) -> MachineState {
    match item.progress {
        Progress::Failed { .. } => MachineState::Failed,
        Progress::Deleting { .. } => MachineState::Deleting,
        _ if record.is_deallocated => MachineState::Deallocated,
        _ if record.boots_at > now => MachineState::Booting,
        Progress::Running { .. } | Progress::Succeeded => MachineState::Running,
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
