//! The contract, over the state file.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use driver::{
    Access, Capabilities, ClusterId, ClusterRequest, Console, Driver, DriverError, Estimate, Expiry, Instance,
    InstanceId, InstanceState, MachineRequest, Network, Options, Preflight, Progress, Resource,
};
use jiff::Timestamp;

use crate::NAME;
use crate::fault::{Call, Fault, FaultKind};
use crate::state::{ClusterRecord, MachineRecord, State, Store};

/// What tells the time.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The provider whose machines exist in a file only.
pub struct Fake {
    store: Store,
    faults: Vec<Fault>,
    clock: Clock,
}

impl fmt::Debug for Fake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fake").field("store", &self.store).field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl Fake {
    /// Opens the provider whose state is in a folder, which is made when something is kept.
    pub fn open(folder: &Path, faults: Vec<Fault>) -> Self {
        Self { store: Store::new(folder), faults, clock: Arc::new(Timestamp::now) }
    }

    /// The same provider with another clock, by which machines expire.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Performs a call, or lets it go wrong. `act` is told how many machines it may act on.
    async fn perform<T>(
        &self,
        call: Call,
        act: impl FnOnce(&mut State, usize) -> Result<T, DriverError>,
    ) -> Result<T, DriverError> {
        let nth = self.store.update(|state| state.count(call.name()))?;
        let fault = self.faults.iter().find(|fault| fault.strikes(call, nth)).map(|fault| fault.kind);
        let act = |limit| {
            let now = (self.clock)();
            self.store.update(|state| {
                state.expire(now);
                act(state, limit)
            })?
        };
        match fault {
            None => act(usize::MAX),
            Some(FaultKind::Slow(pause)) => {
                tokio::time::sleep(pause).await;
                act(usize::MAX)
            }
            Some(FaultKind::Lost) => {
                act(usize::MAX)?;
                Err(DriverError::transient(call.name(), "the answer was lost"))
            }
            Some(FaultKind::Partial(limit)) => {
                act(limit)?;
                Err(DriverError::provider(call.name(), format!("failed on purpose after {limit} machines")))
            }
            Some(FaultKind::Fail) => Err(DriverError::provider(call.name(), "failed on purpose")),
            Some(FaultKind::Transient) => Err(DriverError::transient(call.name(), "failed on purpose, for now")),
            Some(FaultKind::Throttled { retry_after }) => Err(DriverError::Throttled { provider: NAME, retry_after }),
            Some(FaultKind::Quota) => {
                Err(DriverError::QuotaExhausted { quota: "machines".to_owned(), region: "memory".to_owned() })
            }
        }
    }
}

