//! Hosts to reach into: Linux machines made of namespaces, each with its own root, cgroups, network, sshd and users.
//!
//! ```text
//!   operator (a network namespace)          10.77.1.254, fd77::fe
//!     br0 ──┬── host 1: PID 1 = init.sh     10.77.1.1,   fd77::1
//!           ├── host 2                      10.77.1.2,   fd77::2      10.77.1.253: nobody, and silent
//!           └── …                           no way out
//! ```
//! All of it hangs on processes that this one holds by their standard input: when the test ends, however it ends, the
//! namespaces, links and mounts are gone. A host keeps its files over [`Host::reboot`]. Needs root, Debian's
//! `openssh-server` and `sudo`. Users: `root`; `ops`, who may use sudo; `asked`, whom sudo asks for a password.
//!
//! The machine's own network namespace is never touched.

mod cgroups;
mod held;
mod host;

pub use host::{Host, Signal};

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};

use held::{end, wait_until_ready};

/// The prefix of all cgroups that tests make.
const CGROUP_PREFIX: &str = "swarmup-test";

const NETWORK_SCRIPT: &str = include_str!("hosts/network.sh");
const POWER_SCRIPT: &str = include_str!("hosts/power.sh");
const INIT_SCRIPT: &str = include_str!("hosts/init.sh");

/// Hosts on one network, and the operator's place on it.
#[derive(Debug)]
pub struct Hosts {
    /// Ended last: the network and the disks are its.
    network: Child,
    all: Vec<Host>,
    folder: tempfile::TempDir,
    cgroup: String,
}

