//! Making the machines that are missing.
//!
//! ```text
//!   list ──> batches (group, zone) ─┬─> bulkInsert ──> operation ──┬──> list until all have addresses
//!                                   └─> bulkInsert ──> operation ──┤
//!                                       firewall's operations  ────┘
//! ```
//! A batch is made whole or not at all: `minCount` is its size, and Compute Engine takes back what it had made. Where a
//! zone has no capacity, the next machine type is tried, then the next zone. A call that is repeated, by this process or
//! by the next, has the same request id and so joins the operation that it began. An operation that had ended already
//! when it was joined is an earlier one: the next turn has another id. No id makes duplicates: the names are taken then.

use std::collections::BTreeMap;

use driver::cloud::no_capacity;
use driver::{ClusterId, DriverError, Instance, MachineRequest, Network, Progress, Wait, wait_until};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use google_cloud_compute_v1::model::Operation;
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use crate::batch::{Batch, batch_id, batches};
use crate::cloud::{CHANGES, Cloud, READS};
use crate::failure::{Meaning, meaning};
use crate::machines::{Machine, tail};
use crate::marking::{fresh_id, key, machine_name};
use crate::operations::is_done;

/// How often a batch is begun in one zone with one type.
const TURNS: usize = 10;
/// How many earlier operations are met before the next call gets an id that no call ever had.
const OLD_OPERATIONS: usize = 3;

/// What `create` is about, and what it has said so far.
struct Work<'a> {
    cluster: &'a ClusterId,
    requests: &'a [MachineRequest],
    /// The requests by the machines' names at the provider.
    names: BTreeMap<String, &'a MachineRequest>,
    progress: &'a dyn Progress,
    announced: Vec<String>,
}

