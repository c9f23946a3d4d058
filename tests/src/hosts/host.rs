//! One host: what is on it, what runs on it, and its power.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::held::{end, wait_until, wait_until_ready};
use crate::HostSnapshot;

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

impl Host {
    /// A host that is off: its number, the folder of the disks, the cgroup of all hosts, the process that holds their
    /// network.
    pub(super) fn new(number: u32, folder: PathBuf, cgroup: String, network: u32) -> Self {
        Self { number, folder, cgroup, network, power: None }
    }

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

    /// Whether it has powered itself off since it was asked last.
    pub fn has_ended(&mut self) -> bool {
        let has_ended = self.power.as_mut().is_some_and(|power| !matches!(power.try_wait(), Ok(None)));
        if has_ended {
            self.power_off();
        }
        has_ended
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

    pub(super) fn power_on(&mut self) -> Result<()> {
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

    pub(super) fn wait_until_up(&mut self) -> Result<()> {
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
