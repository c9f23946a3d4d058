//! The contract, over the folders and the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread;

use async_trait::async_trait;
use driver::{
    Capabilities, ClusterId, ClusterRequest, Console, Driver, DriverError, Estimate, Instance, InstanceId,
    MachineRequest, Network, Preflight, Progress, Resource,
};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::agent;
use super::failure::Failed;
use super::forwarding;
use super::machine::Machine;
use super::network;
use super::record::{ClusterRecord, MachineRecord, instance_id, is_safe, nth_address, parse_instance_id};
use super::state::State;
use crate::NAME;

/// Machines are announced while others are still made; a reader that falls behind holds their makers up.
const ANNOUNCEMENTS: usize = 16;
/// `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`, by number.
const NEEDED_CAPABILITIES: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

/// The provider of machines on this computer.
#[derive(Debug, Clone)]
pub struct Local {
    state: State,
}

impl Local {
    /// The provider as users have it, with its state where the system keeps such things.
    pub fn system() -> Self {
        Self::new("/var/lib/swarmup/local", "/run/swarmup/local")
    }

    /// The provider with its state elsewhere: in a folder that outlives a boot, and in one that need not.
    pub fn new(durable: impl Into<PathBuf>, volatile: impl Into<PathBuf>) -> Self {
        Self { state: State { durable: durable.into(), volatile: volatile.into() } }
    }

    /// Does blocking work of milliseconds on a thread for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&State) -> Result<T, DriverError> + Send + 'static,
    ) -> Result<T, DriverError> {
        let state = self.state.clone();
        let work = move || {
            refuse_without_root()?;
            work(&state)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(panic) => Err(DriverError::provider("work on this computer", panic)),
        }
    }
}

#[async_trait]
impl Driver for Local {
    fn capabilities(&self) -> Capabilities {
        Capabilities { has_batch_create: true, has_stop_start: true, ..Capabilities::default() }
    }

    async fn preflight(&self, request: &ClusterRequest) -> Result<Preflight, DriverError> {
        let request = request.clone();
        self.blocking(move |state| preflight(state, &request)).await
    }

    async fn estimate(&self, request: &ClusterRequest) -> Result<Estimate, DriverError> {
        let machines = request.managers + request.workers;
        Ok(Estimate {
            calls: vec![
                "make a bridge, with a way out by masquerading".to_owned(),
                format!("start {machines} machines, each in namespaces of its own"),
            ],
            seconds: 0.1 + 0.02 * f64::from(machines),
            ..Estimate::default()
        })
    }

    async fn ensure_network(&self, request: &ClusterRequest) -> Result<Network, DriverError> {
        let request = request.clone();
        self.blocking(move |state| network::ensure(state, &request)).await
    }

