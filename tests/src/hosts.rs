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

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::HostSnapshot;

/// How long a host may take to come up on a machine that is busy with other tests.
const BOOT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the kernel may take to end what was killed.
const END_TIMEOUT: Duration = Duration::from_secs(10);
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

/// One host.
#[derive(Debug)]
pub struct Host {
    number: u32,
    folder: PathBuf,
    cgroup: String,
    network: u32,
    /// The process that made the namespaces; its only child is the host's PID 1. Absent while the host is off.
    power: Option<Child>,
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
            let folder = hosts.disks();
            hosts.all.push(Host { number, folder, cgroup: hosts.cgroup.clone(), network: pid, power: None });
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
        ensure!(self.all.iter().all(|host| host.number != number), "there is a host {number} already");
        let seed = self.visible_disks().join(number.to_string()).join("seed");
        fs::create_dir_all(&seed)?;
        let (folder, network) = (self.disks(), self.network.id());
        self.all.push(Host { number, folder, cgroup: self.cgroup.clone(), network, power: None });
        Ok(seed)
    }

    /// Powers hosts on, all at once, and waits until they are up.
    ///
    /// # Errors
    /// Where one does not come up in time.
    pub fn boot(&mut self, numbers: &[u32]) -> Result<()> {
        let mut chosen: Vec<_> = self.all.iter_mut().filter(|host| numbers.contains(&host.number)).collect();
        chosen.iter_mut().try_for_each(|host| host.power_on())?;
        chosen.iter_mut().try_for_each(|host| host.wait_until_up())
    }

    /// Cuts a host's power and throws its disk away.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn remove(&mut self, number: u32) -> Result<()> {
        self.all.iter_mut().filter(|host| host.number == number).for_each(Host::power_off);
        self.all.retain(|host| host.number != number);
        let disk = self.visible_disks().join(number.to_string());
        fs::remove_dir_all(&disk).with_context(|| format!("failed to throw away the disk of host {number}"))
    }

    /// A host by its number, from 1.
    ///
    /// # Panics
    /// Where there is no such host.
    pub fn host(&self, number: u32) -> &Host {
        self.all.iter().find(|host| host.number == number).expect("the test asks for a host that it made")
    }

    /// A host by its number, from 1, to be rebooted.
    ///
    /// # Panics
    /// Where there is no such host.
    pub fn host_mut(&mut self, number: u32) -> &mut Host {
        self.all.iter_mut().find(|host| host.number == number).expect("the test asks for a host that it made")
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
        remove_cgroups(&self.cgroup);
    }
}

impl Host {
    /// Its address.
    pub fn address(&self) -> IpAddr {
        let number = u8::try_from(self.number).expect("there are fewer than 200 hosts");
        IpAddr::V4(Ipv4Addr::new(10, 77, 1, number))
    }

    /// Its address in IPv6.
    pub fn address_v6(&self) -> IpAddr {
        // The number is written in decimal digits there, as the script writes it.
        format!("fd77::{}", self.number).parse().expect("a decimal number is a group of an IPv6 address")
    }

    /// Its number, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its host key (OpenSSH public key, ed25519).
    ///
    /// # Errors
    /// Where the host is off.
    pub fn host_key(&self) -> Result<String> {
        let key = self.read_file("/etc/ssh/ssh_host_ed25519_key.pub")?;
        Ok(key.trim().to_owned())
    }

    /// Its PID 1, as the machine numbers it.
    ///
    /// # Errors
    /// Where the host is off.
    pub fn pid(&self) -> Result<u32> {
        let power = self.power.as_ref().with_context(|| format!("host {} is off", self.number))?.id();
        let children = fs::read_to_string(format!("/proc/{power}/task/{power}/children"))?;
        let pid = children.split_whitespace().next().with_context(|| format!("host {} is down", self.number))?;
        Ok(pid.parse()?)
    }

