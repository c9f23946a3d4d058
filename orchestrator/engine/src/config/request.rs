//! The request that makes a container: Docker's `Config` with `HostConfig` and `NetworkingConfig` inside.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ContainerConfig, HostConfig};

/// What a new container is to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateRequest {
    /// What it runs.
    #[serde(flatten)]
    pub config: ContainerConfig,
    /// How it stands on its host.
    #[serde(rename = "HostConfig")]
    pub host_config: HostConfig,
    /// Its places in networks. Kept and shown.
    #[serde(rename = "NetworkingConfig", skip_serializing_if = "Option::is_none")]
    pub networking_config: Option<Value>,
}

/// Reads a value as Go does: `null` is as if it were absent.
pub fn from_docker_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(text)?;
    drop_nulls(&mut value);
    serde_json::from_value(value)
}

/// Takes every `null` member away. `serde_json` bounds how deep a value is.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
