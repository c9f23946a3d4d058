//! The bundle of a container: its settings in full, in the runtime's words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{HealthConfig, NodeNetwork};
use runtime::{Bundle, Device, Mount, MountSource, Namespace, Namespaces, Program, TtySize, Ulimit};

use super::{InvalidSettings, MountKind, MountPoint, NetworkMode, NodeFacts, limits, log_settings, security};
use crate::config::{ContainerConfig, HostConfig};
use crate::signal;

/// Where programs are looked for, unless the image says otherwise.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a container may take to end where nobody says: 10 s, as in Docker.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Docker's settings of a network that is a container's own.
const OWN_NETWORK: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// Where a container lies on its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its id.
    pub(crate) id: String,
    /// Its mounted root.
    pub(crate) rootfs: PathBuf,
    /// The folder that holds its `hosts`, `hostname` and `resolv.conf`.
    pub(crate) files: PathBuf,
    /// The folder of its output.
    pub(crate) logs: PathBuf,
    /// Its control group.
    pub(crate) cgroup: PathBuf,
    /// The network namespace of the container whose network it joins.
    pub(crate) joins: Option<PathBuf>,
}

/// Makes the bundle. Volumes among the mounts have their sources.
pub(crate) fn bundle(
    config: &ContainerConfig,
    host: &HostConfig,
    mounts: &[MountPoint],
    node: &NodeFacts,
    place: &Place,
) -> Result<Bundle, InvalidSettings> {
    let network = NetworkMode::of(config, host)?;
    let security = security::security(host)?;
    let shown = (security.shows_system_paths || host.privileged).then(Vec::new);
    let uts = if host.uts_mode == "host" { Namespace::Host } else { Namespace::Own };
    let has_own_names = uts == Namespace::Own;
    let mut bundle = Bundle::new(&place.id, &place.rootfs, &place.cgroup, &[]);
    bundle.process = program(config, host);
    bundle.stdin_open = config.open_stdin;
    bundle.stdin_once = config.stdin_once;
    bundle.hostname = Some(config.hostname.clone()).filter(|name| has_own_names && !name.is_empty());
    bundle.domainname = Some(config.domainname.clone()).filter(|name| has_own_names && !name.is_empty());
    bundle.mounts = all_mounts(mounts, place);
    bundle.read_only_root = host.readonly_rootfs;
    bundle.shm_size = u64::try_from(host.shm_size).ok().filter(|size| *size > 0);
    bundle.masked_paths = shown.clone().or_else(|| host.masked_paths.clone());
    bundle.read_only_paths = shown.or_else(|| host.readonly_paths.clone());
    bundle.privileged = host.privileged;
    bundle.capabilities_add = host.cap_add.clone().unwrap_or_default();
    bundle.capabilities_drop = host.cap_drop.clone().unwrap_or_default();
    bundle.no_new_privileges = security.no_new_privileges;
    bundle.seccomp = security.seccomp;
    bundle.devices = devices(host);
    bundle.device_rules = host.resources.device_cgroup_rules.clone().unwrap_or_default();
    bundle.sysctls = sysctls(host, &network);
    bundle.ulimits = ulimits(host);
    bundle.oom_score_adj = Some(host.oom_score_adj).filter(|score| *score != 0);
    bundle.namespaces = Namespaces {
        pid: if host.pid_mode == "host" { Namespace::Host } else { Namespace::Own },
        network: network_namespace(&network, place)?,
        ipc: if host.ipc_mode == "host" { Namespace::Host } else { Namespace::Own },
        uts,
        cgroup: cgroup_namespace(host, node),
    };
    bundle.limits = limits(&host.resources, node.cpus)?;
    bundle.init = host.init.unwrap_or(false);
    bundle.log = log_settings(&host.log_config, &place.logs)?;
    Ok(bundle)
}

/// A namespace of its own is joined to the bridge from outside, once it is there.
fn network_namespace(network: &NetworkMode, place: &Place) -> Result<Namespace, InvalidSettings> {
    match network {
        NetworkMode::Node(NodeNetwork::Host) => Ok(Namespace::Host),
        NetworkMode::Node(NodeNetwork::Bridge | NodeNetwork::None) | NetworkMode::Local(_) => Ok(Namespace::Own),
        NetworkMode::Container(other) => {
            let words = || InvalidSettings(format!("cannot join network of a non running container: {other}"));
            place.joins.clone().map(Namespace::Path).ok_or_else(words)
        }
    }
}

