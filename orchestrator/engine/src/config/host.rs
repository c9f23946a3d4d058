//! How a container stands on its host: Docker's `HostConfig`.

use std::collections::BTreeMap;

use model::Mount;
use serde::{Deserialize, Serialize};

use super::ContainerResources;

/// How a container stands on its host.
#[expect(clippy::struct_excessive_bools, reason = "they are Docker's")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// What is mounted, as `source:target[:options]`.
    pub binds: Option<Vec<String>>,
    /// Where the client wrote the id. Kept and shown.
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    /// Who keeps its output.
    pub log_config: LogConfig,
    /// `host`, `none`, …
    pub network_mode: String,
    /// The ports of the host that lead to its own: by `80/tcp`.
    pub port_bindings: BTreeMap<String, Option<Vec<PortBinding>>>,
    /// Whether it is started again when it ends.
    pub restart_policy: RestartPolicy,
    /// Whether it is removed when it ends.
    pub auto_remove: bool,
    /// Who keeps the volumes that `binds` names.
    pub volume_driver: String,
    /// Containers whose mounts it shares: `name[:ro]`.
    pub volumes_from: Option<Vec<String>>,
    /// Rows and columns of its terminal at first.
    pub console_size: [u32; 2],
    /// Notes to the runtime. Kept and shown.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Capabilities beside the default ones.
    pub cap_add: Option<Vec<String>>,
    /// Capabilities that it is denied.
    pub cap_drop: Option<Vec<String>>,
    /// Whose view of control groups: `host`, `private` or empty.
    pub cgroupns_mode: String,
    /// Its name servers; the host's where empty.
    pub dns: Vec<String>,
    /// Its resolver's options; the host's where empty.
    pub dns_options: Vec<String>,
    /// The domains it searches; the host's where empty.
    pub dns_search: Vec<String>,
    /// Lines of `/etc/hosts`: `name:address`.
    pub extra_hosts: Option<Vec<String>>,
    /// Further groups of its first process.
    pub group_add: Option<Vec<String>>,
    /// Whose System V and POSIX messages.
    pub ipc_mode: String,
    /// Kept and shown.
    pub cgroup: String,
    /// Other containers by other names; an old way of networks. Kept and shown.
    pub links: Option<Vec<String>>,
    /// How gladly the kernel ends it when memory is short (-1000 to 1000).
    pub oom_score_adj: i32,
    /// Whose processes it sees.
    pub pid_mode: String,
    /// Whether everything of the host is open to it.
    pub privileged: bool,
    /// Whether all exposed ports are published.
    pub publish_all_ports: bool,
    /// Whether its root is read-only.
    pub readonly_rootfs: bool,
    /// `no-new-privileges`, `seccomp=…`, …
    pub security_opt: Option<Vec<String>>,
    /// Options of the storage driver; refused.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_opt: BTreeMap<String, String>,
    /// Folders in memory, with the options of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// Whose names of the host.
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    /// Whose users; only the host's are offered.
    pub userns_mode: String,
    /// The size of `/dev/shm` (bytes).
    pub shm_size: i64,
    /// Kernel parameters of its namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// The runtime; there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime: String,
    /// Windows' isolation. Kept and shown.
    pub isolation: String,
    /// What it may use.
    #[serde(flatten)]
    pub resources: ContainerResources,
    /// What is mounted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Paths that are hidden; Docker's where `None`.
    pub masked_paths: Option<Vec<String>>,
    /// Paths that are read-only; Docker's where `None`.
    pub readonly_paths: Option<Vec<String>>,
    /// Whether a process of ours is its first one, which collects orphans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

/// Who keeps a container's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// `json-file`, `local`, `none` or empty.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Its options, such as `max-size`.
    pub config: BTreeMap<String, String>,
}

/// A port of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// The host's address; all where empty.
    pub host_ip: String,
    /// The port; any where empty.
    pub host_port: String,
}

/// Whether a container is started again when it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// `no`, `always`, `on-failure`, `unless-stopped`, or empty for `no`.
    pub name: String,
    /// How often at most after failures; 0 is no bound.
    pub maximum_retry_count: i64,
}
