//! What every phase works with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::reach::{Dialer, Session};
use driver::{Access, Backoff, ClusterRequest, Driver, DriverError, Instance};
use rand::SeedableRng as _;
use rand::rand_core::UnwrapErr;
use rand::rngs::{StdRng, SysRng};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::PhaseError;
use crate::cluster::hostname;
use crate::engine::{Engine, Host, Swarm};
use crate::home::Home;
use crate::identity::{Identity, SSH_KEY_FILE};
use crate::journal::{Journal, Ledger, Step};
use crate::output::Progress;

/// How long a call to the provider that is going on may still take once the user asked to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long a machine that was just made may take to answer, where nothing is said about it.
const BOOT_TIMEOUT: Duration = Duration::from_mins(5);

/// What every phase works with.
#[derive(Debug)]
pub struct Context {
    /// Where everything is kept.
    pub home: Home,
    /// The journal.
    pub ledger: Arc<Ledger>,
    /// The provider.
    pub driver: Arc<dyn Driver>,
    /// What is installed.
    pub engine: Arc<dyn Engine>,
    /// How machines are reached.
    pub dialer: Dialer,
    /// Where the user sees what is going on.
    pub progress: Arc<Progress>,
    /// Cancelled once the user asks to stop.
    pub stop: CancellationToken,
    /// Whether the provider is asked once only: the user has said that what does not answer is lost.
    asks_once: AtomicBool,
    /// How long a machine that was just made may take to answer, where the user has said so.
    boot_timeout: OnceLock<Duration>,
    identity: OnceLock<Identity>,
    /// Raised whenever a machine's address becomes known.
    addresses_known: watch::Sender<u64>,
}

impl Context {
    /// Puts together what one command works with.
    pub fn new(
        home: Home,
        ledger: Arc<Ledger>,
        driver: Arc<dyn Driver>,
        engine: Arc<dyn Engine>,
        dialer: Dialer,
        progress: Arc<Progress>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            home,
            ledger,
            driver,
            engine,
            dialer,
            progress,
            stop,
            asks_once: AtomicBool::new(false),
            boot_timeout: OnceLock::new(),
            identity: OnceLock::new(),
            addresses_known: watch::Sender::new(0),
        }
    }

    /// The same, deaf to the interruption that has been: for cleaning up after it.
    #[must_use]
    pub fn after_interruption(&self) -> Self {
        Self {
            home: self.home.clone(),
            ledger: Arc::clone(&self.ledger),
            driver: Arc::clone(&self.driver),
            engine: Arc::clone(&self.engine),
            dialer: self.dialer.clone(),
            progress: Arc::clone(&self.progress),
            stop: CancellationToken::new(),
            asks_once: AtomicBool::new(self.asks_once.load(Ordering::Relaxed)),
            boot_timeout: self.boot_timeout.clone(),
            identity: OnceLock::new(),
            addresses_known: watch::Sender::new(0),
        }
    }

    /// The journal as it is now.
    pub fn journal(&self) -> Arc<Journal> {
        self.ledger.journal()
    }

    /// What the cluster asks of its provider.
    pub fn request(&self) -> ClusterRequest {
        self.journal().request()
    }

    /// The swarm, by way of its managers.
    pub fn swarm(&self) -> Result<Box<dyn Swarm>, PhaseError> {
        Ok(self.engine.swarm(&self.journal(), self.ledger.folder())?)
    }

    /// Keeps the identity of a new swarm at hand.
    pub(super) fn set_identity(&self, identity: Identity) {
        self.identity.get_or_init(|| identity);
    }

    /// The identity of a swarm that is not formed yet.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// Notes what the provider made, and tells those who wait for addresses.
    pub fn note_instance(&self, number: u32, instance: &Instance) {
        self.ledger.note(|journal| {
            if let Some(machine) = journal.machines.get_mut(&number) {
                // The pinned host key is ours; a driver that only creates machines does not know it.
                let mut instance = with_pinned_key(instance.clone(), machine.instance.as_ref());
                if let (Some(Access::Ssh(ssh)), Some(own)) = (&mut instance.access, &machine.own_host_key) {
                    ssh.host_key = Some(own.clone());
                }
                machine.instance = Some(instance);
            }
        });
        self.addresses_known.send_modify(|count| *count += 1);
    }

    /// Waits until the addresses of all machines are known.
    pub(super) async fn all_addresses(&self) -> BTreeMap<u32, IpAddr> {
        let mut changes = self.addresses_known.subscribe();
        loop {
            if let Some(addresses) = known_addresses(&self.journal()) {
                return addresses;
            }
            changes.changed().await.expect("the sender lives in this context");
        }
    }

    /// Asks the provider once only from here on, whatever it answers.
    pub(super) fn ask_once(&self) {
        self.asks_once.store(true, Ordering::Relaxed);
    }

    /// Says how long a machine that was just made may take to answer; the first to say so counts.
    pub fn expect_boot_within(&self, timeout: Duration) {
        self.boot_timeout.get_or_init(|| timeout);
    }

    /// How long a machine that was just made may take to answer.
    pub(super) fn boot_timeout(&self) -> Duration {
        self.boot_timeout.get().copied().unwrap_or(BOOT_TIMEOUT)
    }

    /// Waits for a call, but no longer than a grace period once the user asked to stop.
    pub(super) async fn in_grace<T>(&self, call: impl Future<Output = T>) -> Result<T, PhaseError> {
        tokio::select! {
            done = call => Ok(done),
            () = self.grace_is_over() => Err(PhaseError::Interrupted),
        }
    }

    /// Calls the provider, again where trying again may help.
    pub(super) async fn call<T, F>(&self, action: &str, call: impl FnMut() -> F) -> Result<T, PhaseError>
    where
        F: Future<Output = Result<T, DriverError>>,
    {
        let mut rng = StdRng::from_rng(&mut UnwrapErr(SysRng));
        let mut backoff = Backoff::default();
        if self.asks_once.load(Ordering::Relaxed) {
            backoff.attempts = 1;
        }
        let done = self.in_grace(driver::retry(&backoff, &mut rng, call)).await?;
        done.map_err(|source| PhaseError::Driver { action: action.to_owned(), source })
    }

    /// Waits for something that may be dropped at any point, until the user asks to stop.
    pub(super) async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, PhaseError> {
        tokio::select! {
            done = wait => Ok(done),
            () = self.stop.cancelled() => Err(PhaseError::Interrupted),
        }
    }

    async fn grace_is_over(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    /// A session with a machine: the one that is open, else a new one. It ends with this command.
    pub async fn dial(&self, number: u32, instance: &Instance) -> Result<Arc<dyn Session>, PhaseError> {
        let access = instance.access.as_ref().ok_or(PhaseError::Incomplete { what: "way in" })?;
        let access = self.with_cluster_key(access.clone());
        let name = self.journal().spec.machine_name(number);
        Ok(self.dialer.dial(&name, &access).await?)
    }

    /// Lends the cluster's own key to an access that names none: the folder may have moved, so no path is kept.
    fn with_cluster_key(&self, mut access: Access) -> Access {
        if let Access::Ssh(ssh) = &mut access
            && ssh.key_file.is_none()
        {
            ssh.key_file = Some(self.ledger.folder().join(SSH_KEY_FILE)).filter(|path| path.exists());
        }
        access
    }
}

