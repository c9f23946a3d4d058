//! The engine and its place in the swarm, as `GET /info` shows it.
//!
//! Every field that a client prints is here. What does not stand yet (runtimes to choose from) is empty: the engine claims
//! nothing that it cannot do.

mod registries;

use std::collections::BTreeMap;

use ::node::{NodeView, SwarmCondition, SwarmRead};
use ca::CertificateError;
use engine::{ContainerStatus, Engine, HostFacts};
use jiff::Timestamp;
use model::SwarmError;
use serde::Serialize;

use super::swarm::ClusterView;
use super::time;
use crate::version::ApiVersion;
use registries::RegistryView;

/// Until when clients were told of netfilter on bridges; those clients warn where it is false.
const BRIDGE_NETFILTER_UNTIL: ApiVersion = ApiVersion::new(1, 50);
/// Docker's own registry, which clients log in to where no other is named.
const INDEX_SERVER: &str = "https://index.docker.io/v1/";
/// Docker's words, shown by every `docker info` of such a swarm.
const TWO_MANAGERS: &str = "\
WARNING: Running Swarm in a two-manager configuration. This configuration provides
         no fault tolerance, and poses a high risk to lose control over the cluster.
         Refer to https://docs.docker.com/engine/swarm/admin_guide/ to configure the
         Swarm for fault-tolerance.";

/// Docker's `Info`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the document is Docker's")]
pub(crate) struct InfoDocument {
    #[serde(rename = "ID")]
    id: String,
    containers: usize,
    containers_running: usize,
    containers_paused: usize,
    containers_stopped: usize,
    images: usize,
    driver: &'static str,
    driver_status: Option<Vec<[String; 2]>>,
    plugins: PluginsView,
    memory_limit: bool,
    swap_limit: bool,
    cpu_cfs_period: bool,
    cpu_cfs_quota: bool,
    #[serde(rename = "CPUShares")]
    cpu_shares: bool,
    #[serde(rename = "CPUSet")]
    cpu_set: bool,
    pids_limit: bool,
    #[serde(rename = "IPv4Forwarding")]
    ipv4_forwarding: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge_nf_iptables: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge_nf_ip6tables: Option<bool>,
    debug: bool,
    #[serde(rename = "NFd")]
    open_files: usize,
    oom_kill_disable: bool,
    #[serde(rename = "NGoroutines")]
    goroutines: u64,
    system_time: String,
    logging_driver: &'static str,
    cgroup_driver: &'static str,
    cgroup_version: &'static str,
    #[serde(rename = "NEventsListener")]
    event_listeners: usize,
    kernel_version: String,
    operating_system: String,
    #[serde(rename = "OSVersion")]
    os_version: String,
    #[serde(rename = "OSType")]
    os_type: String,
    architecture: String,
    index_server_address: &'static str,
    registry_config: RegistryView,
    #[serde(rename = "NCPU")]
    cpus: usize,
    mem_total: u64,
    generic_resources: Option<Vec<String>>,
    docker_root_dir: String,
    http_proxy: &'static str,
    https_proxy: &'static str,
    no_proxy: &'static str,
    name: String,
    labels: Vec<String>,
    experimental_build: bool,
    server_version: &'static str,
    runtimes: BTreeMap<String, String>,
    default_runtime: &'static str,
    swarm: SwarmInfoView,
    live_restore_enabled: bool,
    isolation: &'static str,
    init_binary: &'static str,
    containerd_commit: CommitView,
    runc_commit: CommitView,
    init_commit: CommitView,
    security_options: Vec<String>,
    #[serde(rename = "CDISpecDirs")]
    cdi_spec_dirs: Vec<String>,
    warnings: Option<Vec<&'static str>>,
}

/// What `GET /info` is made of.
#[derive(Debug)]
pub(crate) struct InfoParts<'a> {
    /// The engine.
    pub(crate) engine: &'a Engine,
    /// The machine.
    pub(crate) facts: HostFacts,
    /// The node's own view.
    pub(crate) view: NodeView,
    /// What the managers say, on a manager.
    pub(crate) read: Option<Result<SwarmRead, SwarmError>>,
    /// What the client understands.
    pub(crate) version: ApiVersion,
    /// Files that the process has open.
    pub(crate) open_files: usize,
    /// The time.
    pub(crate) now: Timestamp,
}

