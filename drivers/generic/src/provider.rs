//! The driver over given hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use driver::{
    Access, Capabilities, ClusterId, ClusterRequest, Console, Driver, DriverError, Estimate, Instance, InstanceId,
    InstanceState, MachineRequest, Network, OptionValue, Options, Preflight, Progress, Resource, SshAccess,
};
use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;
use model::Supervision;
use reach::{Dialer, ServiceError, Session, service};

use crate::choice::{addresses, check_twins, place, refuse};
use crate::given::{Given, GivenHost, HOST, invalid};
use crate::memory::{Memory, Remembered};
use crate::probe::{Facts, objection, probe};
use crate::record::{HostRecord, claim, release, unreached};
use crate::{NAME, firewall};

/// Where the network's handles keep the firewall's rules.
const RULES: &str = "rules";

/// Given hosts.
#[derive(Debug)]
pub(crate) struct Generic {
    given: Given,
    memory: Memory,
    dialer: Dialer,
    /// The cluster that each host was found to belong to by somebody who asked for that cluster.
    known: Mutex<BTreeMap<InstanceId, ClusterId>>,
    /// What the preflight has just seen, for the create that follows it. Whatever has changed in between is refused by
    /// the claim, or by the agent.
    fresh: Mutex<BTreeMap<InstanceId, Seen>>,
}

/// A host that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) host: GivenHost,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) facts: Facts,
}

impl Generic {
    pub(crate) fn new(given: Given, memory: Memory, dialer: Dialer) -> Self {
        Self { given, memory, dialer, known: Mutex::default(), fresh: Mutex::default() }
    }

    /// How to log in to a host: as the options say, else as it was done when it was claimed.
    fn access(&self, host: &GivenHost) -> Result<SshAccess, DriverError> {
        let remembered = self.memory.find(&host.id())?;
        let remembered = remembered.as_ref();
        Ok(SshAccess {
            host: host.host.clone(),
            port: host.port,
            user: host.user.clone(),
            key_file: self.given.ssh_key.clone().or_else(|| remembered.and_then(|host| host.ssh_key.clone())),
            host_key: self
                .given
                .host_key(host)
                .map(str::to_owned)
                .or_else(|| remembered.and_then(|host| host.host_key.clone())),
        })
    }

    async fn session(&self, host: &GivenHost) -> Result<Arc<dyn Session>, DriverError> {
        let access = Access::Ssh(self.access(host)?);
        self.dialer.dial(&host.id().0, &access).await.map_err(|error| unreached(&format!("use {host}"), error))
    }

    async fn look_at(&self, host: &GivenHost, others: &[IpAddr]) -> Result<Seen, DriverError> {
        let interface = self.given.address_interface.as_deref();
        let mut session = self.session(host).await?;
        let facts = match probe(&*session, interface, others).await {
            // The session was of before a reboot.
            Err(error) if error.is_transient() => {
                self.dialer.forget(&Access::Ssh(self.access(host)?)).await;
                session = self.session(host).await?;
                probe(&*session, interface, others).await?
            }
            probed => probed?,
        };
        Ok(Seen { host: host.clone(), session, facts })
    }

