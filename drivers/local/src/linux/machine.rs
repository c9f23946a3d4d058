//! One machine: its first process with namespaces, control group, link and folder.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use driver::{ClusterId, DriverError};
use links::cgroup::ControlGroup;
use links::gate::Gate;
use links::namespace;
use links::route::{Connection, VethPair};
use links::{Prefix, Process, process};

use super::failure::{Failed, NotReady, at};
use super::network;
use super::record::{ClusterRecord, MachineRecord, ProcessRecord, hardware_address, instance_id, machine_link_name};
use super::resolver;
use super::state::{State, make_folder, remove_folder};

/// How long the first process may take to build its root; it takes milliseconds on a quiet machine.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long a machine may take to shut down before it is switched off: its agent takes up to 10 s, its containers 30.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(45);
/// How long the kernel may take to end all processes of a PID namespace.
const END_LIMIT: Duration = Duration::from_secs(10);
/// The machine's link, as the machine names it.
const LINK: &str = "eth0";
/// How much of a console is shown.
const CONSOLE_BYTES: u64 = 64 * 1024;
/// What a process of a machine finds in its environment, followed by the machine's id.
const MARK_VARIABLE: &str = "SWARMUP_MACHINE";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A machine of a cluster, and where it is kept.
#[derive(Debug, Clone)]
pub(super) struct Machine<'a> {
    /// Where everything is kept.
    pub(super) state: &'a State,
    /// Which boot it is.
    pub(super) boot: &'a str,
    /// Whose it is.
    pub(super) cluster: &'a ClusterId,
    /// Its name.
    pub(super) name: &'a str,
}

