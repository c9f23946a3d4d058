//! What a container is to run: Docker's `Config`, `HostConfig` and the request that carries both, kept losslessly.
//!
//! Texts that Docker chooses from a list (`NetworkMode`, a mount's `Type`) stay texts here, as they were written;
//! [`settings`](crate::settings) refuses the wrong ones. Go writes `null` for what is empty, and reads it so:
//! [`from_docker_json`] does the same.

mod host;
mod request;
mod resources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::HealthConfig;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use self::host::{HostConfig, LogConfig, PortBinding, RestartPolicy};
pub use self::request::{CreateRequest, from_docker_json};
pub use self::resources::{BlkioWeightDevice, ContainerResources, DeviceMapping, DeviceRequest, ThrottleDevice};

/// What a container runs. A field that is empty means the image's.
#[expect(clippy::struct_excessive_bools, reason = "they are Docker's")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// Its host name; the beginning of its id where empty.
    pub hostname: String,
    /// Its NIS domain.
    pub domainname: String,
    /// `user[:group]`, by name or number.
    pub user: String,
    /// Whether who made it was to be attached to its input. Kept and shown.
    pub attach_stdin: bool,
    /// Whether who made it was to be attached to its output. Kept and shown.
    pub attach_stdout: bool,
    /// Whether who made it was to be attached to its errors. Kept and shown.
    pub attach_stderr: bool,
    /// The ports that its programs listen on: `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Map<String, Value>>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its input stays open while nobody is attached.
    pub open_stdin: bool,
    /// Whether its input ends once the first one who was attached leaves.
    pub stdin_once: bool,
    /// `NAME=value`; a name alone takes the image's variable away.
    pub env: Vec<String>,
    /// The program where there is no entry point, else its arguments; the image's where `None`.
    #[serde(deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    /// How it is asked whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Windows' way to hand arguments over. Kept and shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// The image, by whatever name was given.
    pub image: String,
    /// The folders that become anonymous volumes.
    pub volumes: BTreeMap<String, Map<String, Value>>,
    /// Where its program starts.
    pub working_dir: String,
    /// The program, before `cmd`; the image's where `None`.
    #[serde(deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    /// Whether it has no network but the loopback.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub network_disabled: bool,
    /// The address of its link. Kept and shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    /// What is run when an image is built on one of it.
    pub on_build: Option<Vec<String>>,
    /// What people say of it.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to end; `SIGTERM` where empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// The seconds between that signal and the end; below zero, for ever; 10 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// What runs text that is written for a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// Docker takes one word in place of a list.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    let words = Option::deserialize(deserializer)?;
    Ok(words.map(|words| match words {
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    }))
}