    async fn create(
        &self,
        network: &Network,
        machines: &[MachineRequest],
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError> {
        for machine in machines {
            progress.machine(&machine.name, "starting in namespaces of its own");
        }
        let (announce, mut announced) = mpsc::channel(ANNOUNCEMENTS);
        let (cluster, machines) = (network.cluster.clone(), machines.to_vec());
        let creating = self.blocking(move |state| create(state, &cluster, &machines, &announce));
        let announcing = async {
            while let Some(instance) = announced.recv().await {
                let instance: Instance = instance;
                progress.appeared(&instance, instance.private_address);
            }
        };
        let (created, ()) = tokio::join!(creating, announcing);
        created
    }

    async fn start(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
        let ids = ids.to_vec();
        self.blocking(move |state| start(state, &ids)).await
    }

    async fn stop(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        let ids = ids.to_vec();
        self.blocking(move |state| stop(state, &ids)).await
    }

    async fn set_agent(&self, id: &InstanceId, agent: &Path) -> Result<(), DriverError> {
        let (id, agent) = (id.clone(), agent.to_owned());
        self.blocking(move |state| {
            let (cluster, name) = existing(state, &id)?;
            let _turn = state.take_cluster_turn(&cluster)?.ok_or_else(|| no_machine(&id))?;
            agent::put_in_place(&agent, &state.own_agent(&cluster, &name))
        })
        .await
    }

    async fn extend(&self, _cluster: &ClusterId, _expires: Timestamp) -> Result<(), DriverError> {
        Err(DriverError::Unsupported { provider: NAME, action: "end machines by itself" })
    }

    async fn console(&self, id: &InstanceId) -> Result<Console, DriverError> {
        let id = id.clone();
        self.blocking(move |state| {
            let (cluster, name) = existing(state, &id)?;
            let machine = Machine { state, boot: "", cluster: &cluster, name: &name };
            Ok(Console { output: machine.console()? })
        })
        .await
    }

    async fn destroy(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        let ids = ids.to_vec();
        self.blocking(move |state| destroy(state, &ids)).await
    }

    async fn remove_network(&self, cluster: &ClusterId) -> Result<(), DriverError> {
        let cluster = cluster.clone();
        self.blocking(move |state| network::remove(state, &cluster)).await
    }

    async fn find(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError> {
        let cluster = cluster.cloned();
        self.blocking(move |state| find(state, cluster.as_ref())).await
    }
}

fn refuse_without_root() -> Result<(), DriverError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(DriverError::Unmet {
        what: "the provider `local` needs root".to_owned(),
        hint: "run the same command with sudo, or use `--provider generic` with hosts that you can reach by SSH"
            .to_owned(),
    })
}

fn preflight(state: &State, request: &ClusterRequest) -> Result<Preflight, DriverError> {
    let status = std::fs::read_to_string("/proc/self/status").failed(|| "read this process's capabilities")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or_default();
    if let Some((_, missing)) = NEEDED_CAPABILITIES.iter().find(|(number, _)| bits & (1 << number) == 0) {
        return Err(DriverError::Unmet {
            what: format!("root may not make namespaces here: {missing} is missing"),
            hint: "run on the host itself, or in a privileged container".to_owned(),
        });
    }
    if !network::can_forward() || links::nft::tables().is_err() {
        return Err(DriverError::Unmet {
            what: "this kernel has no nftables, or no IPv4".to_owned(),
            hint: "use a kernel with nf_tables (any since 4.18 may have it)".to_owned(),
        });
    }
    let prefix = network::check(state, request)?;
    Ok(Preflight {
        checked: vec![
            "root may make namespaces".to_owned(),
            "the kernel has nftables".to_owned(),
            format!("{prefix} clashes with no route of this computer"),
        ],
        unchecked: vec![
            "whether a firewall of legacy iptables, or of firewalld, lets the machines' packets pass".to_owned(),
        ],
    })
}

fn create(
    state: &State,
    cluster: &ClusterId,
    requests: &[MachineRequest],
    announce: &mpsc::Sender<Instance>,
) -> Result<Vec<Instance>, DriverError> {
    let no_network = || DriverError::provider("create machines", format!("cluster `{cluster}` has no network"));
    let _turn = state.take_cluster_turn(cluster)?.ok_or_else(no_network)?;
    let record = state.cluster_record(cluster)?.ok_or_else(no_network)?;
    if let Some(source) = requests.iter().find_map(|request| request.agent.as_ref()) {
        agent::put_in_place(source, &state.agent(cluster))?;
    }
    let mut wanted = Vec::new();
    for request in requests {
        wanted.push((request.name.clone(), plan_machine(state, cluster, &record, request)?));
    }
    ensure_running(state, cluster, &record, wanted, announce)
}

fn start(state: &State, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
    let (announce, _nobody) = mpsc::channel(ids.len().max(1));
    let mut started = BTreeMap::new();
    for (cluster, names) in by_cluster(state, ids)? {
        let gone = || no_machine(&instance_id(&cluster, &names[0]));
        let _turn = state.take_cluster_turn(&cluster)?.ok_or_else(gone)?;
        let record = state.cluster_record(&cluster)?.ok_or_else(gone)?;
        // After a reboot of the host the bridge is gone.
        network::rebuild(state, &cluster, &record)?;
        let wanted = read_machines(state, &cluster, &names)?;
        for instance in ensure_running(state, &cluster, &record, wanted, &announce)? {
            started.insert(instance.id.clone(), instance);
        }
    }
    Ok(ids.iter().filter_map(|id| started.get(id).cloned()).collect())
}

fn stop(state: &State, ids: &[InstanceId]) -> Result<(), DriverError> {
    let boot = forwarding::boot()?;
    for (cluster, names) in by_cluster(state, ids)? {
        let gone = || no_machine(&instance_id(&cluster, &names[0]));
        let _turn = state.take_cluster_turn(&cluster)?.ok_or_else(gone)?;
        let record = state.cluster_record(&cluster)?.ok_or_else(gone)?;
        let stopped = side_by_side(read_machines(state, &cluster, &names)?, |(name, mut machine)| {
            Machine { state, boot: &boot, cluster: &cluster, name: &name }.stop(&record, &mut machine)
        });
        stopped.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

fn destroy(state: &State, ids: &[InstanceId]) -> Result<(), DriverError> {
    let boot = forwarding::boot()?;
    let mut clusters: BTreeMap<ClusterId, BTreeSet<String>> = BTreeMap::new();
    for (cluster, name) in ids.iter().filter_map(parse_instance_id) {
        clusters.entry(cluster).or_default().insert(name);
    }
    for (cluster, names) in clusters {
        let names = names.into_iter().collect();
        let Some(_turn) = state.take_cluster_turn(&cluster)? else { continue };
        let destroyed =
            side_by_side(names, |name| Machine { state, boot: &boot, cluster: &cluster, name: &name }.destroy());
        destroyed.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

fn find(state: &State, wanted: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError> {
    let mut found = Vec::new();
    let resource = |cluster: &ClusterId, record: &Option<ClusterRecord>, kind: &str, name: String| Resource {
        cluster_name: record.as_ref().map(|record| record.name.clone()),
        ..Resource::new(cluster.clone(), kind, name)
    };
    let clusters = state.clusters()?;
    for cluster in &clusters {
        // A record that cannot be read does not hide what carries the mark.
        let record = state.cluster_record(cluster).unwrap_or_default();
        let bridge = record.as_ref().map_or_else(|| cluster.0.clone(), |record| record.bridge.clone());
        found.push(resource(cluster, &record, "network", bridge));
        for name in state.machines(cluster)? {
            let instance = Some(instance_id(cluster, &name));
            found.push(Resource { instance, ..resource(cluster, &record, "machine", name) });
        }
    }
    for (cluster, bridge) in network::bridges()? {
        if !clusters.contains(&cluster) {
            found.push(resource(&cluster, &None, "network", bridge));
        }
    }
    found.retain(|resource| wanted.is_none_or(|wanted| *wanted == resource.cluster));
    Ok(found)
}

/// The machine that exists under this name, or one with an address that is free, kept before it is made.
fn plan_machine(
    state: &State,
    cluster: &ClusterId,
    record: &ClusterRecord,
    request: &MachineRequest,
) -> Result<MachineRecord, DriverError> {
    if !is_safe(&request.name) {
        return Err(DriverError::provider("create a machine", format!("`{}` cannot be a name here", request.name)));
    }
    if let Some(machine) = state.machine_record(cluster, &request.name)? {
        return Ok(machine);
    }
    let prefix = network::prefix_of(record)?;
    let mut taken = Vec::new();
    for other in state.machines(cluster)? {
        taken.extend(state.machine_record(cluster, &other)?.map(|machine| machine.address));
    }
    let last = 1_u32 << (32 - u32::from(prefix.length));
    let address = std::iter::once(request.number.saturating_add(1))
        .chain(2..last)
        .filter_map(|nth| nth_address(&prefix, nth))
        .find(|address| !taken.contains(address))
        .ok_or_else(|| DriverError::QuotaExhausted { quota: format!("addresses of {prefix}"), region: NAME.into() })?;
    let machine = MachineRecord { hostname: request.hostname.clone(), number: request.number, address, process: None };
    state.keep_machine(cluster, &request.name, &machine)?;
    Ok(machine)
}

/// Starts machines at the same time and announces each; answers stand in the order asked for.
fn ensure_running(
    state: &State,
    cluster: &ClusterId,
    record: &ClusterRecord,
    machines: Vec<(String, MachineRecord)>,
    announce: &mpsc::Sender<Instance>,
) -> Result<Vec<Instance>, DriverError> {
    let boot = forwarding::boot()?;
    if !state.agent(cluster).exists() {
        return Err(DriverError::Unmet {
            what: "machines on this computer start with the agent, and there is none".to_owned(),
            hint: "name one with --agent PATH, or use a swarmup with a bundled agent".to_owned(),
        });
    }
    let started = side_by_side(machines, |(name, mut machine)| {
        let process = Machine { state, boot: &boot, cluster, name: &name }.ensure_running(record, &mut machine)?;
        let instance = machine.instance(instance_id(cluster, &name), &name, Some(process));
        // Whoever asked may have gone; the machine exists all the same.
        if announce.blocking_send(instance.clone()).is_err() {
            tracing::debug!(machine = %name, "nobody hears that the machine is up");
        }
        Ok(instance)
    });
    started.into_iter().collect()
}

/// Works on all items at once, each on a thread of its own, and waits for all: one failure leaves no other half done.
fn side_by_side<I: Send, T: Send>(items: Vec<I>, work: impl Fn(I) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The machines by cluster; all of them must exist.
fn by_cluster(state: &State, ids: &[InstanceId]) -> Result<BTreeMap<ClusterId, Vec<String>>, DriverError> {
    let mut clusters: BTreeMap<ClusterId, BTreeSet<String>> = BTreeMap::new();
    for id in ids {
        let (cluster, name) = existing(state, id)?;
        clusters.entry(cluster).or_default().insert(name);
    }
    Ok(clusters.into_iter().map(|(cluster, names)| (cluster, names.into_iter().collect())).collect())
}

fn existing(state: &State, id: &InstanceId) -> Result<(ClusterId, String), DriverError> {
    parse_instance_id(id).filter(|(cluster, name)| state.machine(cluster, name).is_dir()).ok_or_else(|| no_machine(id))
}

fn read_machines(
    state: &State,
    cluster: &ClusterId,
    names: &[String],
) -> Result<Vec<(String, MachineRecord)>, DriverError> {
    names
        .iter()
        .map(|name| {
            let machine = state.machine_record(cluster, name)?;
            Ok((name.clone(), machine.ok_or_else(|| no_machine(&instance_id(cluster, name)))?))
        })
        .collect()
}

fn no_machine(id: &InstanceId) -> DriverError {
    DriverError::NoSuchMachine { id: id.to_string() }
}