    /// A command that runs on the host as root, as one that its own sshd would start.
    ///
    /// # Errors
    /// Where the host is off.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid()?.to_string(), "-m", "-u", "-i", "-n", "-p", "-C", "--"])
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a script on the host as root and returns what it wrote; its failure is an error.
    ///
    /// # Errors
    /// With what the script wrote to standard error.
    pub fn shell(&self, script: &str) -> Result<String> {
        let output = self.try_shell(script)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{script}` on host {} failed: {}", self.number, stderr.trim());
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs a script on the host as root, whatever comes of it.
    ///
    /// # Errors
    /// Where the host is off.
    pub fn try_shell(&self, script: &str) -> Result<Output> {
        Ok(self.command("sh")?.args(["-c", &format!("cd /root; {script}")]).output()?)
    }

    /// Whether a path exists on the host.
    ///
    /// # Errors
    /// Where the host is off.
    pub fn has(&self, path: &str) -> Result<bool> {
        Ok(fs::symlink_metadata(self.path(path)?).is_ok())
    }

    /// All that the host holds now, but for sshd's own children, which come and go with sessions.
    ///
    /// # Errors
    /// Where the host is off.
    pub fn snapshot(&self) -> Result<HostSnapshot> {
        let process = links::process::Process::of(self.pid()?)?;
        let snapshot = links::namespace::inside(&process, HostSnapshot::take)??;
        Ok(snapshot.without(|item| item.starts_with("process ") && item.contains(" sshd")))
    }

    /// A file of the host, as text.
    ///
    /// # Errors
    /// Where the host is off, or has no such file.
    pub fn read_file(&self, path: &str) -> Result<String> {
        let inside = self.path(path)?;
        fs::read_to_string(inside).with_context(|| format!("failed to read {path} of host {}", self.number))
    }

    /// A path of the host, as this process can open it while the host is up.
    ///
    /// # Errors
    /// Where the host is off.
    pub fn path(&self, path: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/root{path}", self.pid()?)))
    }

    /// The processes of the host whose executable has this name, as the machine numbers them, oldest first.
    ///
    /// # Errors
    /// Where the host is off.
    pub fn processes(&self, name: &str) -> Result<Vec<u32>> {
        let namespace = fs::read_link(format!("/proc/{}/ns/pid", self.pid()?))?;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let is_here = fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|other| other == namespace);
            let is_called = fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name);
            if is_here && is_called {
                found.push(pid);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Sends a signal to all processes of the host whose executable has this name; returns how many there were.
    ///
    /// # Errors
    /// Where the host is off.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<usize> {
        let pids = self.processes(name)?;
        let signal = match signal {
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Freeze => rustix::process::Signal::STOP,
            Signal::Thaw => rustix::process::Signal::CONT,
            Signal::Terminate => rustix::process::Signal::TERM,
        };
        for pid in &pids {
            let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw).context("no process id")?;
            match rustix::process::kill_process(pid, signal) {
                // It has ended since it was listed.
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pids.len())
    }

    /// Cuts the power and switches it on again: every process dies at once, the files stay, `/run` is empty.
    ///
    /// # Errors
    /// Where the host does not come up again in time.
    pub fn reboot(&mut self) -> Result<()> {
        self.power_off();
        self.power_on()?;
        self.wait_until_up()
    }

    /// Whether it has power.
    pub fn is_on(&self) -> bool {
        self.power.is_some()
    }

    /// Cuts the power.
    pub fn power_off(&mut self) {
        let pid = self.pid().ok().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        let Some(mut power) = self.power.take() else { return };
        if let Some(pid) = pid {
            // PID 1 goes last: once its parent has seen it go, every process of the host is gone and its disk is free.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            wait_until(|| !matches!(power.try_wait(), Ok(None)));
        }
        end(&mut power);
    }

    fn power_on(&mut self) -> Result<()> {
        let power = Command::new("nsenter")
            .args(["-t", &self.network.to_string(), "-m", "--", "sh"])
            .arg(self.folder.parent().context("the folder of the disks has a parent")?.join("power"))
            .args([&self.cgroup, &self.number.to_string()])
            .arg(&self.folder)
            .arg(self.network.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to run `nsenter`")?;
        self.power = Some(power);
        Ok(())
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let number = self.number;
        let power = self.power.as_mut().context("the host is off")?;
        wait_until_ready(power).with_context(|| format!("host {number} did not come up"))
    }
}

/// What a test does to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Freeze,
    /// SIGCONT.
    Thaw,
    /// SIGTERM.
    Terminate,
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

/// Waits for the line `ready` from a process of ours.
fn wait_until_ready(child: &mut Child) -> Result<()> {
    let stdout = child.stdout.take().context("it was waited for already")?;
    let (sender, answer) = mpsc::channel();
    // The thread ends with the line, or with the process.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        // Where nobody waits any more the answer is of no use.
        let _ = sender.send(read.map(|_| line));
    });
    match answer.recv_timeout(BOOT_TIMEOUT) {
        Ok(Ok(line)) if line == "ready\n" => Ok(()),
        Ok(Ok(line)) => bail!("it ended, or said `{}`", line.trim_end()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => bail!("it was not ready within {} s", BOOT_TIMEOUT.as_secs()),
    }
}

/// Ends a process of ours and waits for it.
fn end(child: &mut Child) {
    drop(child.stdin.take());
    // It may have ended already; then there is nothing to kill, and waiting returns at once.
    let _ = child.kill();
    let _ = child.wait();
}

/// Removes the cgroups of all hosts; the kernel lets go of them once the last process has ended.
fn remove_cgroups(name: &str) {
    for root in cgroup_roots() {
        wait_until(|| remove_cgroup(&root.join(name)).is_ok());
    }
}

/// Waits for what the kernel does after a kill; gives up after a while, for a drop must end.
fn wait_until(mut is_done: impl FnMut() -> bool) {
    let deadline = Instant::now() + END_TIMEOUT;
    while !is_done() && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn remove_cgroup(folder: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

/// Where cgroups are made: the one tree of v2, or every hierarchy of v1.
fn cgroup_roots() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.procs").exists() {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.join("cgroup.procs").exists()).collect()
}
