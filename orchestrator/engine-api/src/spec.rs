//! What a client sends, turned into the vocabulary: Docker's defaults for what it leaves out, Docker's words for
//! what it gets wrong.

mod container;
mod container_keys;
mod keys;
mod ports;
mod service;
mod service_name;

use std::collections::BTreeMap;

use serde::Deserialize;

use model::{
    Availability, CaConfig, DispatcherConfig, NodeSpec, OrchestrationConfig, RaftConfig, Role, Secret, SwarmError,
    SwarmSpec,
};
use node::{InitRequest, JoinRequest};

use crate::version::ApiVersion;
pub(crate) use container::{read_container, read_exec, read_update};
pub(crate) use service::{complete_new_service, complete_service, read_service};

/// Since when a client may choose address pools and subnet size.
const ADDRESS_POOLS_SINCE: ApiVersion = ApiVersion::new(1, 39);
/// Since when a client may choose the port of VXLAN.
const DATA_PATH_PORT_SINCE: ApiVersion = ApiVersion::new(1, 40);

/// Body of `POST /swarm/init`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct InitBody {
    listen_addr: String,
    advertise_addr: String,
    data_path_addr: String,
    data_path_port: u32,
    default_addr_pool: Vec<String>,
    subnet_size: u32,
    force_new_cluster: bool,
    auto_lock_managers: bool,
    availability: String,
    spec: SwarmSpec,
}

impl InitBody {
    /// The request, as a client of that version may make it: what it cannot know of is ignored.
    pub(crate) fn into_request(self, version: ApiVersion) -> Result<InitRequest, SwarmError> {
        let spec = complete(self.spec)?;
        let has_pools = version >= ADDRESS_POOLS_SINCE;
        let has_port = version >= DATA_PATH_PORT_SINCE;
        Ok(InitRequest {
            listen_addr: given(self.listen_addr),
            advertise_addr: given(self.advertise_addr),
            data_path_addr: given(self.data_path_addr),
            data_path_port: if has_port { self.data_path_port } else { 0 },
            default_addr_pool: if has_pools { self.default_addr_pool } else { Vec::new() },
            subnet_size: if has_pools { self.subnet_size } else { 0 },
            force_new_cluster: self.force_new_cluster,
            auto_lock_managers: self.auto_lock_managers,
            availability: availability_or_active(&self.availability)?,
            spec,
        })
    }
}

/// Body of `POST /swarm/join`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct JoinBody {
    listen_addr: String,
    advertise_addr: String,
    data_path_addr: String,
    remote_addrs: Vec<String>,
    join_token: String,
    availability: String,
}

impl JoinBody {
    /// The request.
    pub(crate) fn into_request(self) -> Result<JoinRequest, SwarmError> {
        if self.remote_addrs.is_empty() {
            return Err(SwarmError::invalid("at least 1 RemoteAddr is required to join"));
        }
        if self.remote_addrs.iter().any(String::is_empty) {
            return Err(SwarmError::invalid("invalid remoteAddr \"\": invalid empty address"));
        }
        Ok(JoinRequest {
            listen_addr: given(self.listen_addr),
            advertise_addr: given(self.advertise_addr),
            data_path_addr: given(self.data_path_addr),
            remote_addrs: self.remote_addrs,
            join_token: self.join_token,
            availability: availability_or_active(&self.availability)?,
        })
    }
}

/// Body of `POST /nodes/{id}/update`. Role and availability are texts, so that wrong ones are refused in Docker's
/// words.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct NodeSpecBody {
    name: String,
    labels: BTreeMap<String, String>,
    role: String,
    availability: String,
}

impl NodeSpecBody {
    /// The settings. The body holds all of them: what is left out of it is not kept from before.
    pub(crate) fn into_spec(self) -> Result<NodeSpec, SwarmError> {
        let role = match self.role.to_lowercase().as_str() {
            "worker" => Role::Worker,
            "manager" => Role::Manager,
            _ => return Err(SwarmError::invalid(format!("invalid Role: {:?}", self.role))),
        };
        let availability = availability(&self.availability)?;
        Ok(NodeSpec { name: self.name, labels: self.labels, role, availability })
    }
}

/// Body of `POST /swarm/unlock`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct UnlockBody {
    /// As the operator wrote it.
    pub(crate) unlock_key: Secret,
}

/// Fills in a swarm's settings: zero and empty mean the default, as in Docker.
pub(crate) fn complete(mut spec: SwarmSpec) -> Result<SwarmSpec, SwarmError> {
    if spec.name.is_empty() {
        "default".clone_into(&mut spec.name);
    }
    if spec.name != "default" {
        return Err(SwarmError::invalid("swarm spec must be named \"default\""));
    }
    let raft = RaftConfig::default();
    default_if(&mut spec.raft.snapshot_interval, &0, raft.snapshot_interval);
    default_if(&mut spec.raft.log_entries_for_slow_followers, &0, raft.log_entries_for_slow_followers);
    default_if(&mut spec.raft.election_tick, &0, raft.election_tick);
    default_if(&mut spec.raft.heartbeat_tick, &0, raft.heartbeat_tick);
    default_if(&mut spec.raft.keep_old_snapshots, &None, raft.keep_old_snapshots);
    let history = OrchestrationConfig::default().task_history_retention_limit;
    default_if(&mut spec.orchestration.task_history_retention_limit, &None, history);
    default_if(&mut spec.dispatcher.heartbeat_period, &0, DispatcherConfig::default().heartbeat_period);
    default_if(&mut spec.ca_config.node_cert_expiry, &0, CaConfig::default().node_cert_expiry);
    Ok(spec)
}

