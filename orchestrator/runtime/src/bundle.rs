//! What a container is to be: the input of the runtime, as one value that can be stored.
//!
//! Absent fields mean Docker's defaults. Paths inside of the container are resolved beneath its root, whatever
//! symbolic links its image holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::log::LogSettings;
use crate::seccomp::Profile;

/// A container as it is to be made.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that Docker has")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its id: letters, digits, `-`, `_` and `.`, at most 64 of them; the name of its state folder.
    pub id: String,
    /// The mounted root file system.
    pub rootfs: PathBuf,
    /// The first program.
    pub process: Program,
    /// Whether its program begins as soon as it is prepared, instead of waiting for the word to start: the quicker way
    /// where nobody needs to be attached from the first byte. Then it is made only if its program has begun.
    #[serde(default)]
    pub starts_at_once: bool,
    /// Whether standard input stays open while nobody is attached.
    #[serde(default)]
    pub stdin_open: bool,
    /// Whether standard input ends once the first one who was attached to it leaves.
    #[serde(default)]
    pub stdin_once: bool,
    /// The name of the host inside, where the UTS namespace is its own.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The NIS domain inside, where the UTS namespace is its own.
    #[serde(default)]
    pub domainname: Option<String>,
    /// What is mounted beside the usual; one with the destination of a usual one replaces it.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Whether the root file system is read-only inside.
    #[serde(default)]
    pub read_only_root: bool,
    /// The size of `/dev/shm` in bytes; 64 MiB if absent.
    #[serde(default)]
    pub shm_size: Option<u64>,
    /// Paths that are hidden; Docker's where absent.
    #[serde(default)]
    pub masked_paths: Option<Vec<String>>,
    /// Paths that are read-only; Docker's where absent.
    #[serde(default)]
    pub read_only_paths: Option<Vec<String>>,
    /// Everything of the host is open to it: all capabilities, all devices, no filter of system calls.
    #[serde(default)]
    pub privileged: bool,
    /// Capabilities beside the default ones, `CAP_` optional; `ALL` is all.
    #[serde(default)]
    pub capabilities_add: Vec<String>,
    /// Capabilities to take away; `ALL` is all.
    #[serde(default)]
    pub capabilities_drop: Vec<String>,
    /// Whether no program inside can gain more than its parent has.
    #[serde(default)]
    pub no_new_privileges: bool,
    /// Which system calls are refused.
    #[serde(default)]
    pub seccomp: Profile,
    /// Devices of the host that appear inside.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Rules of the device controller beside those of `devices`, as `c 10:200 rwm`.
    #[serde(default)]
    pub device_rules: Vec<String>,
    /// Kernel settings of the container's own namespaces.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Limits of its processes; never above what this host allows.
    #[serde(default)]
    pub ulimits: Vec<Ulimit>,
    /// How likely the kernel picks it when memory runs out: -1000 to 1000.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// Which namespaces are its own.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// Its control group, relative to each hierarchy; no other container's.
    pub cgroup: PathBuf,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// Whether a small first process of ours hands signals on and collects orphans.
    #[serde(default)]
    pub init: bool,
    /// Where its output is kept; nowhere if absent.
    #[serde(default)]
    pub log: Option<LogSettings>,
}

/// A program that runs in a container: its first one, or one that `exec` adds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The program and its arguments; the program is looked up in `PATH` of `env` unless it holds a `/`.
    pub argv: Vec<String>,
    /// `NAME=value`, in order; `HOME` is added where absent.
    #[serde(default)]
    pub env: Vec<String>,
    /// The folder it starts in, made if it is missing; `/` if absent.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// `user`, `user:group`, names or numbers; root if absent.
    #[serde(default)]
    pub user: Option<String>,
    /// Further groups, names or numbers.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whether it runs on a terminal of its own.
    #[serde(default)]
    pub tty: bool,
    /// The terminal's first size, columns and rows.
    #[serde(default)]
    pub tty_size: Option<TtySize>,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TtySize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