impl Hosts {
    /// Makes `count` hosts, up and reachable. Fewer than 200.
    ///
    /// # Errors
    /// Where this is not root, or a package is missing, or the kernel refuses.
    pub fn start(count: u32) -> Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);

        ensure!(count < 200, "the operator's and the silent address are above the hosts'");
        ensure!(rustix::process::geteuid().is_root(), "hosts are made of namespaces, which needs root");
        let folder = tempfile::Builder::new().prefix("swarmup-hosts-").tempdir()?;
        let path = folder.path();
        // A script given as PID 1 is run by its own name, `init`, as a machine's is.
        for (name, text) in [("network", NETWORK_SCRIPT), ("power", POWER_SCRIPT)] {
            fs::write(path.join(name), text)?;
        }
        fs::create_dir(path.join("disks"))?;
        generate_key(&path.join("key"), &["-t", "ed25519"])?;

        let network = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh"])
            .args([path.join("network"), path.join("disks")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to run `unshare`")?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("{CGROUP_PREFIX}-{}-{serial}", std::process::id());
        let mut hosts = Self { network, all: Vec::new(), folder, cgroup };
        wait_until_ready(&mut hosts.network).context("the hosts' network did not come up")?;
        hosts.fill_disks()?;
        let pid = hosts.network.id();
        for number in 1..=count {
            hosts.all.push(Host::new(number, hosts.disks(), hosts.cgroup.clone(), pid));
        }
        hosts.all.iter_mut().try_for_each(Host::power_on)?;
        hosts.all.iter_mut().try_for_each(Host::wait_until_up)?;
        Ok(hosts)
    }

    /// Adds a host that is off and has never booted; the folder of what it is given for its first boot (its keys, and
    /// `files` for its root).
    ///
    /// # Errors
    /// Where there is one of that number, or the disk refuses.
    pub fn add(&mut self, number: u32) -> Result<PathBuf> {
        ensure!((1..200).contains(&number), "the operator's and the silent address are above the hosts'");
        ensure!(self.all.iter().all(|host| host.number() != number), "there is a host {number} already");
        let seed = self.visible_disks().join(number.to_string()).join("seed");
        fs::create_dir_all(&seed)?;
        self.all.push(Host::new(number, self.disks(), self.cgroup.clone(), self.network.id()));
        Ok(seed)
    }

    /// Powers hosts on, all at once, and waits until they are up.
    ///
    /// # Errors
    /// Where one does not come up in time.
    pub fn boot(&mut self, numbers: &[u32]) -> Result<()> {
        let mut chosen: Vec<_> = self.all.iter_mut().filter(|host| numbers.contains(&host.number())).collect();
        chosen.iter_mut().try_for_each(|host| host.power_on())?;
        chosen.iter_mut().try_for_each(|host| host.wait_until_up())
    }

    /// Cuts a host's power and throws its disk away.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn remove(&mut self, number: u32) -> Result<()> {
        self.all.iter_mut().filter(|host| host.number() == number).for_each(Host::power_off);
        self.all.retain(|host| host.number() != number);
        let disk = self.visible_disks().join(number.to_string());
        fs::remove_dir_all(&disk).with_context(|| format!("failed to throw away the disk of host {number}"))
    }

    /// A host by its number, from 1.
    ///
    /// # Panics
    /// Where there is no such host.
    pub fn host(&self, number: u32) -> &Host {
        self.all.iter().find(|host| host.number() == number).expect("the test asks for a host that it made")
    }

    /// A host by its number, from 1, to be rebooted.
    ///
    /// # Panics
    /// Where there is no such host.
    pub fn host_mut(&mut self, number: u32) -> &mut Host {
        self.all.iter_mut().find(|host| host.number() == number).expect("the test asks for a host that it made")
    }

    /// All hosts, in order.
    pub fn all(&self) -> &[Host] {
        &self.all
    }

    /// The private key that logs in to every host.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// A folder for the test's own files, removed with the hosts.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// An address on the network that swallows all that is sent there.
    pub fn silent_address(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 77, 1, 253))
    }

    /// A command that runs where the operator sits: this machine's files, the hosts' network.
    pub fn operator(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        Self::operator_of(self.operator_pid(), program)
    }

    /// A process in the operator's namespace, for [`operator_of`](Self::operator_of).
    pub fn operator_pid(&self) -> u32 {
        self.network.id()
    }

    /// A command that runs where an operator sits, for those that do not hold the hosts.
    pub fn operator_of(pid: u32, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("-t").arg(pid.to_string()).arg("-n").arg("--").arg(program);
        command
    }

    /// Moves this thread to where the operator sits, for good. What it starts, and a runtime of its own, is there too.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enter_operator(&self) -> Result<()> {
        Self::enter_operator_of(self.operator_pid())
    }

    /// The same, for those that do not hold the hosts.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enter_operator_of(pid: u32) -> Result<()> {
        let namespace = fs::File::open(format!("/proc/{pid}/ns/net"))?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(rustix::thread::LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// Makes another key pair (`ssh-keygen`'s arguments choose which); the public half lies next to it with `.pub`.
    ///
    /// # Errors
    /// Where `ssh-keygen` fails.
    pub fn generate_key(&self, name: &str, arguments: &[&str]) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        generate_key(&path, arguments)?;
        Ok(path)
    }

    /// The hosts' disks, as processes in the network's mount namespace name the folder.
    fn disks(&self) -> PathBuf {
        self.folder.path().join("disks")
    }

    /// The hosts' disks, as this process sees them: they are mounted in the network's mount namespace only.
    fn visible_disks(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.network.id(), self.disks().display()))
    }

    /// Puts onto the disks what a host needs to boot.
    fn fill_disks(&self) -> Result<()> {
        let disks = self.visible_disks();
        let init = disks.join("init");
        fs::write(&init, INIT_SCRIPT)?;
        fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        fs::copy(self.folder.path().join("key.pub"), disks.join("authorized_keys"))?;
        Ok(())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.all.iter_mut().for_each(Host::power_off);
        end(&mut self.network);
        cgroups::remove(&self.cgroup);
    }
}

fn generate_key(path: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "test"])
        .arg("-f")
        .arg(path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("failed to run `ssh-keygen`: is openssh-client installed?")?;
    ensure!(output.status.success(), "ssh-keygen failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
