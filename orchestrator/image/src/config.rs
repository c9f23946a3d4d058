//! The configuration of an image: what its containers run, and how it came to be.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{Digest, Platform};

/// An image's configuration, as far as a node needs it. Docker's and the OCI's form are the same here.
///
/// The stored text is kept byte for byte; this is a view of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// The processor, in Go's words.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// The generation of the processor.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub variant: String,
    /// When it was made; absent in reproducible images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub author: String,
    /// What was said when it was made.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub comment: String,
    /// The version of the Docker that made it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub docker_version: String,
    /// How its containers run.
    #[serde(deserialize_with = "null_is_default")]
    pub config: RunConfig,
    /// Its layers.
    pub rootfs: RootfsList,
    /// The steps that made it, first step first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub history: Vec<HistoryStep>,
}

impl ImageConfig {
    /// The machine it is for.
    pub fn platform(&self) -> Platform {
        Platform { os: self.os.clone(), architecture: self.architecture.clone(), variant: self.variant.clone() }
    }
}

/// How containers of an image run: the defaults that a container's own settings override.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// User, and group after a colon, by name or number.
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    /// The ports that its programs listen on: `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `NAME=value`.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// The program, before `cmd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The program where there is no entry point, else its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// The folders that become anonymous volumes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub volumes: BTreeMap<String, Value>,
    /// Where the program starts.
    #[serde(deserialize_with = "null_is_default")]
    pub working_dir: String,
    /// What people say of the image.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub stop_signal: String,
    /// The seconds between that signal and the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// How to see whether the program is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// What runs `RUN` and `CMD` written as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// What is run when an image is built on this one.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub on_build: Vec<String>,
}

/// How to see whether a program is well. Durations are nanoseconds, 0 meaning Docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", text]` or `["NONE"]`.
    #[serde(deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    /// Between two looks.
    pub interval: i64,
    /// For one look.
    pub timeout: i64,
    /// While the program starts and may fail.
    pub start_period: i64,
    /// Between two looks in that time.
    pub start_interval: i64,
    /// The failures in a row that make it unhealthy.
    pub retries: i64,
}

/// An image's layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsList {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The digests of the uncompressed layers, lowest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootfsList {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// One step that made an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryStep {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The command.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub created_by: String,
    /// Who.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub author: String,
    /// What was said.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub comment: String,
    /// Whether it added no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// Go writes `null` for what is empty.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_as_docker_writes_it_is_read() {
        let text = r#"{"architecture":"amd64","os":"linux","created":"2024-05-01T10:00:00.5Z","container":"x",
            "config":{"Hostname":"","User":"nobody","Env":["PATH=/bin"],"Cmd":["sh"],"Entrypoint":null,"Labels":null,
                "Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":{}},"OnBuild":null,
                "Healthcheck":{"Test":["CMD","true"],"Interval":1000000000}},
            "history":[{"created":"2024-05-01T10:00:00Z","created_by":"ADD","empty_layer":true}],
            "rootfs":{"type":"layers","diff_ids":null}}"#;

        let config: ImageConfig = serde_json::from_str(text).unwrap();

        assert_eq!(config.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert_eq!(config.config.entrypoint, None);
        assert!(config.config.volumes.contains_key("/data"));
        assert_eq!(config.config.healthcheck.unwrap().interval, 1_000_000_000);
        assert!(config.history[0].empty_layer);
    }
}