/// What an engine needs to know of a host.
pub(super) fn host<'a>(
    journal: &'a Journal,
    number: u32,
    hostname: &'a str,
    instance: &'a Instance,
    session: &'a dyn Session,
) -> Result<Host<'a>, PhaseError> {
    Ok(Host {
        session,
        mark: &journal.id.0,
        cluster_name: &journal.spec.name,
        hostname,
        address: instance.private_address.ok_or(PhaseError::Incomplete { what: "address" })?,
        known_as: journal.machines.get(&number).and_then(|machine| machine.node_id.as_ref()),
        arch: instance.arch.as_deref(),
        has_agent: matches!(instance.access, Some(Access::Namespace { .. })),
        lease: journal.lease.map(|lease| lease.terms),
    })
}

/// The addresses of all machines that are to stay, once every one is known.
fn known_addresses(journal: &Journal) -> Option<BTreeMap<u32, IpAddr>> {
    let staying = journal.machines.iter().filter(|(_, machine)| machine.step != Step::Leaving);
    staying.map(|(number, machine)| Some((*number, machine.instance.as_ref()?.private_address?))).collect()
}

fn with_pinned_key(mut instance: Instance, previous: Option<&Instance>) -> Instance {
    let pinned = match previous.and_then(|previous| previous.access.as_ref()) {
        Some(Access::Ssh(ssh)) => ssh.host_key.clone(),
        Some(Access::Namespace { .. } | Access::Memory) | None => None,
    };
    if let Some(Access::Ssh(ssh)) = &mut instance.access
        && ssh.host_key.is_none()
    {
        ssh.host_key = pinned;
    }
    instance
}

/// The name that a machine goes by in progress lines.
pub(super) fn line_name(number: u32) -> String {
    hostname(number)
}