    /// The hosts of the options and, of this cluster or of all, those that were claimed from here.
    fn candidates(&self, cluster: Option<&ClusterId>) -> Result<Vec<GivenHost>, DriverError> {
        let mut hosts = self.given.hosts.clone();
        for remembered in self.memory.all()? {
            let host = host_of(&remembered.id)?;
            if cluster.is_none_or(|cluster| *cluster == remembered.cluster) && !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        Ok(hosts)
    }

    /// Looks at all hosts side by side.
    async fn look(&self, hosts: &[GivenHost]) -> Result<Vec<Seen>, DriverError> {
        try_join_all(hosts.iter().map(|host| self.look_at(host, &[]))).await
    }

    /// Looks at all hosts side by side, each of which also says from where it reaches the others. What the preflight
    /// has seen a moment ago is taken, once, instead.
    async fn look_among(&self, hosts: &[GivenHost]) -> Result<Vec<Seen>, DriverError> {
        let addresses: Vec<_> = hosts.iter().filter_map(GivenHost::address).collect();
        try_join_all(hosts.iter().map(|host| async {
            let fresh = lock(&self.fresh).remove(&host.id());
            if let Some(seen) = fresh.filter(|seen| seen.session.is_open()) {
                return Ok(seen);
            }
            let others = addresses.iter().copied().filter(|address| host.address() != Some(*address));
            self.look_at(host, &others.collect::<Vec<_>>()).await
        }))
        .await
    }

    /// Remembers the hosts that are about to be claimed: on disk when this returns.
    async fn remember(&self, cluster: &ClusterId, hosts: &[&Seen]) -> Result<(), DriverError> {
        let remembered = |seen: &&Seen| {
            let access = self.access(&seen.host)?;
            Ok(Remembered {
                id: seen.host.id(),
                cluster: cluster.clone(),
                ssh_key: access.key_file,
                host_key: access.host_key.or_else(|| seen.session.host_key().map(str::to_owned)),
            })
        };
        let hosts = hosts.iter().map(remembered).collect::<Result<Vec<_>, DriverError>>()?;
        let memory = self.memory.clone();
        let remembering = tokio::task::spawn_blocking(move || memory.remember(&hosts));
        remembering.await.map_err(|panic| DriverError::provider("remember the hosts", panic))?
    }

    /// Claims a host for a machine.
    async fn claim(&self, seen: &Seen, machine: &MachineRequest, address: IpAddr) -> Result<Instance, DriverError> {
        let cluster = machine.name.strip_suffix(&format!("-{}", machine.hostname)).unwrap_or(&machine.name);
        let record = HostRecord {
            mark: machine.mark.cluster.clone(),
            cluster: cluster.to_owned(),
            name: machine.name.clone(),
            address,
        };
        let holder = claim(&*seen.session, &record).await?;
        if holder != record {
            self.memory.forget(&seen.host.id())?;
            return Err(DriverError::Unmet {
                what: format!("{} was claimed by the cluster `{}` in this moment", seen.host, holder.cluster),
                hint: "leave this host out".to_owned(),
            });
        }
        self.instance(seen, &record)
    }

    /// The machine that a host is.
    fn instance(&self, seen: &Seen, record: &HostRecord) -> Result<Instance, DriverError> {
        let Seen { host, session, facts } = seen;
        let mut access = self.access(host)?;
        access.host_key = access.host_key.or_else(|| session.host_key().map(str::to_owned));
        lock(&self.known).insert(host.id(), record.mark.clone());
        Ok(Instance {
            id: host.id(),
            name: record.name.clone(),
            state: InstanceState::Running,
            arch: facts.system.split_whitespace().nth(1).map(str::to_owned),
            private_address: Some(record.address),
            public_address: host.address().filter(|address| *address != record.address),
            access: Some(Access::Ssh(access)),
        })
    }

    /// The machine on a host, where it is one of a cluster that this driver may act on.
    async fn machine(&self, id: &InstanceId) -> Result<(Seen, HostRecord), DriverError> {
        let seen = self.look_at(&host_of(id)?, &[]).await?;
        match seen.facts.record.clone() {
            Some(record) if self.may_act_on(id, &record.mark)? => Ok((seen, record)),
            Some(_) | None => Err(DriverError::NoSuchMachine { id: id.0.clone() }),
        }
    }

    /// Whether a host belongs to the cluster that it was claimed or found for.
    fn may_act_on(&self, id: &InstanceId, mark: &ClusterId) -> Result<bool, DriverError> {
        let found_for = lock(&self.known).get(id).cloned();
        let cluster = match found_for {
            Some(cluster) => Some(cluster),
            None => self.memory.find(id)?.map(|remembered| remembered.cluster),
        };
        Ok(cluster.as_ref() == Some(mark))
    }

    /// Gives one host back; returns which member of which cluster it was.
    async fn destroy_one(&self, id: &InstanceId) -> Result<Option<(ClusterId, IpAddr)>, DriverError> {
        let seen = self.look_at(&host_of(id)?, &[]).await?;
        let record = seen.facts.record.as_ref().map(|record| (&record.mark, &record.cluster));
        let agent = seen.facts.agent.as_ref().map(|(mark, cluster)| (mark, cluster));
        for (mark, cluster) in [record, agent].into_iter().flatten() {
            if !self.may_act_on(id, mark)? {
                return Err(DriverError::Unmet {
                    what: format!("{} belongs to the cluster `{cluster}`, not to this one", seen.host),
                    hint: format!("destroy `{cluster}` where it was created"),
                });
            }
        }
        if let Some((mark, _)) = agent {
            match service::remove(&*seen.session, &mark.0).await {
                Ok(_) | Err(ServiceError::NotInstalled { .. }) => {}
                Err(error) => return Err(refused("remove the agent", error)),
            }
        }
        if record.is_some() {
            if seen.facts.has_firewall {
                firewall::close(&*seen.session).await?;
            }
            release(&*seen.session).await?;
        }
        self.memory.forget(id)?;
        Ok(seen.facts.record.map(|record| (record.mark, record.address)))
    }

    /// Shuts members that left out of those that stay.
    async fn shut_out(&self, left: &[(ClusterId, IpAddr)]) -> Result<(), DriverError> {
        let clusters: BTreeSet<_> = left.iter().map(|(cluster, _)| cluster).collect();
        for cluster in clusters {
            let gone: Vec<_> = left.iter().filter(|(of, _)| of == cluster).map(|(_, address)| *address).collect();
            // A host that cannot be reached now keeps a hole for an address that nobody has; its own end closes it.
            let looked = join_all(self.candidates(Some(cluster))?.iter().map(|host| self.look_at(host, &[]))).await;
            let is_open = |seen: &Seen| seen.is_of(cluster) && seen.facts.has_firewall;
            let staying = looked.into_iter().flatten().filter(is_open).collect::<Vec<_>>();
            try_join_all(staying.iter().map(|seen| firewall::shut_out(&*seen.session, &gone))).await?;
        }
        Ok(())
    }
}

impl Seen {
    /// Whether the host was claimed for this cluster.
    pub(crate) fn is_of(&self, cluster: &ClusterId) -> bool {
        self.facts.record.as_ref().is_some_and(|record| record.mark == *cluster)
    }
}

#[async_trait]
impl Driver for Generic {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            has_batch_create: true,
            has_stop_start: true,
            machines_are_given: true,
            ..Capabilities::default()
        }
    }

    async fn preflight(&self, request: &ClusterRequest) -> Result<Preflight, DriverError> {
        let wanted = request.managers + request.workers;
        let given = self.given.hosts.len();
        if usize::try_from(wanted).unwrap_or(usize::MAX) > given {
            let reason = format!(
                "{wanted} machines are asked for ({} managers, {} workers), {given} hosts are given",
                request.managers, request.workers
            );
            return Err(invalid(HOST, reason));
        }
        lock(&self.fresh).clear();
        let seen = self.look_among(&self.given.hosts).await?;
        check_twins(&seen)?;
        let objections: Vec<_> =
            seen.iter().filter_map(|seen| objection(&seen.host.to_string(), &seen.facts, &request.id)).collect();
        refuse(objections)?;
        addresses(&seen, self.given.address_interface.as_deref()).await?;
        let checked = seen.iter().map(|seen| format!("{} is reachable and free", seen.host)).collect();
        lock(&self.fresh).extend(seen.into_iter().map(|seen| (seen.host.id(), seen)));
        let unchecked = "whether a firewall between the hosts lets 2377/tcp, 7946/tcp+udp and 4789/udp through";
        Ok(Preflight { checked, unchecked: vec![unchecked.to_owned()] })
    }

    async fn estimate(&self, request: &ClusterRequest) -> Result<Estimate, DriverError> {
        let wanted = usize::try_from(request.managers + request.workers).unwrap_or(usize::MAX);
        let calls = self.given.hosts.iter().take(wanted).map(|host| format!("SSH to {host}: claim it")).collect();
        Ok(Estimate { calls, seconds: 1.0, ..Estimate::default() })
    }

    async fn ensure_network(&self, request: &ClusterRequest) -> Result<Network, DriverError> {
        let rules =
            request.firewall.iter().map(|rule| serde_json::to_string(rule).expect("a rule has string keys only"));
        let handles = Options([(RULES.to_owned(), OptionValue::Many(rules.collect()))].into());
        Ok(Network { cluster: request.id.clone(), prefix: None, handles })
    }

    async fn create(
        &self,
        network: &Network,
        machines: &[MachineRequest],
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError> {
        let rules = network.handles.many(RULES).into_iter().map(serde_json::from_str).collect::<Result<Vec<_>, _>>();
        let rules = rules.map_err(|error| DriverError::provider("read the firewall's rules", error))?;
        let cluster = &network.cluster;
        for machine in machines {
            progress.machine(&machine.name, "looking at its host");
        }
        let seen = self.look_among(&self.candidates(Some(cluster))?).await?;
        let addresses = addresses(&seen, self.given.address_interface.as_deref()).await?;
        let places = place(cluster, machines, &seen)?;
        let chosen: BTreeSet<_> = places.values().copied().collect();
        let unclaimed: Vec<_> =
            chosen.iter().map(|index| &seen[*index]).filter(|seen| seen.facts.record.is_none()).collect();
        self.remember(cluster, &unclaimed).await?;
        let claims = machines.iter().map(|machine| {
            let seen = &seen[places[&machine.name]];
            let address = addresses[&seen.host.id()];
            async move {
                let instance = match &seen.facts.record {
                    Some(record) => self.instance(seen, record)?,
                    None => self.claim(seen, machine, address).await?,
                };
                progress.appeared(&instance, instance.public_address.or(instance.private_address));
                Ok::<_, DriverError>(instance)
            }
        });
        let instances = try_join_all(claims).await?;
        let is_member = |(index, one): &(usize, &Seen)| one.is_of(cluster) || chosen.contains(index);
        let members: Vec<_> = seen.iter().enumerate().filter(is_member).map(|(_, seen)| seen).collect();
        let member_addresses: Vec<_> = members.iter().map(|seen| addresses[&seen.host.id()]).collect();
        let walled = members.iter().zip(&member_addresses).filter(|(seen, _)| seen.facts.has_firewall);
        try_join_all(walled.map(|(seen, own)| {
            let holes = firewall::holes(&rules, *own, &member_addresses, seen.facts.operator);
            async move { firewall::ensure(&*seen.session, &holes).await }
        }))
        .await?;
        Ok(instances)
    }

    async fn start(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
        try_join_all(ids.iter().map(|id| async move {
            let (seen, record) = self.machine(id).await?;
            match service::start(&*seen.session).await {
                Ok(_) | Err(ServiceError::NotInstalled { .. }) => {}
                Err(error) => return Err(refused("start the agent", error)),
            }
            self.instance(&seen, &record)
        }))
        .await
    }

    async fn stop(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        try_join_all(ids.iter().map(|id| async move {
            let (seen, _) = self.machine(id).await?;
            match service::stop(&*seen.session).await {
                Ok(report) if report.supervision == Supervision::Init => {
                    Err(DriverError::Unsupported { provider: NAME, action: "stop a local machine" })
                }
                Ok(_) | Err(ServiceError::NotInstalled { .. }) => Ok(()),
                Err(error) => Err(refused("stop the agent", error)),
            }
        }))
        .await?;
        Ok(())
    }

    async fn extend(&self, _cluster: &ClusterId, _expires: Timestamp) -> Result<(), DriverError> {
        Err(DriverError::Unsupported { provider: NAME, action: "end machines when their time is up" })
    }

    async fn console(&self, _id: &InstanceId) -> Result<Console, DriverError> {
        Err(DriverError::Unsupported { provider: NAME, action: "show the console of a host" })
    }

    async fn destroy(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        lock(&self.fresh).clear();
        // All are tried before the first failure is told.
        let destroyed = join_all(ids.iter().map(|id| self.destroy_one(id))).await;
        let left: Vec<_> = destroyed.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        self.shut_out(&left).await
    }

    async fn remove_network(&self, _cluster: &ClusterId) -> Result<(), DriverError> {
        Ok(())
    }

    async fn find(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError> {
        let seen = self.look(&self.candidates(cluster)?).await?;
        let found = seen.iter().filter_map(|seen| {
            let resource = resource(seen)?;
            if let Some(cluster) = cluster {
                if resource.cluster != *cluster {
                    return None;
                }
                lock(&self.known).insert(seen.host.id(), cluster.clone());
            }
            Some(resource)
        });
        Ok(found.collect())
    }
}

/// What a host carries.
fn resource(seen: &Seen) -> Option<Resource> {
    let instance = Some(seen.host.id());
    if let Some(record) = &seen.facts.record {
        return Some(Resource {
            cluster_name: Some(record.cluster.clone()),
            instance,
            ..Resource::new(record.mark.clone(), "machine", record.name.clone())
        });
    }
    let (mark, cluster) = seen.facts.agent.as_ref()?;
    Some(Resource {
        cluster_name: Some(cluster.clone()),
        instance,
        ..Resource::new(mark.clone(), "agent", seen.host.to_string())
    })
}

fn refused(action: &str, error: ServiceError) -> DriverError {
    match error {
        ServiceError::Reach(error) => unreached(action, error),
        ServiceError::Refused { .. } | ServiceError::NotInstalled { .. } => match error.hint() {
            Some(hint) => DriverError::Unmet { what: error.to_string(), hint },
            None => DriverError::provider(action, error),
        },
    }
}

fn host_of(id: &InstanceId) -> Result<GivenHost, DriverError> {
    id.0.parse().map_err(|_| DriverError::NoSuchMachine { id: id.0.clone() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