impl Cloud {
    pub(crate) async fn create(
        &self,
        network: &Network,
        requests: &[MachineRequest],
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError> {
        let Some(first) = requests.first() else { return Ok(Vec::new()) };
        let cluster = &first.mark.cluster;
        self.memory.forget(cluster);
        let key = key(cluster);
        let names = requests.iter().map(|request| (machine_name(&request.name, &key), request)).collect();
        let mut work = Work { cluster, requests, names, progress, announced: Vec::new() };

        let standing = self.unchanging(&work).await?;
        self.announce(&mut work, &standing)?;
        let is_there = |request: &MachineRequest| {
            standing
                .iter()
                .any(|machine| work.names.get(&machine.name).is_some_and(|known| known.number == request.number))
        };
        let mut missing = Vec::new();
        for request in requests.iter().filter(|request| !is_there(request)) {
            missing.push((request, self.settings.with(&request.options, &self.environment)?));
        }
        let needs_zones = missing.iter().any(|(_, settings)| settings.zones.is_empty());
        let zones = if needs_zones { self.region_zones().await? } else { &[] };
        let batches = batches(missing, zones);
        let (made, ruled) = tokio::join!(self.make_all(&batches, network, &mut work), self.settle_rules(network));
        made?;
        ruled?;
        self.await_addresses(&mut work).await
    }

    /// The machines that stand, once none of those that are wanted is on its way to be something else.
    async fn unchanging(&self, work: &Work<'_>) -> Result<Vec<Machine>, DriverError> {
        let patience = self.environment.patience;
        let wait = Wait { limit: patience.limit, interval: patience.interval };
        wait_until(&wait, "see machines stop or vanish that are wanted again", || async {
            let standing = self.unique(work).await?;
            let changes =
                standing.iter().any(|machine| machine.is_changing() && work.names.contains_key(&machine.name));
            Ok((!changes).then_some(standing))
        })
        .await
    }

    /// The machines of the cluster. One that was made twice, because a process ended while it went from zone to zone,
    /// is kept once.
    async fn unique(&self, work: &Work<'_>) -> Result<Vec<Machine>, DriverError> {
        let mut unique: Vec<Machine> = Vec::new();
        let mut surplus = Vec::new();
        for machine in self.machines(Some(work.cluster)).await? {
            let is_known = unique.iter().any(|known| known.name == machine.name);
            if is_known { surplus.push(machine.id()) } else { unique.push(machine) }
        }
        if !surplus.is_empty() {
            self.destroy_marked(&surplus).await?;
        }
        Ok(unique)
    }

    /// The zones of the region, in the order of their names.
    async fn region_zones(&self) -> Result<&[String], DriverError> {
        let region = &self.settings.region;
        let zones = self.zones.get_or_try_init(|| async {
            let action = format!("look at region `{region}`");
            let found = self.call(READS, &action, |clients| {
                clients.regions.get().set_project(&clients.project).set_region(region).send()
            });
            Ok(zones_of(&found.await?))
        });
        zones.await.map(Vec::as_slice)
    }

    /// Makes the batches at once, and announces machines as soon as one is made; all end before one's failure counts.
    async fn make_all(&self, batches: &[Batch<'_>], network: &Network, work: &mut Work<'_>) -> Result<(), DriverError> {
        for machine in batches.iter().flat_map(|batch| &batch.machines) {
            work.progress.machine(&machine.name, "creating");
        }
        let mut making: FuturesUnordered<_> =
            batches.iter().map(|batch| self.make(batch, network, work.cluster)).collect();
        let mut failure = None;
        while let Some(made) = making.next().await {
            failure = failure.or(made.err());
            // The others are likely to end at the same time: one look for all of them.
            while let Ok(Some(made)) = timeout(self.environment.patience.interval, making.next()).await {
                failure = failure.or(made.err());
            }
            if !making.is_empty() {
                let standing = self.machines(Some(work.cluster)).await?;
                self.announce(work, &standing)?;
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Makes one batch, where there is capacity.
    async fn make(&self, batch: &Batch<'_>, network: &Network, cluster: &ClusterId) -> Result<(), DriverError> {
        let mut tried = Vec::new();
        for zone in &batch.zones {
            for machine_type in &batch.settings.types {
                match Box::pin(self.make_there(batch, network, cluster, zone, machine_type)).await {
                    Err(failure) if meaning(&failure) == Meaning::NoCapacity => {
                        tracing::debug!(%zone, %machine_type, "no capacity");
                        tried.push(format!("{machine_type} in {zone}"));
                    }
                    made => return made,
                }
            }
        }
        Err(no_capacity("Compute Engine", &batch.names(), &tried.join(", ")))
    }

    /// Makes one batch in one zone of one type.
    async fn make_there(
        &self,
        batch: &Batch<'_>,
        network: &Network,
        cluster: &ClusterId,
        zone: &str,
        machine_type: &str,
    ) -> Result<(), DriverError> {
        let action = format!("create {} in {zone}", batch.names());
        let mut machines = batch.machines.clone();
        let mut turn = 0;
        for _ in 0..TURNS {
            match self.begin(&action, batch, &machines, network, zone, machine_type, turn).await {
                Ok(operation) => {
                    let was_done = is_done(&operation);
                    let finished = self.finish(&action, operation).await;
                    if !was_done || turn >= OLD_OPERATIONS && finished.is_err() {
                        match finished {
                            Err(failure) if meaning(&failure) == Meaning::Exists => {}
                            finished => return finished,
                        }
                    }
                    turn += usize::from(was_done);
                }
                // Another process's call is at it, or has just been.
                Err(failure) if meaning(&failure) == Meaning::Exists => self.pause().await,
                Err(failure) => return Err(failure),
            }
            machines = self.missing(&machines, cluster).await?;
            if machines.is_empty() {
                return Ok(());
            }
        }
        Err(DriverError::provider(action, "the names are taken by something that does not show"))
    }

    /// Those of the machines that do not exist.
    async fn missing<'a>(
        &self,
        machines: &[&'a MachineRequest],
        cluster: &ClusterId,
    ) -> Result<Vec<&'a MachineRequest>, DriverError> {
        let key = key(cluster);
        let standing = self.machines(Some(cluster)).await?;
        let stands = |name: &str| standing.iter().any(|machine| machine.name == name);
        Ok(machines.iter().copied().filter(|machine| !stands(&machine_name(&machine.name, &key))).collect())
    }

    #[expect(clippy::too_many_arguments, reason = "what one call is made of")]
    async fn begin(
        &self,
        action: &str,
        batch: &Batch<'_>,
        machines: &[&MachineRequest],
        network: &Network,
        zone: &str,
        machine_type: &str,
        turn: usize,
    ) -> Result<Operation, DriverError> {
        let id = if turn < OLD_OPERATIONS { batch_id(machines, zone, machine_type, turn) } else { fresh_id() };
        let body = batch.body(machines, network, machine_type, Timestamp::now())?;
        self.call(CHANGES, action, |clients| {
            let call = clients.instances.bulk_insert().set_project(&clients.project);
            call.set_zone(zone).set_request_id(&id).set_body(body.clone()).send()
        })
        .await
    }

    /// Waits until all machines have their addresses; they are in the order of the requests.
    async fn await_addresses(&self, work: &mut Work<'_>) -> Result<Vec<Instance>, DriverError> {
        let patience = self.environment.patience;
        let begin = Instant::now();
        let mut seen_last = begin;
        loop {
            let standing = self.unique(work).await?;
            self.announce(work, &standing)?;
            let of = |request: &MachineRequest| {
                let is_it = |machine: &&Machine| {
                    work.names.get(&machine.name).is_some_and(|known| known.number == request.number)
                };
                standing.iter().find(is_it)
            };
            let unseen = work.requests.iter().find(|request| of(request).is_none());
            match unseen {
                None => seen_last = Instant::now(),
                Some(request) if seen_last.elapsed() >= patience.unseen => {
                    return Err(DriverError::provider(
                        format!("see machine `{}`", request.name),
                        "it was made and has vanished",
                    ));
                }
                Some(_) => {}
            }
            let complete: Option<Vec<_>> = work
                .requests
                .iter()
                .map(|request| Some((request, of(request).filter(|machine| machine.is_addressed())?)))
                .collect();
            if let Some(complete) = complete {
                return complete.into_iter().map(|(request, machine)| self.shown(request, machine)).collect();
            }
            if begin.elapsed() >= patience.limit {
                let action = "see the addresses of all machines".to_owned();
                return Err(DriverError::TimedOut { action, after: patience.limit });
            }
            self.pause().await;
        }
    }

    /// Tells of the machines that are wanted and have their addresses, each once.
    fn announce(&self, work: &mut Work<'_>, standing: &[Machine]) -> Result<(), DriverError> {
        for machine in standing.iter().filter(|machine| machine.is_addressed() && !machine.is_changing()) {
            let Some(request) = work.names.get(&machine.name) else { continue };
            if !work.announced.contains(&machine.name) {
                let instance = self.shown(request, machine)?;
                work.progress.appeared(&instance, instance.public_address.or(instance.private_address));
                work.announced.push(machine.name.clone());
            }
        }
        Ok(())
    }

    fn shown(&self, request: &MachineRequest, machine: &Machine) -> Result<Instance, DriverError> {
        let settings = self.settings.with(&request.options, &self.environment)?;
        Ok(Instance { name: request.name.clone(), ..machine.instance(&settings, request.host_key.as_deref()) })
    }

    /// Destroys machines that are known to carry a mark; all of them, also where one fails.
    pub(crate) async fn destroy_marked(&self, ids: &[driver::InstanceId]) -> Result<(), DriverError> {
        let deletes = ids.iter().filter_map(crate::machines::place).map(|(zone, name)| async move {
            let action = format!("destroy machine `{name}`");
            let removed = self.call(CHANGES, &action, |clients| {
                let call = clients.instances.delete().set_project(&clients.project);
                call.set_zone(zone).set_instance(name).send()
            });
            self.unless_gone(&action, removed.await).await
        });
        join_all(deletes).await.into_iter().collect()
    }
}

/// The zones of a region, in the order of their names.
pub(crate) fn zones_of(region: &google_cloud_compute_v1::model::Region) -> Vec<String> {
    let mut zones: Vec<_> = region.zones.iter().map(|link| tail(Some(link)).to_owned()).collect();
    zones.sort();
    zones
}
