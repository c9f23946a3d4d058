//! A cloud in a namespace of its own: an emulator that keeps the books, and hosts that follow them.
//!
//! ```text
//!   swarmup ── the provider's API ──> emulator: books ──┐
//!      └────── SSH ──> hosts  <── boots and ends them ──┘
//! ```
//! All of it is on the hosts' network, where the operator sits too; nothing of it touches the machine's own.

#![expect(clippy::unwrap_used, reason = "for tests: what fails here fails the test")]

mod aws;
mod azure;
mod buckets;
mod gcp;
mod hosts;

pub use aws::Ec2;
pub use azure::Azure;
pub use buckets::{Buckets, Rates};
pub use gcp::Gcp;
pub use hosts::{CloudHosts, CloudInstance, USER};

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::Hosts;
use crate::run::{PATIENCE, Run};

/// How often the hosts look at the books.
const LOOK: Duration = Duration::from_millis(50);
/// Where the operator comes from, as the machines see it.
pub const OPERATOR: &str = "10.77.1.254/32";
/// The operator's address, where machines reach an emulator.
const OPERATOR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 254);
/// Where machines ask for their metadata, at every cloud.
const METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// Tells which instances there are, asked where the operator sits; nothing once the emulator has ended.
pub type Books = Box<dyn FnMut() -> Option<Vec<CloudInstance>> + Send>;

/// Tells an emulator that an instance has powered itself off.
pub type PowerOff = Box<dyn FnMut(&str) + Send>;

/// A cloud, and the workstation of whoever uses it.
#[derive(Debug)]
pub struct Cloud {
    hosts: Arc<Mutex<CloudHosts>>,
    /// A process in the namespace of the operator.
    operator: u32,
    scratch: tempfile::TempDir,
    environment: Vec<(String, String)>,
    is_over: Arc<AtomicBool>,
    /// No instance boots that has not before.
    is_dark: Arc<AtomicBool>,
    following: Option<JoinHandle<()>>,
}

impl Cloud {
    /// A cloud without an emulator: nothing follows anything yet.
    ///
    /// # Panics
    /// As [`CloudHosts::start`] fails.
    #[expect(clippy::new_without_default, reason = "it makes namespaces")]
    pub fn new() -> Self {
        let hosts = CloudHosts::start().unwrap();
        let operator = hosts.hosts().operator_pid();
        Self {
            hosts: Arc::new(Mutex::new(hosts)),
            operator,
            scratch: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
            is_over: Arc::default(),
            is_dark: Arc::default(),
            following: None,
        }
    }

    /// Lets the hosts follow an emulator's books from now on, and tells it of those that power themselves off.
    pub fn follow(&mut self, mut books: Books, mut power_off: PowerOff) {
        let (hosts, is_over) = (Arc::clone(&self.hosts), Arc::clone(&self.is_over));
        let is_dark = Arc::clone(&self.is_dark);
        let enter = self.enter_operator();
        let follow = move || {
            enter();
            while !is_over.load(Ordering::Relaxed) {
                let Some(mut instances) = books() else { return };
                if is_dark.load(Ordering::Relaxed) {
                    let hosts = lock(&hosts);
                    instances.retain(|instance| hosts.booted().contains_key(&instance.id));
                }
                let ended = lock(&hosts).follow(&instances).unwrap();
                for id in &ended {
                    power_off(id);
                }
                std::thread::park_timeout(LOOK);
            }
        };
        self.following = Some(std::thread::spawn(follow));
    }

    /// Lets instances run from now on whose hosts never boot, or boots all of them again.
    pub fn keep_dark(&self, is_dark: bool) {
        self.is_dark.store(is_dark, Ordering::Relaxed);
    }

    /// Gives the operator's end of the network the address at which machines ask for their metadata.
    ///
    /// # Panics
    /// Where the kernel refuses.
    fn take_metadata_address(&self) {
        let address = format!("{}/32", METADATA.ip());
        let taken = self.operator("ip").args(["address", "add", &address, "dev", "br0"]).status().unwrap();
        assert!(taken.success(), "the operator's bridge takes no second address");
    }