fn default_if<T: PartialEq>(value: &mut T, unset: &T, default: T) {
    if value == unset {
        *value = default;
    }
}

fn given(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

fn availability_or_active(text: &str) -> Result<Availability, SwarmError> {
    if text.is_empty() { Ok(Availability::Active) } else { availability(text) }
}

fn availability(text: &str) -> Result<Availability, SwarmError> {
    match text.to_lowercase().as_str() {
        "active" => Ok(Availability::Active),
        "pause" => Ok(Availability::Pause),
        "drain" => Ok(Availability::Drain),
        _ => Err(SwarmError::invalid(format!("invalid Availability: {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn init(body: Value, version: ApiVersion) -> Result<InitRequest, String> {
        let body: InitBody = serde_json::from_value(body).unwrap();
        body.into_request(version).map_err(|error| error.message)
    }

    fn node_spec(body: Value) -> Result<NodeSpec, String> {
        let body: NodeSpecBody = serde_json::from_value(body).unwrap();
        body.into_spec().map_err(|error| error.message)
    }

    #[test]
    fn an_empty_request_takes_all_defaults() {
        assert_eq!(init(json!({}), ApiVersion::new(1, 51)), Ok(InitRequest::default()));
    }

    #[test]
    fn zero_and_empty_mean_the_default() {
        let spec = json!({
            "Name": "", "Orchestration": {}, "Raft": {"SnapshotInterval": 0, "ElectionTick": 0, "HeartbeatTick": 0},
            "Dispatcher": {"HeartbeatPeriod": 0}, "CAConfig": {"NodeCertExpiry": 0},
        });

        assert_eq!(complete(serde_json::from_value(spec).unwrap()), Ok(SwarmSpec::default()));
    }

    #[test]
    fn what_is_given_is_kept() {
        let spec = json!({
            "Labels": {"a": "b"}, "Orchestration": {"TaskHistoryRetentionLimit": 0},
            "Dispatcher": {"HeartbeatPeriod": 7_000_000_000_i64},
        });

        let spec = complete(serde_json::from_value(spec).unwrap()).unwrap();

        assert_eq!(spec.labels["a"], "b");
        assert_eq!(spec.orchestration.task_history_retention_limit, Some(0));
        assert_eq!(spec.dispatcher.heartbeat_period, 7_000_000_000);
        assert_eq!(spec.raft, RaftConfig::default());
    }

    #[test]
    fn another_name_is_refused() {
        let name = init(json!({"Spec": {"Name": "lab"}}), ApiVersion::new(1, 51)).unwrap_err();

        assert_eq!(name, "swarm spec must be named \"default\"");
    }

    #[test]
    fn autolock_is_asked_for_in_the_body_or_in_the_settings() {
        let newest = ApiVersion::new(1, 51);
        let shortcut = init(json!({"AutoLockManagers": true}), newest).unwrap();
        let field = init(json!({"Spec": {"EncryptionConfig": {"AutoLockManagers": true}}}), newest).unwrap();

        assert!(shortcut.auto_lock_managers && !shortcut.spec.encryption_config.auto_lock_managers);
        assert!(!field.auto_lock_managers && field.spec.encryption_config.auto_lock_managers);
    }

    #[test]
    fn old_clients_cannot_choose_what_came_later() {
        let body = json!({"DataPathPort": 5000, "DefaultAddrPool": ["10.9.0.0/16"], "SubnetSize": 26});

        let oldest = init(body.clone(), ApiVersion::new(1, 38)).unwrap();
        let middle = init(body.clone(), ApiVersion::new(1, 39)).unwrap();
        let newest = init(body, ApiVersion::new(1, 40)).unwrap();

        assert_eq!(oldest, InitRequest::default());
        assert_eq!((middle.data_path_port, middle.subnet_size), (0, 26));
        assert_eq!((newest.data_path_port, newest.default_addr_pool.len()), (5000, 1));
    }

    #[test]
    fn a_join_needs_somebody_to_join() {
        let join = |body: Value| serde_json::from_value::<JoinBody>(body).unwrap().into_request();

        assert_eq!(join(json!({})).unwrap_err().message, "at least 1 RemoteAddr is required to join");
        let request = join(json!({"RemoteAddrs": ["10.0.0.1"], "Availability": "drain"})).unwrap();
        assert_eq!((request.remote_addrs.len(), request.availability), (1, Availability::Drain));
    }

    #[test]
    fn roles_and_availabilities_are_read_in_any_case_and_refused_in_dockers_words() {
        let good = node_spec(json!({"Role": "Manager", "Availability": "PAUSE"})).unwrap();

        assert_eq!((good.role, good.availability), (Role::Manager, Availability::Pause));
        assert_eq!(node_spec(json!({"Availability": "active"})).unwrap_err(), "invalid Role: \"\"");
        assert_eq!(node_spec(json!({"Role": "boss"})).unwrap_err(), "invalid Role: \"boss\"");
        assert_eq!(node_spec(json!({"Role": "worker"})).unwrap_err(), "invalid Availability: \"\"");
    }
}
