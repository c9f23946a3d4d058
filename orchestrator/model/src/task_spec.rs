//! What each task of a service is to be: Docker's `TaskSpec`, kept losslessly. Durations are nanoseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::container_spec::is_zero;
use crate::{ContainerSpec, Platform};

/// The restart delay where none is named: 5 s (SwarmKit's `DefaultRestartDelay`).
pub const DEFAULT_RESTART_DELAY: i64 = 5_000_000_000;

/// What a task is to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskSpec {
    /// Its container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_spec: Option<ContainerSpec>,
    /// A plugin in its place; refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_spec: Option<serde_json::Value>,
    /// A plain container's place in a network in its place; refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_attachment_spec: Option<serde_json::Value>,
    /// What it may use, and what is kept for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Whether it is replaced when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// Where it may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// Its networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachmentConfig>,
    /// Who keeps its logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<Driver>,
    /// Counted up, it makes an update where nothing else changed.
    pub force_update: u64,
    /// `container`, or empty for the same.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime: String,
}

impl TaskSpec {
    /// What is kept for the task.
    pub fn reservations(&self) -> Option<&Reservations> {
        self.resources.as_ref()?.reservations.as_ref()
    }

    /// The constraints on its node.
    pub fn constraints(&self) -> &[String] {
        self.placement.as_ref().map_or(&[], |placement| &placement.constraints)
    }
}

/// What a task may use, and what is kept for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ResourceRequirements {
    /// What it may use at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// What its node must have left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<Reservations>,
    /// Swap that it may use beyond its memory (bytes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_bytes: Option<i64>,
    /// How gladly the kernel swaps it out (0 to 100, or -1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swappiness: Option<i64>,
}

/// What a task may use at most; zero is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Processors × 10⁹.
    #[serde(rename = "NanoCPUs", skip_serializing_if = "is_zero")]
    pub nano_cpus: i64,
    /// Memory (bytes).
    #[serde(rename = "MemoryBytes", skip_serializing_if = "is_zero")]
    pub memory_bytes: i64,
    /// Processes.
    #[serde(rename = "Pids", skip_serializing_if = "is_zero")]
    pub pids: i64,
}

/// What a task's node must have left for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reservations {
    /// Processors × 10⁹.
    #[serde(rename = "NanoCPUs", skip_serializing_if = "is_zero")]
    pub nano_cpus: i64,
    /// Memory (bytes).
    #[serde(rename = "MemoryBytes", skip_serializing_if = "is_zero")]
    pub memory_bytes: i64,
    /// Resources that nodes name themselves.
    #[serde(rename = "GenericResources", skip_serializing_if = "Vec::is_empty")]
    pub generic_resources: Vec<GenericResource>,
}

/// So many of a resource that nodes name themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GenericResource {
    /// One that has a name (`gpu=UUID`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_resource_spec: Option<NamedResource>,
    /// A number of like ones (`ssd=2`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discrete_resource_spec: Option<DiscreteResource>,
}

/// A resource that has a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NamedResource {
    /// What it is.
    pub kind: String,
    /// Which one.
    pub value: String,
}

/// A number of like resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiscreteResource {
    /// What they are.
    pub kind: String,
    /// How many.
    pub value: i64,
}

/// Whether a task that ended is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// `none`, `on-failure` or `any`; empty is `any`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// The pause before (ns); [`DEFAULT_RESTART_DELAY`] where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<i64>,
    /// How often at most; 0 and absent are no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u64>,
    /// The time (ns) within which attempts count; 0 and absent are for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<i64>,
}

/// When a task is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartCondition {
    /// Never.
    None,
    /// When it failed.
    OnFailure,
    /// Whenever it ended.
    Any,
}

impl RestartPolicy {
    /// When a task is replaced.
    pub fn condition(&self) -> RestartCondition {
        match self.condition.as_str() {
            "none" => RestartCondition::None,
            "on-failure" => RestartCondition::OnFailure,
            _ => RestartCondition::Any,
        }
    }
}

/// Where a task may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Placement {
    /// What its node must be: `node.role==worker`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Over what the tasks are spread, the first one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferences: Vec<PlacementPreference>,
    /// How many tasks of the service a node has at most; 0 is no bound.
    #[serde(skip_serializing_if = "is_unset")]
    pub max_replicas: u64,
    /// What the image runs on; any where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
}

/// Over what tasks are spread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlacementPreference {
    /// The values of a label, evenly.
    pub spread: Option<SpreadOver>,
}

/// The label whose values tasks are spread over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SpreadOver {
    /// `node.labels.zone`, `engine.labels.rack`.
    pub spread_descriptor: String,
}

/// A network of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachmentConfig {
    /// The network, by name or id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Further names of the task in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
}

/// A driver of logs or volumes, with its options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Driver {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_unset(number: &u64) -> bool {
    *number == 0
}