impl InfoDocument {
    /// Shows the engine.
    ///
    /// # Errors
    /// The swarm's root is no certificate.
    pub(crate) fn new(parts: InfoParts<'_>) -> Result<Self, CertificateError> {
        let InfoParts { engine, facts, view, read, version, open_files, now } = parts;
        let swarm = SwarmInfoView::new(view, read)?;
        let has = |controller| facts.cgroups.has(controller);
        let containers = engine.containers().list();
        let count = |is_so: &dyn Fn(ContainerStatus) -> bool| {
            containers.iter().filter(|container| is_so(container.state.status)).count()
        };
        // Nothing here sends bridged packets through netfilter, so nothing is missing where the kernel does not.
        let bridge_netfilter = (version < BRIDGE_NETFILTER_UNTIL).then_some(true);
        Ok(Self {
            id: engine.id().to_owned(),
            containers: containers.len(),
            containers_running: count(&|status| status.has_process() && status != ContainerStatus::Paused),
            containers_paused: count(&|status| status == ContainerStatus::Paused),
            containers_stopped: count(&|status| !status.has_process()),
            images: engine.images().store().list().len(),
            driver: "overlayfs",
            driver_status: None,
            plugins: PluginsView::new(engine),
            memory_limit: has("memory"),
            swap_limit: facts.cgroups.has_swap_limit,
            cpu_cfs_period: has("cpu"),
            cpu_cfs_quota: has("cpu"),
            cpu_shares: has("cpu"),
            cpu_set: has("cpuset"),
            pids_limit: has("pids"),
            ipv4_forwarding: facts.is_forwarding_ipv4,
            bridge_nf_iptables: bridge_netfilter,
            bridge_nf_ip6tables: bridge_netfilter,
            debug: false,
            open_files,
            oom_kill_disable: has("memory") && !facts.cgroups.is_unified,
            goroutines: 0,
            system_time: time(now),
            logging_driver: "json-file",
            cgroup_driver: "cgroupfs",
            cgroup_version: if facts.cgroups.is_unified { "2" } else { "1" },
            event_listeners: engine.events().readers(),
            os_type: facts.platform.os.clone(),
            architecture: facts.platform.architecture.clone(),
            cpus: facts.cpus,
            mem_total: facts.memory_bytes,
            kernel_version: facts.kernel_version,
            operating_system: facts.os_name,
            os_version: facts.os_version,
            index_server_address: INDEX_SERVER,
            registry_config: RegistryView::new(engine.insecure_registries()),
            generic_resources: None,
            docker_root_dir: engine.data_dir().display().to_string(),
            http_proxy: "",
            https_proxy: "",
            no_proxy: "",
            name: engine.hostname().to_owned(),
            labels: engine.labels().iter().map(|(key, value)| format!("{key}={value}")).collect(),
            experimental_build: false,
            server_version: engine::VERSION,
            runtimes: BTreeMap::new(),
            default_runtime: "",
            warnings: (swarm.managers == 2).then(|| vec![TWO_MANAGERS]),
            swarm,
            live_restore_enabled: false,
            isolation: "",
            init_binary: "",
            containerd_commit: CommitView::default(),
            runc_commit: CommitView::default(),
            init_commit: CommitView::default(),
            security_options: Vec::new(),
            cdi_spec_dirs: Vec::new(),
        })
    }
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PluginsView {
    volume: Vec<String>,
    network: Vec<String>,
    authorization: Option<Vec<String>>,
    log: Vec<String>,
}

impl PluginsView {
    fn new(engine: &Engine) -> Self {
        let mut view = Self::default();
        for plugin in engine.plugins() {
            match plugin.kind.as_str() {
                "Volume" => view.volume.push(plugin.name),
                "Network" => view.network.push(plugin.name),
                "Log" => view.log.push(plugin.name),
                _ => {}
            }
        }
        view
    }
}

#[derive(Debug, Clone, Default, Serialize)]
struct CommitView {
    #[serde(rename = "ID")]
    id: &'static str,
}

/// Docker's `swarm.Info`: there on every node, full on managers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SwarmInfoView {
    #[serde(rename = "NodeID")]
    node_id: String,
    node_addr: String,
    local_node_state: &'static str,
    control_available: bool,
    error: String,
    remote_managers: Option<Vec<PeerView>>,
    #[serde(skip_serializing_if = "is_zero")]
    nodes: usize,
    #[serde(skip_serializing_if = "is_zero")]
    managers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterView>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PeerView {
    #[serde(rename = "NodeID")]
    node_id: String,
    addr: String,
}

impl SwarmInfoView {
    fn new(view: NodeView, read: Option<Result<SwarmRead, SwarmError>>) -> Result<Self, CertificateError> {
        let managers: Vec<_> = view
            .managers
            .iter()
            .map(|peer| PeerView { node_id: peer.node_id.to_string(), addr: peer.addr.to_string() })
            .collect();
        let mut info = Self {
            node_id: view.node_id.map(String::from).unwrap_or_default(),
            node_addr: view.addr,
            local_node_state: word(view.condition),
            control_available: read.is_some(),
            error: view.error,
            remote_managers: if managers.is_empty() { None } else { Some(managers) },
            nodes: 0,
            managers: 0,
            cluster: None,
        };
        match read {
            None => {}
            Some(Err(error)) => info.error = error.message,
            Some(Ok(read)) => {
                info.nodes = read.nodes.len();
                info.managers = read.nodes.values().filter(|node| node.state.member.is_some()).count();
                info.cluster = Some(ClusterView::new(&read.cluster)?);
            }
        }
        Ok(info)
    }
}

/// Docker's word for where a node stands (`LocalNodeState`).
pub(crate) fn word(condition: SwarmCondition) -> &'static str {
    match condition {
        SwarmCondition::Inactive => "inactive",
        SwarmCondition::Pending => "pending",
        SwarmCondition::Active => "active",
        SwarmCondition::Locked => "locked",
        SwarmCondition::Failed => "error",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