#[async_trait]
impl Driver for Fake {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            has_batch_create: true,
            has_stop_start: true,
            expiry: Expiry::Provider,
            has_movable_expiry: true,
            ..Capabilities::default()
        }
    }

    async fn preflight(&self, _request: &ClusterRequest) -> Result<Preflight, DriverError> {
        self.perform(Call::Preflight, |_, _| Ok(())).await?;
        Ok(Preflight { checked: vec!["the state file can be written".to_owned()], unchecked: Vec::new() })
    }

    async fn estimate(&self, request: &ClusterRequest) -> Result<Estimate, DriverError> {
        self.perform(Call::Estimate, |_, _| Ok(())).await?;
        let machines = request.managers + request.workers;
        Ok(Estimate {
            resources: vec!["1 network".to_owned(), format!("{machines} machines")],
            calls: vec![format!("ensure network of `{}`", request.name), format!("create {machines} machines")],
            ..Estimate::default()
        })
    }

    async fn ensure_network(&self, request: &ClusterRequest) -> Result<Network, DriverError> {
        self.perform(Call::EnsureNetwork, |state, _| ensure_network(state, request)).await
    }

    async fn create(
        &self,
        network: &Network,
        machines: &[MachineRequest],
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError> {
        for machine in machines {
            progress.machine(&machine.name, "creating");
        }
        let created = self
            .perform(Call::Create, |state, limit| {
                machines
                    .iter()
                    .take(limit)
                    .map(|machine| create(state, network, machine))
                    .collect::<Result<Vec<_>, _>>()
            })
            .await?;
        for instance in &created {
            progress.appeared(instance, instance.private_address);
        }
        Ok(created)
    }

    async fn start(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
        self.perform(Call::Start, |state, limit| change(state, ids, limit, InstanceState::Running)).await
    }

    async fn stop(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        self.perform(Call::Stop, |state, limit| change(state, ids, limit, InstanceState::Stopped).map(|_| ())).await
    }

    async fn extend(&self, cluster: &ClusterId, expires: Timestamp) -> Result<(), DriverError> {
        self.perform(Call::Extend, |state, _| {
            let record = state.clusters.get_mut(cluster).ok_or_else(|| no_network(cluster))?;
            record.expires = Some(expires);
            Ok(())
        })
        .await
    }

    async fn console(&self, id: &InstanceId) -> Result<Console, DriverError> {
        self.perform(Call::Console, |state, _| {
            let machine = state.machines.get(id).ok_or_else(|| no_machine(id))?;
            Ok(Console { output: format!("{} is {:?}\n", machine.name, machine.state).to_lowercase() })
        })
        .await
    }

    async fn destroy(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        self.perform(Call::Destroy, |state, limit| {
            for id in ids.iter().take(limit) {
                state.machines.remove(id);
            }
            Ok(())
        })
        .await
    }

    async fn remove_network(&self, cluster: &ClusterId) -> Result<(), DriverError> {
        self.perform(Call::RemoveNetwork, |state, _| {
            if state.machines.values().any(|machine| machine.cluster == *cluster) {
                return Err(DriverError::provider("remove the network", "machines are still in it"));
            }
            state.clusters.remove(cluster);
            Ok(())
        })
        .await
    }

    async fn find(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError> {
        self.perform(Call::Find, |state, _| Ok(find(state, cluster))).await
    }
}

fn ensure_network(state: &mut State, request: &ClusterRequest) -> Result<Network, DriverError> {
    let slot = match state.clusters.get(&request.id) {
        Some(cluster) => cluster.slot,
        None => (0..=u8::MAX)
            .find(|slot| state.clusters.values().all(|cluster| cluster.slot != *slot))
            .ok_or_else(|| DriverError::provider("make a network", "all 256 networks are in use"))?,
    };
    state.clusters.entry(request.id.clone()).or_insert_with(|| ClusterRecord {
        name: request.name.clone(),
        slot,
        owner: Some(request.owner.clone()),
        created_at: Some(request.created_at),
        expires: request.expires,
    });
    Ok(Network {
        cluster: request.id.clone(),
        prefix: Some(format!("198.18.{slot}.0/24")),
        handles: Options::default(),
    })
}

fn create(state: &mut State, network: &Network, request: &MachineRequest) -> Result<Instance, DriverError> {
    let slot = state.clusters.get(&network.cluster).ok_or_else(|| no_network(&network.cluster))?.slot;
    let id = InstanceId(format!("{}/{}", network.cluster, request.name));
    if !state.machines.contains_key(&id) {
        let is_taken = |host: u8| {
            state.machines.values().any(|machine| machine.cluster == network.cluster && machine.host == host)
        };
        let preferred = u8::try_from(request.number + 1).ok().filter(|host| *host < u8::MAX);
        let host = preferred
            .into_iter()
            .chain(2..u8::MAX)
            .find(|host| !is_taken(*host))
            .ok_or_else(|| DriverError::provider("create a machine", "the network has no address left"))?;
        let machine = MachineRecord {
            cluster: network.cluster.clone(),
            name: request.name.clone(),
            host,
            state: InstanceState::Running,
        };
        state.machines.insert(id.clone(), machine);
    }
    Ok(instance(&id, &state.machines[&id], slot))
}

/// All machines must exist before any is changed.
fn change(
    state: &mut State,
    ids: &[InstanceId],
    limit: usize,
    wanted: InstanceState,
) -> Result<Vec<Instance>, DriverError> {
    if let Some(unknown) = ids.iter().find(|id| !state.machines.contains_key(id)) {
        return Err(no_machine(unknown));
    }
    let mut changed = Vec::new();
    for id in ids.iter().take(limit) {
        let Some(machine) = state.machines.get_mut(id) else { continue };
        machine.state = wanted;
        let slot = state.clusters.get(&machine.cluster).map_or(0, |cluster| cluster.slot);
        changed.push(instance(id, machine, slot));
    }
    Ok(changed)
}

fn find(state: &State, wanted: Option<&ClusterId>) -> Vec<Resource> {
    let is_wanted = |cluster: &ClusterId| wanted.is_none_or(|wanted| wanted == cluster);
    let marked = |id: &ClusterId, kind: &str, name: String| {
        let cluster = state.clusters.get(id);
        Resource {
            cluster_name: cluster.map(|cluster| cluster.name.clone()),
            owner: cluster.and_then(|cluster| cluster.owner.clone()),
            created_at: cluster.and_then(|cluster| cluster.created_at),
            expires: cluster.and_then(|cluster| cluster.expires),
            ..Resource::new(id.clone(), kind, name)
        }
    };
    let networks =
        state.clusters.iter().map(|(id, cluster)| marked(id, "network", format!("{}-network", cluster.name)));
    let machines = state.machines.iter().map(|(id, machine)| Resource {
        instance: Some(id.clone()),
        ..marked(&machine.cluster, "machine", machine.name.clone())
    });
    networks.chain(machines).filter(|resource| is_wanted(&resource.cluster)).collect()
}

fn instance(id: &InstanceId, machine: &MachineRecord, slot: u8) -> Instance {
    Instance {
        id: id.clone(),
        name: machine.name.clone(),
        state: machine.state,
        arch: None,
        private_address: Some(IpAddr::V4(Ipv4Addr::new(198, 18, slot, machine.host))),
        public_address: None,
        access: Some(Access::Memory),
    }
}

fn no_machine(id: &InstanceId) -> DriverError {
    DriverError::NoSuchMachine { id: id.to_string() }
}

fn no_network(cluster: &ClusterId) -> DriverError {
    DriverError::provider(format!("find the network of cluster `{cluster}`"), "there is none")
}
