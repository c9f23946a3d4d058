//! A service: the promise that so many tasks run, and how it is kept when it changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::container_spec::is_zero;
use crate::{Meta, NetworkAttachmentConfig, Secret, ServiceId, TaskSpec, Version};

/// How long a changed task is watched before it counts as well, where none is named: 5 s (SwarmKit's `defaultMonitor`).
pub const DEFAULT_MONITOR: i64 = 5_000_000_000;

/// A service as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Version and times.
    pub meta: Meta,
    /// What is wanted.
    pub spec: ServiceSpec,
    /// What is known.
    pub state: ServiceState,
}

impl Service {
    /// A service of its first spec; version and times are the store's to set.
    pub fn new(id: ServiceId, spec: ServiceSpec) -> Self {
        Self { id, meta: Meta::default(), spec, state: ServiceState { spec_revision: 1, ..ServiceState::default() } }
    }

    /// The iteration that a job is in, from 0; none where the service is no job.
    pub fn job_iteration(&self) -> Option<u64> {
        let begun = || self.state.job.as_ref().map_or(0, |job| job.iteration);
        self.spec.is_job().then(begun)
    }
}

/// What the managers know of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceState {
    /// Counts the specs that the service has had; tasks carry the one that they were made of.
    pub spec_revision: u64,
    /// The version in which the spec became what it is, set by the store: who saw this version or a later one knows the
    /// spec, whatever else has changed since.
    pub spec_version: Version,
    /// The spec before, which a rollback goes back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_spec: Option<Box<ServiceSpec>>,
    /// What its images are pulled with: an `X-Registry-Auth` header as the client sent it. Tasks are made with it, and
    /// nobody is shown it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_auth: Option<Secret>,
    /// The same of the spec before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_registry_auth: Option<Secret>,
    /// How the last update fares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_status: Option<UpdateStatus>,
    /// How often a job was begun, and when last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobState>,
    /// Nobody sees it any more; it goes once its last task has.
    pub is_removed: bool,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// Counts how often it was begun; tasks carry theirs.
    pub iteration: u64,
    /// When it was begun last, by the leader's clock.
    pub last_execution: Timestamp,
}

/// What an operator wants of a service: Docker's `ServiceSpec`, kept losslessly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceSpec {
    /// Its name.
    pub name: String,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
    /// What each of its tasks is to be.
    pub task_template: TaskSpec,
    /// How many tasks, and where.
    pub mode: ServiceMode,
    /// How its tasks are changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_config: Option<UpdateConfig>,
    /// How they are changed back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_config: Option<UpdateConfig>,
    /// Networks, at the place where old clients name them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachmentConfig>,
    /// How it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_spec: Option<EndpointSpec>,
}

impl ServiceSpec {
    /// The ports that are published.
    pub fn ports(&self) -> &[PortConfig] {
        self.endpoint_spec.as_ref().map_or(&[], |endpoint| &endpoint.ports)
    }

    /// The replicas of a replicated service.
    pub fn replicas(&self) -> Option<u64> {
        self.mode.replicated.as_ref().map(|mode| mode.replicas.unwrap_or(1))
    }

    /// Whether its tasks are to complete, not to run on.
    pub fn is_job(&self) -> bool {
        self.mode.replicated_job.is_some() || self.mode.global_job.is_some()
    }

    /// Whether each node has a task of its own.
    pub fn is_global(&self) -> bool {
        self.mode.global.is_some() || self.mode.global_job.is_some()
    }
}

/// How many tasks, and where: one of the four.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceMode {
    /// A number of tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated: Option<ReplicatedMode>,
    /// One on each node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global: Option<GlobalMode>,
    /// A number of tasks that complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated_job: Option<ReplicatedJobMode>,
    /// One on each node that completes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_job: Option<GlobalMode>,
}

/// A number of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplicatedMode {
    /// How many; one where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
}

/// One task on each node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalMode {}

/// A number of tasks that complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplicatedJobMode {
    /// How many run at a time; one where absent, all where 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u64>,
    /// How many complete; as many as run at a time where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_completions: Option<u64>,
}

impl ReplicatedJobMode {
    /// How many run at a time at most.
    pub fn concurrency(&self) -> u64 {
        match self.max_concurrent {
            None => 1,
            Some(0) => self.completions(),
            Some(number) => number,
        }
    }

    /// How many are to complete.
    pub fn completions(&self) -> u64 {
        self.total_completions.or(self.max_concurrent).unwrap_or(1)
    }
}