impl TtySize {
    /// The same in the kernel's words.
    pub(crate) fn window(self) -> rustix::termios::Winsize {
        rustix::termios::Winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 }
    }
}

/// Something that is mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where, beneath the container's root.
    pub destination: PathBuf,
    /// What.
    pub source: MountSource,
    /// Whether it can only be read. A bind mount of a whole tree is read-only in all of it.
    #[serde(default)]
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A file or folder of the host, which exists: bind mounts and volumes.
    Bind {
        /// The host's path.
        path: PathBuf,
        /// How mounts below it travel; `rprivate` by default.
        #[serde(default)]
        propagation: Propagation,
        /// Whether mounts below it come along.
        #[serde(default = "yes")]
        recursive: bool,
    },
    /// Memory.
    Tmpfs {
        /// Its size in bytes; half of the memory if absent.
        #[serde(default)]
        size: Option<u64>,
        /// The mode of its root, 1777 if absent.
        #[serde(default)]
        mode: Option<u32>,
        /// Further options of mount(8), such as `exec` or `uid=7`.
        #[serde(default)]
        options: Vec<String>,
    },
}

fn yes() -> bool {
    true
}

/// How mounts and unmounts travel between a bind mount and where it came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of mount_namespaces(7)")]
pub enum Propagation {
    Private,
    #[default]
    Rprivate,
    Shared,
    Rshared,
    Slave,
    Rslave,
}

impl Propagation {
    /// The word for it in mount options.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Rprivate => "rprivate",
            Self::Shared => "shared",
            Self::Rshared => "rshared",
            Self::Slave => "slave",
            Self::Rslave => "rslave",
        }
    }
}

/// A device of the host that appears inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device, or a folder of devices, on the host.
    pub on_host: PathBuf,
    /// Where it appears, below `/dev`.
    pub inside: PathBuf,
    /// `r`, `w` and `m` (make), as many as are allowed.
    pub access: String,
}

/// A limit of one resource for each process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The name without `RLIMIT_`, in lower case: `nofile`.
    pub name: String,
    /// What holds at first; -1 is no limit.
    pub soft: i64,
    /// How far a process may raise it; -1 is no limit.
    pub hard: i64,
}

/// Whose namespace of one kind a container lives in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// A new one.
    #[default]
    Own,
    /// The host's (the one of whoever runs the container).
    Host,
    /// The one that this file names, such as `/run/netns/x` or `/proc/7/ns/net`.
    Path(PathBuf),
}

/// The namespaces of a container. Its mounts are always its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Processes.
    pub pid: Namespace,
    /// The network; a new one holds the loopback link only, up.
    pub network: Namespace,
    /// System V and POSIX messages and shared memory.
    pub ipc: Namespace,
    /// The names of the host.
    pub uts: Namespace,
    /// The view of control groups.
    pub cgroup: Namespace,
}

impl Bundle {
    /// A bundle that runs one command with every default.
    pub fn new(id: &str, rootfs: impl Into<PathBuf>, cgroup: impl Into<PathBuf>, argv: &[&str]) -> Self {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        Self {
            id: id.to_owned(),
            rootfs: rootfs.into(),
            process: Program { argv, env: vec![path], ..Program::default() },
            starts_at_once: false,
            stdin_open: false,
            stdin_once: false,
            hostname: None,
            domainname: None,
            mounts: Vec::new(),
            read_only_root: false,
            shm_size: None,
            masked_paths: None,
            read_only_paths: None,
            privileged: false,
            capabilities_add: Vec::new(),
            capabilities_drop: Vec::new(),
            no_new_privileges: false,
            seccomp: Profile::default(),
            devices: Vec::new(),
            device_rules: Vec::new(),
            sysctls: BTreeMap::new(),
            ulimits: Vec::new(),
            oom_score_adj: None,
            namespaces: Namespaces::default(),
            cgroup: cgroup.into(),
            limits: Limits::default(),
            init: false,
            log: None,
        }
    }
}