    /// Runs what a machine runs at its end, as root, and says whether it has come to powering off. The host has no systemd:
    /// what it calls by the name of `systemctl` writes down that it was called.
    ///
    /// # Panics
    /// Where there is no host of that address, or the script fails.
    pub fn end_machine(&self, address: IpAddr, environment: &[(&str, &str)]) -> bool {
        const POWER: &str = "/usr/local/sbin/systemctl";
        let script = format!(
            "printf '#!/bin/sh\\necho $* >/root/power\\n' >{POWER} && chmod 755 {POWER} && /usr/local/sbin/swarmup-end >&2"
        );
        self.with_hosts(|hosts| {
            let host = hosts.hosts().all().iter().find(|host| host.address() == address).unwrap();
            let mut command = host.command("sh").unwrap();
            let output = command.args(["-c", &script]).envs(environment.iter().copied()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            host.read_file("/root/power").is_ok_and(|called| called.trim() == "poweroff")
        })
    }

    /// Gives `swarmup` another variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// A process where the operator sits.
    pub fn operator_pid(&self) -> u32 {
        self.operator
    }

    /// Moves whichever thread calls it to where the operator sits, for good.
    ///
    /// # Panics
    /// Where the kernel refuses.
    pub fn enter_operator(&self) -> impl FnOnce() + Send + 'static {
        let operator = self.operator;
        move || Hosts::enter_operator_of(operator).unwrap()
    }

    /// Does something on a thread of its own where the operator sits.
    ///
    /// # Panics
    /// Where that does.
    pub fn at_operator<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        let enter = self.enter_operator();
        let acting = std::thread::spawn(move || {
            enter();
            act()
        });
        acting.join().unwrap()
    }

    /// A command that runs where the operator sits.
    pub fn operator(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        Hosts::operator_of(self.operator, program)
    }

    /// Runs `swarmup` to its end, with the agent under test.
    pub fn swarmup(&self, arguments: &str) -> Run {
        self.swarmup_with(&[], arguments)
    }

    /// The same, with variables that count more than those that are [set](Self::set).
    pub fn swarmup_with(&self, variables: &[(&str, &str)], arguments: &str) -> Run {
        let mut command = self.operator("timeout");
        let limit = format!("{}", (2 * PATIENCE).as_secs_f64());
        command.args(["--signal", "KILL", "--foreground", &limit]).arg(crate::programs::swarmup().unwrap());
        self.prepare(&mut command);
        Run::of(command.envs(variables.iter().copied()).args(arguments.split_whitespace()))
    }

    /// Starts `swarmup` and does not wait; the process is `swarmup` itself, so that it can be killed. What it says besides
    /// its answer can be read from its standard error.
    pub fn start(&self, arguments: &str) -> Child {
        let mut command = self.operator(crate::programs::swarmup().unwrap());
        self.prepare(&mut command);
        command.args(arguments.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Gives a command what `swarmup` needs here, and nothing else of this environment.
    pub fn prepare(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.scratch());
        command.env("SWARMUP_HOME", self.home()).env("SWARMUP_AGENT", crate::agent().unwrap());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }

    /// Runs the stock `docker` command with what `swarmup env` says.
    pub fn docker(&self, arguments: &str) -> Run {
        let environment: Value = serde_json::from_str(&self.swarmup("env --shell json").answer()).unwrap();
        let mut command = self.operator("timeout");
        command.args(["--signal", "KILL", "--foreground", &PATIENCE.as_secs().to_string()]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.scratch());
        for (name, value) in environment.as_object().unwrap() {
            command.env(name, value.as_str().unwrap());
        }
        Run::of(command.arg(crate::programs::docker()).args(arguments.split_whitespace()))
    }

    /// Looks at the hosts; they follow nothing meanwhile.
    pub fn with_hosts<T>(&self, look: impl FnOnce(&CloudHosts) -> T) -> T {
        look(&lock(&self.hosts))
    }

    /// A folder for the test's own files.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Where `swarmup` keeps what it knows.
    pub fn home(&self) -> std::path::PathBuf {
        self.scratch().join("home")
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(following) = self.following.take() {
            // It has failed the test already, where it has panicked.
            let _ = following.join();
        }
    }
}

fn lock(hosts: &Mutex<CloudHosts>) -> std::sync::MutexGuard<'_, CloudHosts> {
    hosts.lock().unwrap_or_else(PoisonError::into_inner)
}
