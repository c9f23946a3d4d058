//! What is asked of a machine, and what a machine is once it exists.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The provider's own id of a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub String);

impl fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One machine to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRequest {
    /// What the machine and all that is made with it carries.
    pub mark: crate::Mark,
    /// Its name at the provider: `<cluster>-node-N`.
    pub name: String,
    /// Its host name: `node-N`.
    pub hostname: String,
    /// Its number in the cluster, from 1; never used again while the cluster lives.
    pub number: u32,
    /// Machines of one group (role, zone) may be created in one call and share their user-data.
    pub group: String,
    /// It becomes a manager. A driver that lends machines rights at the provider lends them to managers only.
    pub is_manager: bool,
    /// What cloud-init is given, where the provider takes any.
    pub user_data: Option<String>,
    /// The host key (OpenSSH public key) that the user-data hands to the machine, until it makes one of its own.
    pub host_key: Option<String>,
    /// The public key (OpenSSH) that may log in.
    pub authorized_key: Option<String>,
    /// The agent's binary on this workstation, for providers whose machines start with it.
    pub agent: Option<PathBuf>,
    /// The provider's own options for this machine.
    pub options: crate::Options,
}

/// A machine as its provider sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The provider's id.
    pub id: InstanceId,
    /// Its name at the provider.
    pub name: String,
    /// Whether it runs.
    pub state: InstanceState,
    /// Its architecture as `uname -m` names it, where the provider knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// The address by which the other members reach it.
    pub private_address: Option<IpAddr>,
    /// The address by which the operator reaches it, where that is another one.
    pub public_address: Option<IpAddr>,
    /// How to get in.
    pub access: Option<Access>,
}

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// On its way up.
    Starting,
    /// Up.
    Running,
    /// Down, with its disk kept.
    Stopped,
}

/// How to run commands on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Access {
    /// By SSH.
    Ssh(SshAccess),
    /// By entering the namespaces of a process of this workstation.
    Namespace {
        /// PID 1 of the machine, as this workstation numbers it.
        pid: u32,
        /// When that process started (clock ticks since boot, `/proc/PID/stat` field 22): a PID may be used again.
        started: u64,
    },
    /// None at all: the machine exists in memory only.
    Memory,
}

/// How to log in by SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshAccess {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; where it is not root, commands run by sudo.
    pub user: String,
    /// The private key file; absent: the agent's keys.
    pub key_file: Option<PathBuf>,
    /// The host key (OpenSSH public key) that is expected; absent: accepted once and pinned.
    pub host_key: Option<String>,
}

/// What a machine's console shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// The last lines of its output.
    pub output: String,
}
