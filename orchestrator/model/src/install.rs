//! What the workstation tells `swarmd service install` on a host, by standard input, and what it hears back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Bootstrap, ErrorKind};

/// What to install; the binary itself is on the host already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallRequest {
    /// The cluster's mark; a host that carries another one refuses.
    pub mark: String,
    /// The cluster's name, for messages.
    pub cluster_name: String,
    /// The host name of the node (`node-1`), which need not be the machine's own.
    pub hostname: String,
    /// The systemd unit, rendered; used where systemd runs.
    pub unit: Option<String>,
    /// Labels of the engine.
    pub labels: BTreeMap<String, String>,
    /// The identity; absent where the node joins by token, or is installed already.
    pub bootstrap: Option<Bootstrap>,
    /// The lease by which the host stays; absent where it stays until somebody takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseTerms>,
}

/// The terms of a swarm's lease: how long its nodes stay when nobody renews it, and how they end then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseTerms {
    /// Seconds from the last renewal until it lapses.
    pub seconds: u32,
    /// What a node does then.
    pub on_lapse: OnLapse,
}

/// What a node does once nobody holds the swarm's lease any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLapse {
    /// It ends its machine: by the script that its provider's user-data left there, else by powering off.
    EndMachine,
    /// It takes itself off its host, which stays.
    RemoveAgent,
}

/// Who keeps the agent running on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervision {
    /// A systemd unit.
    Systemd,
    /// A supervising process of our own.
    Supervisor,
    /// PID 1 of a local machine.
    Init,
}

/// What `swarmd service …` did; printed as JSON on standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// Who keeps the agent running.
    pub supervision: Supervision,
    /// Whether the agent runs now.
    pub is_running: bool,
    /// Whether the host carries a mark, and which.
    pub mark: Option<String>,
    /// The version of the agent installed.
    pub version: String,
    /// What starts the agent again when the host comes up (`systemd`, `openrc`, `sysv`, `cron`, `swarmd init`); absent
    /// where nothing does.
    #[serde(default)]
    pub starts_at_boot: Option<String>,
    /// The SHA-256, in lower-case hexadecimal digits, of the program that the agent runs now, which need not be the one
    /// that is installed; told by `status` where the agent runs, and absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_sha256: Option<String>,
}

/// Why `swarmd service …` refused; printed as JSON on standard output with exit code 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRefusal {
    /// The kind.
    pub kind: ErrorKind,
    /// What failed.
    pub error: String,
    /// What the user can do.
    pub hint: Option<String>,
}