impl Machine<'_> {
    /// Starts the machine unless it runs; it stands in its own root and has its network then.
    pub(super) fn ensure_running(
        &self,
        cluster: &ClusterRecord,
        record: &mut MachineRecord,
    ) -> Result<Process, DriverError> {
        if let Some(process) = record.running(self.boot).failed(|| self.action("look for"))? {
            return Ok(process);
        }
        self.clear(cluster, record)?;
        let started = self.start(cluster, record);
        if started.is_err() {
            // The failure is the answer; what is left of the machine goes with the next start or with destroy.
            if let Err(error) = self.clear(cluster, record) {
                tracing::warn!(machine = self.name, %error, "a machine that failed to start left something behind");
            }
        }
        started
    }

    /// Shuts the machine down, or switches it off where it takes too long.
    pub(super) fn stop(&self, cluster: &ClusterRecord, record: &mut MachineRecord) -> Result<(), DriverError> {
        let action = || self.action("stop");
        if let Some(handle) = self.open(record)? {
            handle.terminate().failed(action)?;
            if !handle.wait(SHUTDOWN_LIMIT).failed(action)? {
                tracing::warn!(machine = self.name, "the machine did not shut down and is switched off");
                handle.kill().failed(action)?;
                handle.wait(END_LIMIT).failed(action)?;
            }
        }
        self.clear(cluster, record)?;
        record.process = None;
        self.state.keep_machine(self.cluster, self.name, record)
    }

    /// Ends the machine and removes all that it had; what is gone already is fine.
    pub(super) fn destroy(&self) -> Result<(), DriverError> {
        let action = || self.action("destroy");
        // Records that cannot be read stand in no one's way: what they name is found by the mark as well.
        let record = self.state.machine_record(self.cluster, self.name).unwrap_or_default();
        let cluster = self.state.cluster_record(self.cluster).unwrap_or_default();
        let handle = record.as_ref().map(|record| self.open(record)).transpose()?.flatten();
        match &handle {
            Some(handle) => handle.kill().failed(action)?,
            None => self.kill_by_mark()?,
        }
        if let (Some(cluster), Some(record)) = (&cluster, &record) {
            self.remove_link(cluster, record)?;
        }
        if let Some(handle) = handle
            && !handle.wait(END_LIMIT).failed(action)?
        {
            return Err(DriverError::TimedOut { action: action(), after: END_LIMIT });
        }
        let group = self.group()?;
        group.kill().failed(action)?;
        group.remove().failed(action)?;
        remove_folder(&self.folder())
    }

    /// The last lines of the machine's first process.
    pub(super) fn console(&self) -> Result<String, DriverError> {
        let path = self.folder().join("console.log");
        read_tail(&path).failed(at("read", &path))
    }

    /// The folder of the machine.
    pub(super) fn folder(&self) -> PathBuf {
        self.state.machine(self.cluster, self.name)
    }

    /// A clause about this machine.
    fn action(&self, verb: &str) -> String {
        format!("{verb} machine `{}`", self.name)
    }

    fn start(&self, cluster: &ClusterRecord, record: &mut MachineRecord) -> Result<Process, DriverError> {
        let action = || self.action("start");
        let prefix = network::prefix_of(cluster)?;
        let gateway = network::gateway(&prefix)?;
        let (mut gate, input) = Gate::new().failed(action)?;
        let mut command = self.command(record)?;
        command.stdin(input);
        let groups = self.group()?.create().failed(action)?;
        // Not collected here: the handle that ends it does so.
        let child = namespace::spawn_isolated(command, groups).failed(action)?;
        let process = Process::of(child.id()).failed(action)?;
        record.process = Some(ProcessRecord { pid: process.pid, started: process.started, boot: self.boot.to_owned() });
        self.state.keep_machine(self.cluster, self.name, record)?;
        self.connect(cluster, record, &prefix, &gateway, &process)
            .and_then(|()| gate.wait_ready(READY_LIMIT).failed(action))
            .map_err(|source| self.with_console(source))?;
        gate.open().failed(action)?;
        Ok(process)
    }

    /// Adds what the first process said: it may have ended because of it.
    fn with_console(&self, source: DriverError) -> DriverError {
        match self.console() {
            Ok(console) if !console.trim().is_empty() => {
                DriverError::provider(self.action("start"), NotReady { source, console })
            }
            Ok(_) | Err(_) => source,
        }
    }

    fn command(&self, record: &MachineRecord) -> Result<Command, DriverError> {
        let folder = self.folder();
        let [root, data] = ["root", "data"].map(|name| folder.join(name));
        make_folder(&root)?;
        make_folder(&data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).failed(at("open to all", &data))?;
        let resolv = folder.join("resolv.conf");
        fs::write(&resolv, resolver::for_machines()).failed(at("write", &resolv))?;
        let console = folder.join("console.log");
        let log = OpenOptions::new().create(true).append(true).open(&console).failed(at("open", &console))?;
        let log_too = log.try_clone().failed(at("open", &console))?;

        let own_agent = self.state.own_agent(self.cluster, self.name);
        let agent = if own_agent.exists() { own_agent } else { self.state.agent(self.cluster) };
        let mut command = Command::new(agent);
        command
            .env_clear()
            .env("PATH", PATH)
            .env(MARK_VARIABLE, self.mark())
            .args(["init", "--hostname", &record.hostname])
            .args([Path::new("--root"), &root, Path::new("--data"), &data, Path::new("--resolv"), &resolv])
            .current_dir("/")
            .stdout(log)
            .stderr(log_too);
        Ok(command)
    }

    /// Plugs the machine into its cluster's bridge and gives it address and route.
    fn connect(
        &self,
        cluster: &ClusterRecord,
        record: &MachineRecord,
        prefix: &Prefix,
        gateway: &Prefix,
        process: &Process,
    ) -> Result<(), DriverError> {
        let action = || self.action("connect");
        let mut host = Connection::open().failed(action)?;
        let bridge = host.link(&cluster.bridge).failed(action)?;
        let bridge = bridge.ok_or_else(|| format!("bridge `{}` is gone", cluster.bridge)).failed(action)?;
        host.add_veth(&VethPair {
            name: &machine_link_name(&cluster.bridge, prefix, record.address),
            master: Some(bridge.index),
            peer_of: process.pid,
            peer_name: LINK,
            peer_hardware_address: hardware_address(record.address),
        })
        .failed(action)?;
        let mut inside = Connection::open_inside(process).failed(action)?;
        for link in inside.links().failed(action)?.into_iter().filter(|link| ["lo", LINK].contains(&&*link.name)) {
            inside.set_up(link.index).failed(action)?;
            if link.name == LINK {
                let address = Prefix { address: record.address, length: prefix.length };
                inside.ensure_address(link.index, address).failed(action)?;
            }
        }
        inside.ensure_default_route(gateway.address).failed(action)
    }

    /// Ends and removes what a machine that does not run may have left; its folder stays.
    fn clear(&self, cluster: &ClusterRecord, record: &MachineRecord) -> Result<(), DriverError> {
        let action = || self.action("clear what is left of");
        if let Some(handle) = self.open(record)? {
            handle.kill().failed(action)?;
            handle.wait(END_LIMIT).failed(action)?;
        }
        self.remove_link(cluster, record)?;
        let group = self.group()?;
        group.kill().failed(action)?;
        group.remove().failed(action)
    }

    fn remove_link(&self, cluster: &ClusterRecord, record: &MachineRecord) -> Result<(), DriverError> {
        let action = || self.action("disconnect");
        let link = machine_link_name(&cluster.bridge, &network::prefix_of(cluster)?, record.address);
        Connection::open().and_then(|mut host| host.remove_link(&link)).failed(action)?;
        Ok(())
    }

    /// For a machine whose first process nobody wrote down: its maker was killed.
    fn kill_by_mark(&self) -> Result<(), DriverError> {
        let action = || self.action("destroy");
        for pid in process::with_environment(&format!("{MARK_VARIABLE}={}", self.mark())).failed(action)? {
            // It may have ended since it was listed.
            let Ok(found) = Process::of(pid) else { continue };
            if let Some(handle) = found.open().failed(action)? {
                handle.kill().failed(action)?;
                handle.wait(END_LIMIT).failed(action)?;
            }
        }
        Ok(())
    }

    fn open(&self, record: &MachineRecord) -> Result<Option<process::ProcessHandle>, DriverError> {
        let action = || self.action("look for");
        let Some(process) = record.running(self.boot).failed(action)? else { return Ok(None) };
        process.open().failed(action)
    }

    fn group(&self) -> Result<ControlGroup, DriverError> {
        let path = Path::new("swarmup").join(&self.cluster.0).join(self.name);
        ControlGroup::new(path).failed(|| self.action("name the control group of"))
    }

    fn mark(&self) -> String {
        instance_id(self.cluster, self.name).0
    }
}

fn read_tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(CONSOLE_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(CONSOLE_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
