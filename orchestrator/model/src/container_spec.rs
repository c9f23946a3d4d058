//! What the container of a task is to be: Docker's `ContainerSpec`, kept losslessly.
//!
//! Texts that Docker chooses from a list (`StopSignal`, a mount's `Type`) stay texts here, as the operator wrote them;
//! [`validate_service_spec`](crate::validate_service_spec) refuses the wrong ones. Durations are nanoseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mount::Mount;

/// How the container of a task is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerSpec {
    /// The image, with its digest where the client resolved one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Labels of the container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Replaces the image's entry point.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Replaces the image's command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its host name; a template.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// `NAME=value`; templates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dir: String,
    /// `user[:group]`, by name or number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Further groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What the kernel lets it do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileges: Option<Privileges>,
    /// Whether a process of ours is its first one, which collects orphans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// The signal that asks it to end; the image's, else `SIGTERM`, where empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Whether it has a terminal.
    #[serde(rename = "TTY", skip_serializing_if = "is_false")]
    pub tty: bool,
    /// Whether its input stays open.
    #[serde(skip_serializing_if = "is_false")]
    pub open_stdin: bool,
    /// Whether its root is read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// What is mounted; sources are templates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// How long it may take to end before it is killed; 10 s where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<i64>,
    /// How it is asked whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Lines of `/etc/hosts`: `address name…`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Its resolver.
    #[serde(rename = "DNSConfig", skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Secrets that it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretReference>,
    /// Configs that it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ConfigReference>,
    /// Windows' isolation; kept and shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub isolation: String,
    /// Kernel parameters of its namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Capabilities beyond Docker's default ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capability_add: Vec<String>,
    /// Capabilities that it is denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capability_drop: Vec<String>,
    /// Limits of its processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<Ulimit>,
    /// How gladly the kernel ends it when memory is short (-1000 to 1000).
    #[serde(skip_serializing_if = "is_zero")]
    pub oom_score_adj: i64,
}

/// What the kernel lets a container do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Privileges {
    /// Windows' credentials; kept and shown.
    pub credential_spec: Option<serde_json::Value>,
    /// `SELinux`'s labels; kept and shown.
    #[serde(rename = "SELinuxContext")]
    pub selinux_context: Option<serde_json::Value>,
    /// Which system calls it may make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<SeccompOptions>,
    /// Its `AppArmor` profile; kept and shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_armor: Option<serde_json::Value>,
    /// Whether its processes can never gain privileges.
    #[serde(skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
}

/// Which system calls a container may make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SeccompOptions {
    /// `default`, `unconfined` or `custom`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// The custom profile: JSON, in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
}

/// How a container is asked whether it is well; zero and empty mean the image's, else Docker's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthConfig {
    /// `NONE`, or `CMD` with a program and its arguments, or `CMD-SHELL` with a line for the shell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// The pause between two questions (ns).
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// How long an answer may take (ns).
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// How long it may answer badly after its start (ns).
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// The pause between two questions during that time (ns).
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Bad answers in a row that make it unwell.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// The resolver of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsConfig {
    /// Servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Domains to search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options (`ndots:3`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A secret that a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecretReference {
    /// Where it sees it.
    pub file: Option<FileTarget>,
    /// The secret's id.
    #[serde(rename = "SecretID")]
    pub secret_id: String,
    /// The secret's name.
    pub secret_name: String,
}

/// A config that a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigReference {
    /// Where it sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileTarget>,
    /// It is for the runtime, and no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<serde_json::Value>,
    /// The config's id.
    #[serde(rename = "ConfigID")]
    pub config_id: String,
    /// The config's name.
    pub config_name: String,
}

/// A file in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FileTarget {
    /// Its path.
    pub name: String,
    /// Its owner.
    #[serde(rename = "UID")]
    pub uid: String,
    /// Its group.
    #[serde(rename = "GID")]
    pub gid: String,
    /// Its mode.
    pub mode: u32,
}

/// A limit of processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// `nofile`, `nproc`, …
    pub name: String,
    /// What they may raise to `soft` by themselves.
    pub hard: i64,
    /// What holds.
    pub soft: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
pub(crate) fn is_zero(number: &i64) -> bool {
    *number == 0
}