/// What was asked for; and in a network of its own, as in Docker, every user may listen on any port and send echo requests.
fn sysctls(host: &HostConfig, network: &NetworkMode) -> BTreeMap<String, String> {
    let mut sysctls = host.sysctls.clone();
    if network.has_addresses() || *network == NetworkMode::NONE {
        for (name, value) in OWN_NETWORK {
            sysctls.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    sysctls
}

/// Of several hierarchies a container sees the host's view, as in Docker.
fn cgroup_namespace(host: &HostConfig, node: &NodeFacts) -> Namespace {
    match host.cgroupns_mode.as_str() {
        "host" => Namespace::Host,
        "private" => Namespace::Own,
        _ if node.has_unified_cgroups && !host.privileged => Namespace::Own,
        _ => Namespace::Host,
    }
}

fn program(config: &ContainerConfig, host: &HostConfig) -> Program {
    let words = [&config.entrypoint, &config.cmd].into_iter().flatten().flatten();
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let [rows, columns] = host.console_size.map(|size| u16::try_from(size).unwrap_or(u16::MAX));
    Program {
        argv: words.cloned().collect(),
        env: environment(config),
        cwd: text(&config.working_dir).map(PathBuf::from),
        user: text(&config.user),
        groups: host.group_add.clone().unwrap_or_default(),
        tty: config.tty,
        tty_size: (config.tty && rows > 0 && columns > 0).then_some(TtySize { columns, rows }),
    }
}

/// The variables of a container's programs: Docker's own, and the settings' in their place and after them.
pub(crate) fn environment(config: &ContainerConfig) -> Vec<String> {
    merged(config, config.tty, &[])
}

/// The variables of a program that is added to a container, on a terminal or not: the container's, and these.
pub(crate) fn exec_environment(config: &ContainerConfig, has_terminal: bool, more: &[String]) -> Vec<String> {
    merged(config, has_terminal, more)
}

fn merged(config: &ContainerConfig, has_terminal: bool, more: &[String]) -> Vec<String> {
    let mut env = vec![PATH.to_owned()];
    if !config.hostname.is_empty() {
        env.push(format!("HOSTNAME={}", config.hostname));
    }
    if has_terminal {
        env.push("TERM=xterm".to_owned());
    }
    for variable in config.env.iter().chain(more) {
        let (name, is_set) = variable.split_once('=').map_or((variable.as_str(), false), |(name, _)| (name, true));
        let same = env.iter().position(|known| known.split_once('=').is_some_and(|(known, _)| known == name));
        match (same, is_set) {
            (Some(at), true) => env[at].clone_from(variable),
            (None, true) => env.push(variable.clone()),
            (Some(at), false) => drop(env.remove(at)),
            (None, false) => {}
        }
    }
    env
}

/// The mounts asked for, and the container's own files of `/etc` where none of them is in their place.
fn all_mounts(mounts: &[MountPoint], place: &Place) -> Vec<Mount> {
    let own = ["resolv.conf", "hostname", "hosts"].into_iter().filter_map(|name| {
        let destination = format!("/etc/{name}");
        let is_free = !mounts.iter().any(|mount| mount.destination == destination);
        is_free.then(|| bind(Path::new(&destination), place.files.join(name)))
    });
    // First what the settings ask for: a mount on /etc would hide what lies there already.
    mounts.iter().map(mount).chain(own).collect()
}

fn bind(destination: &Path, path: PathBuf) -> Mount {
    let source = MountSource::Bind { path, propagation: runtime::Propagation::default(), recursive: true };
    Mount { destination: destination.to_owned(), source, read_only: false }
}

fn mount(point: &MountPoint) -> Mount {
    let source = match point.kind {
        MountKind::Bind | MountKind::Volume => MountSource::Bind {
            path: if point.subpath.is_empty() { point.source.clone() } else { point.source.join(&point.subpath) },
            propagation: point.propagation,
            recursive: !point.is_non_recursive,
        },
        MountKind::Tmpfs => {
            MountSource::Tmpfs { size: point.tmpfs.size, mode: point.tmpfs.mode, options: point.tmpfs.options.clone() }
        }
    };
    Mount { destination: PathBuf::from(&point.destination), source, read_only: point.read_only }
}

fn devices(host: &HostConfig) -> Vec<Device> {
    let devices = host.resources.devices.iter().flatten();
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    devices
        .map(|device| Device {
            on_host: PathBuf::from(&device.path_on_host),
            inside: PathBuf::from(or(&device.path_in_container, &device.path_on_host)),
            access: or(&device.cgroup_permissions, "rwm"),
        })
        .collect()
}

fn ulimits(host: &HostConfig) -> Vec<Ulimit> {
    let ulimits = host.resources.ulimits.iter().flatten();
    ulimits.map(|limit| Ulimit { name: limit.name.clone(), soft: limit.soft, hard: limit.hard }).collect()
}

/// The signal that asks the container to end.
pub(crate) fn stop_signal(config: &ContainerConfig) -> i32 {
    // Checked when the container was made.
    signal::parse(&config.stop_signal).unwrap_or(signal::TERM)
}

/// How long it may take to end then; as long as it takes where `None`.
pub(crate) fn stop_grace(config: &ContainerConfig) -> Option<Duration> {
    match config.stop_timeout {
        None => Some(DEFAULT_GRACE),
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
    }
}

/// How a container is asked whether it is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// The program.
    pub(crate) argv: Vec<String>,
    /// The pause between two questions.
    pub(crate) interval: Duration,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    /// How long bad answers do not count after the start.
    pub(crate) start_period: Duration,
    /// The pause between two questions during that time.
    pub(crate) start_interval: Duration,
    /// Bad answers in a row that make it unwell.
    pub(crate) retries: u32,
}

/// How a container is asked, with Docker's defaults; `None` where it is not.
pub(crate) fn health(config: &ContainerConfig) -> Option<Health> {
    let HealthConfig { test, interval, timeout, start_period, start_interval, retries } =
        config.healthcheck.as_ref()?;
    let argv = match test.split_first()? {
        (kind, program) if kind == "CMD" && !program.is_empty() => program.to_vec(),
        (kind, line) if kind == "CMD-SHELL" && !line.is_empty() => {
            let shell = config.shell.clone().filter(|shell| !shell.is_empty());
            let mut argv = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            argv.push(line.join(" "));
            argv
        }
        _ => return None,
    };
    let or = |nanoseconds: i64, default: Duration| match u64::try_from(nanoseconds) {
        Ok(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds),
        Ok(_) | Err(_) => default,
    };
    Some(Health {
        argv,
        interval: or(*interval, Duration::from_secs(30)),
        timeout: or(*timeout, Duration::from_secs(30)),
        start_period: or(*start_period, Duration::ZERO),
        start_interval: or(*start_interval, Duration::from_secs(5)),
        retries: u32::try_from(*retries).ok().filter(|retries| *retries > 0).unwrap_or(3),
    })
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
