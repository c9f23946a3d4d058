//! A container with all that is known of it.

use std::collections::BTreeMap;
use std::path::Path;

use engine::{ContainerConfig, ContainerPlaces, ContainerRecord, ContainerView, HostConfig};
use serde::Serialize;
use serde_json::{Value, json};

use super::mount::{MountView, mounts};
use super::network::{self, NetworkSettingsView};
use super::state::StateView;
use super::{Sizes, program, time};

/// What the layers are mounted with.
const DRIVER: &str = "overlayfs";
/// The one runtime, by Docker's name.
const RUNTIME: &str = "runc";
/// Who keeps output unasked.
const LOG_DRIVER: &str = "json-file";
/// The size of `/dev/shm` unasked (bytes): Docker's.
const SHM_SIZE: i64 = 64 << 20;

/// Docker's `InspectResponse` of a container.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContainerDocument {
    id: String,
    created: String,
    path: String,
    args: Vec<String>,
    state: StateView,
    image: String,
    resolv_conf_path: String,
    hostname_path: String,
    hosts_path: String,
    /// The folder of its numbered files.
    log_path: String,
    name: String,
    restart_count: u32,
    driver: &'static str,
    platform: &'static str,
    mount_label: &'static str,
    process_label: &'static str,
    app_armor_profile: &'static str,
    #[serde(rename = "ExecIDs")]
    exec_ids: Option<Vec<String>>,
    host_config: HostConfig,
    graph_driver: DriverView,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    mounts: Vec<MountView>,
    config: Value,
    network_settings: NetworkSettingsView,
}

/// Where the container's own files lie; the image's are the engine's own affair.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DriverView {
    data: BTreeMap<&'static str, String>,
    name: &'static str,
}

/// What the document is made of.
#[derive(Debug)]
pub(crate) struct ContainerParts<'a> {
    /// The container.
    pub(crate) view: &'a ContainerView,
    /// Where its files lie.
    pub(crate) places: &'a ContainerPlaces,
    /// Its sizes, where the client asks for them.
    pub(crate) sizes: Option<Sizes>,
    /// The programs that were added to it and have not ended; absent, as in Docker, where there are none.
    pub(crate) exec_ids: Option<Vec<String>>,
    /// Whether the node's control groups are one hierarchy: by that containers have views of their own.
    pub(crate) has_unified_cgroups: bool,
}

impl ContainerDocument {
    /// Shows a container.
    pub(crate) fn new(parts: &ContainerParts<'_>) -> Self {
        let ContainerView { record, state } = parts.view;
        let places = parts.places;
        let (path, args) = program(record);
        let has_log = record.host_config.log_config.kind != "none";
        Self {
            id: record.id.clone(),
            created: time(record.created),
            path,
            args,
            state: state.into(),
            image: record.image.to_string(),
            resolv_conf_path: text(&places.resolv_conf),
            hostname_path: text(&places.hostname),
            hosts_path: text(&places.hosts),
            log_path: if has_log { text(&places.logs) } else { String::new() },
            name: format!("/{}", record.name),
            restart_count: state.restart_count,
            driver: DRIVER,
            platform: std::env::consts::OS,
            mount_label: "",
            process_label: "",
            app_armor_profile: "",
            exec_ids: parts.exec_ids.clone(),
            host_config: in_full(record, parts.has_unified_cgroups),
            graph_driver: DriverView {
                data: BTreeMap::from([("MergedDir", text(&places.root)), ("UpperDir", text(&places.changes))]),
                name: DRIVER,
            },
            size_rw: parts.sizes.map(|sizes| sizes.changed),
            size_root_fs: parts.sizes.map(|sizes| sizes.changed.saturating_add(sizes.image)),
            mounts: mounts(record),
            config: config(&record.config),
            network_settings: network::settings(parts.view),
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A link as Docker shows it: `/target:/name/alias`.
fn link_in_full(name: &str, link: &str) -> String {
    let (target, alias) = link.split_once(':').unwrap_or((link, link));
    format!("/{}:/{name}/{alias}", target.trim_start_matches('/'))
}

/// The settings with what they mean where they say nothing, as Docker shows them.
fn in_full(record: &ContainerRecord, has_unified_cgroups: bool) -> HostConfig {
    let mut host = record.host_config.clone();
    let default_to = |text: &mut String, default: &str| {
        if text.is_empty() {
            default.clone_into(text);
        }
    };
    host.network_mode = network::mode(record);
    host.links = host.links.map(|links| links.iter().map(|link| link_in_full(&record.name, link)).collect());
    default_to(&mut host.restart_policy.name, "no");
    default_to(&mut host.log_config.kind, LOG_DRIVER);
    default_to(&mut host.ipc_mode, "private");
    default_to(&mut host.runtime, RUNTIME);
    let has_own_cgroups = has_unified_cgroups && !host.privileged;
    default_to(&mut host.cgroupns_mode, if has_own_cgroups { "private" } else { "host" });
    if host.shm_size == 0 {
        host.shm_size = SHM_SIZE;
    }
    if host.resources.memory > 0 && host.resources.memory_swap == 0 {
        host.resources.memory_swap = host.resources.memory.saturating_mul(2);
    }
    host
}

/// The settings of its program. Docker writes nothing where no folder becomes a volume.
fn config(config: &ContainerConfig) -> Value {
    let mut document = serde_json::to_value(config).unwrap_or_default();
    if config.volumes.is_empty() {
        document["Volumes"] = json!(null);
    }
    document
}