/// How the tasks of a service are changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateConfig {
    /// How many at a time; all where 0.
    pub parallelism: u64,
    /// The pause after each (ns).
    #[serde(skip_serializing_if = "is_zero")]
    pub delay: i64,
    /// `pause`, `continue` or `rollback`; empty is `pause`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_action: String,
    /// How long each is watched (ns); [`DEFAULT_MONITOR`] where 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub monitor: i64,
    /// The part that may fail without that the update has.
    #[serde(serialize_with = "as_go_writes_it")]
    pub max_failure_ratio: f32,
    /// `stop-first` or `start-first`; empty is `stop-first`.
    pub order: String,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            parallelism: 0,
            delay: 0,
            failure_action: String::new(),
            monitor: 0,
            max_failure_ratio: 0.0,
            order: String::new(),
        }
    }
}

/// What happens when too many changed tasks fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureAction {
    /// The update waits for the operator.
    Pause,
    /// It goes on.
    Continue,
    /// The service goes back to the spec before.
    Rollback,
}

/// Which comes first when a task is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateOrder {
    /// The old one ends before the new one starts.
    StopFirst,
    /// The new one runs before the old one ends.
    StartFirst,
}

impl UpdateConfig {
    /// What happens when too many changed tasks fail.
    pub fn failure_action(&self) -> FailureAction {
        match self.failure_action.as_str() {
            "continue" => FailureAction::Continue,
            "rollback" => FailureAction::Rollback,
            _ => FailureAction::Pause,
        }
    }

    /// Which comes first.
    pub fn order(&self) -> UpdateOrder {
        if self.order == "start-first" { UpdateOrder::StartFirst } else { UpdateOrder::StopFirst }
    }

    /// How long each is watched (ns).
    pub fn monitor(&self) -> i64 {
        if self.monitor == 0 { DEFAULT_MONITOR } else { self.monitor }
    }
}

/// How an update fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateStatus {
    /// Where it stands.
    pub state: UpdateState,
    /// When it began, by the leader's clock.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Docker's words for it.
    pub message: String,
}

/// Where an update stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateState {
    /// Tasks are being changed.
    Updating,
    /// It waits for the operator.
    Paused,
    /// All tasks are changed.
    Completed,
    /// Tasks are being changed back.
    RollbackStarted,
    /// Changing back waits for the operator.
    RollbackPaused,
    /// All tasks are changed back.
    RollbackCompleted,
}

impl UpdateState {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Updating => "updating",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::RollbackStarted => "rollback_started",
            Self::RollbackPaused => "rollback_paused",
            Self::RollbackCompleted => "rollback_completed",
        }
    }
}

/// How a service is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSpec {
    /// `vip` or `dnsrr`; empty is `vip`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// The ports that are published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
}

/// A port that is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortConfig {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `tcp`, `udp` or `sctp`; empty is `tcp`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// The port in the container.
    #[serde(skip_serializing_if = "is_no_port")]
    pub target_port: u32,
    /// The port that is published; found by the swarm where 0.
    #[serde(skip_serializing_if = "is_no_port")]
    pub published_port: u32,
    /// `ingress` or `host`; empty is `ingress`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub publish_mode: String,
}

impl PortConfig {
    /// Whether it is published on the task's own node alone.
    pub fn is_host_mode(&self) -> bool {
        self.publish_mode == "host"
    }

    /// Its protocol.
    pub fn protocol(&self) -> &str {
        if self.protocol.is_empty() { "tcp" } else { &self.protocol }
    }
}

/// A whole ratio has no point in Go's JSON. The store's encoding keeps it what it is.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn as_go_writes_it<S: Serializer>(ratio: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() && *ratio == 0.0 {
        serializer.serialize_u8(0)
    } else if serializer.is_human_readable() && (*ratio - 1.0).abs() < f32::EPSILON {
        serializer.serialize_u8(1)
    } else {
        serializer.serialize_f32(*ratio)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_no_port(port: &u32) -> bool {
    *port == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_ratio_is_written_without_a_point_and_read_back() {
        let write = |max_failure_ratio: f32| {
            let config = UpdateConfig { max_failure_ratio, ..UpdateConfig::default() };
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<UpdateConfig>(&text).unwrap(), config);
            text
        };

        assert_eq!(write(0.0), r#"{"Parallelism":0,"MaxFailureRatio":0,"Order":""}"#);
        assert_eq!(write(1.0), r#"{"Parallelism":0,"MaxFailureRatio":1,"Order":""}"#);
        assert_eq!(write(0.25), r#"{"Parallelism":0,"MaxFailureRatio":0.25,"Order":""}"#);
    }

    #[test]
    fn a_service_keeps_what_it_pulls_with_to_itself() {
        let state = ServiceState { registry_auth: Some(Secret::new("hunter2")), ..ServiceState::default() };

        assert!(!format!("{state:?}").contains("hunter2"));
        assert_eq!(json!(state)["registry_auth"], "hunter2", "the store keeps it");
    }
}
