//! Creating machines: looks at what exists, launches what is missing, and waits until each has its addresses.
//!
//! ```text
//!   missing machines ──> batches ──> in each place, each type in turn ──> RunInstances, all of the batch or none
//!                                    no capacity: the next type, then the next place
//! ```
//! A launch is repeated under its client token until its answer is known, so falling back to another type or place never
//! launches anything twice. Should two machines of one number exist all the same (EC2 tells of a launch some time after
//! it), the older one stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, InstanceInterruptionBehavior, InstanceMarketOptionsRequest,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceNetworkInterfaceSpecification, InstanceType,
    MarketType, ResourceType, ShutdownBehavior, SpotInstanceType, SpotMarketOptions, TagSpecification, VolumeType,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use driver::cloud::no_capacity;
use driver::{ClusterId, DriverError, Instance, InstanceId, MachineRequest, Progress, wait_until};
use futures_util::future::join_all;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::api::{Api, Call};
use crate::batch::{self, Batch};
use crate::failure::{self, NO_ADDRESS, TOKEN_OF_ANOTHER_CALL, TOKEN_SPENT};
use crate::image::Image;
use crate::machine::{self, Machine};
use crate::place::{Place, Site};
use crate::rates::{MACHINES_RUN, RUN_INSTANCES};
use crate::settings::Settings;
use crate::{destroy, firewall, tags};

/// What EC2 takes as user-data, before it is encoded.
const USER_DATA: usize = 16 * 1024;
/// So often at most a batch is launched under a new token because what the old one stood for is gone.
const GENERATIONS: u32 = 16;

/// All that a launch needs besides its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launch<'a> {
    pub(crate) api: &'a Api,
    pub(crate) settings: &'a Settings,
    pub(crate) cluster: &'a ClusterId,
    pub(crate) site: &'a Site,
    pub(crate) image: &'a Image,
}

impl Launch<'_> {
    /// Launches those of the machines that do not exist, and returns the ids of those that it launched, by number.
    /// `there` are the cluster's machines.
    pub(crate) async fn missing(
        self,
        machines: &[MachineRequest],
        there: &[Machine],
        progress: &dyn Progress,
    ) -> Result<BTreeMap<u32, InstanceId>, DriverError> {
        let exists = |number| there.iter().any(|one| one.life.is_staying() && one.number == Some(number));
        let missing: Vec<_> = machines.iter().filter(|machine| !exists(machine.number)).collect();
        let batches = batch::batches(&missing, self.site.places.len());
        // Every launch comes to its end, whatever becomes of the others: none is left half known.
        let outcomes = join_all(batches.iter().map(|batch| self.batch(batch, progress))).await;
        let mut launched = BTreeMap::new();
        for machines in outcomes {
            let machines = machines?.into_iter().filter_map(|machine| Some((machine.number?, machine.id)));
            launched.extend(machines);
        }
        Ok(launched)
    }

    /// Launches a batch in the first place and as the first type that has capacity for all of it.
    async fn batch(self, batch: &Batch<'_>, progress: &dyn Progress) -> Result<Vec<Machine>, DriverError> {
        let mut refusals = Vec::new();
        for place in self.site.in_turn(batch.place) {
            for kind in &self.settings.types {
                for machine in &batch.machines {
                    progress.machine(&machine.name, &format!("creating a {kind} in {}", place.zone));
                }
                let refusal = match self.whole(batch, place, kind).await {
                    Ok(machines) => return Ok(machines),
                    Err(failure) if failure::is_no_capacity(&failure) => failure,
                    Err(failure) if failure::is_one_of(&failure, &[NO_ADDRESS]) => {
                        refusals.push(format!("{}, which has no address left", place.subnet));
                        break;
                    }
                    Err(failure) => return Err(failure),
                };
                debug!(kind, zone = place.zone, cause = failure::code(&refusal), "no capacity; trying elsewhere");
                refusals.push(format!("{kind} in {}", place.zone));
            }
        }
        Err(no_capacity("EC2", &names(batch), &refusals.join(", ")))
    }

    /// Launches all of a batch as one type in one place, or none of it.
    async fn whole(self, batch: &Batch<'_>, place: &Place, kind: &str) -> Result<Vec<Machine>, DriverError> {
        for generation in 0..GENERATIONS {
            let token = batch.token(self.cluster, &place.subnet, kind, generation);
            let machines = match self.run(batch, place, kind, &token).await {
                Ok(machines) => machines,
                Err(failure) if failure::is_one_of(&failure, &[TOKEN_SPENT]) => Vec::new(),
                Err(failure) if failure::is_one_of(&failure, &[TOKEN_OF_ANOTHER_CALL]) => self.of_token(&token).await?,
                Err(failure) => return Err(failure),
            };
            if machines.iter().any(|machine| machine.life.is_staying()) {
                return Ok(machines);
            }
            debug!(generation, "what was launched under this token is gone; launching anew");
        }
        Err(DriverError::provider(action(batch), "the machines end as soon as they are launched"))
    }

    /// What an earlier launch under this token made, which asked for something else: the launch itself is not told of
    /// again, and what it made may be told of only after a while.
    async fn of_token(self, token: &str) -> Result<Vec<Machine>, DriverError> {
        let begun = Instant::now();
        wait_until(&self.api.patience.machines, "see what was launched before", || async {
            let machines = machine::of_token(self.api, token).await?;
            let is_settled = !machines.is_empty() || begun.elapsed() >= self.api.patience.consistency;
            Ok(is_settled.then_some(machines))
        })
        .await
    }

    async fn run(self, batch: &Batch<'_>, place: &Place, kind: &str, token: &str) -> Result<Vec<Machine>, DriverError> {
        let count = i32::try_from(batch.machines.len()).unwrap_or(i32::MAX);
        let user_data = user_data(batch.first())?;
        let not_yet = [firewall::NOT_YET, &["InvalidSubnetID.NotFound"]].concat();
        let call = Call::new(RUN_INSTANCES, action(batch)).charged(MACHINES_RUN, batch.machines.len());
        let answer = self.api.call(call.after_creation(&not_yet), || {
            self.api
                .client
                .run_instances()
                .client_token(token)
                .image_id(&self.image.id)
                .instance_type(InstanceType::from(kind))
                .min_count(count)
                .max_count(count)
                .network_interfaces(self.interface(place))
                .block_device_mappings(self.disk())
                .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
                .metadata_options(metadata())
                .set_instance_market_options(self.settings.is_spot.then(spot))
                .set_tag_specifications(Some(self.tag_specifications(batch)))
                .set_user_data(user_data.clone())
                .send()
        });
        Ok(machine::launched(answer.await?.instances()))
    }

    fn interface(self, place: &Place) -> InstanceNetworkInterfaceSpecification {
        InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(&place.subnet)
            .groups(&self.site.group)
            .associate_public_ip_address(!self.settings.is_private)
            .delete_on_termination(true)
            .build()
    }

    fn disk(self) -> BlockDeviceMapping {
        let disk = EbsBlockDevice::builder()
            .volume_size(i32::try_from(self.settings.disk_gb).unwrap_or(i32::MAX))
            .volume_type(VolumeType::Gp3)
            .delete_on_termination(true)
            .build();
        BlockDeviceMapping::builder().device_name(&self.image.root_device).ebs(disk).build()
    }

    /// The mark, on all that the launch makes; and on the machines what tells them apart.
    fn tag_specifications(self, batch: &Batch<'_>) -> Vec<TagSpecification> {
        let first = batch.first();
        let shared = tags::of_mark(&first.mark, &format!("{}-{}", first.mark.name, first.group));
        let mut of_machines = shared.clone();
        of_machines.extend([
            tags::tag(tags::GROUP, &first.group),
            tags::tag(tags::NUMBERS, batch::list(&batch.numbers())),
            tags::tag(tags::NAMING, &batch.naming),
        ]);
        let mut specifications = vec![
            tags::specification(ResourceType::Instance, of_machines),
            tags::specification(ResourceType::Volume, shared.clone()),
            tags::specification(ResourceType::NetworkInterface, shared.clone()),
        ];
        if self.settings.is_spot {
            specifications.push(tags::specification(ResourceType::SpotInstancesRequest, shared));
        }
        specifications
    }

    /// Waits until each of the machines has its addresses, announces each as soon as it has, and returns them in the
    /// order asked for. `launched` are those that were launched just now.
    pub(crate) async fn appear(
        self,
        machines: &[MachineRequest],
        launched: &BTreeMap<u32, InstanceId>,
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError> {
        let announced = Mutex::new(BTreeSet::new());
        let begun = Instant::now();
        for machine in machines {
            progress.machine(&machine.name, "waiting for an address");
        }
        wait_until(&self.api.patience.machines, "see an address of every machine", || async {
            let seen = machine::of_cluster(self.api, Some(self.cluster)).await?;
            let (chosen, twins) = one_each(&seen);
            if !twins.is_empty() {
                warn!(?twins, "several machines have one number; the older ones stay");
                destroy::terminate(self.api, &twins).await?;
            }
            let mut instances = Vec::new();
            for request in machines {
                match chosen.get(&request.number) {
                    Some(machine) if machine.has_addresses(self.settings) => {
                        let instance = machine.instance(self.settings, request.host_key.as_ref());
                        let is_first = announced.lock().expect("no announcement panics").insert(request.number);
                        if is_first {
                            progress.appeared(&instance, machine.address(self.settings));
                        }
                        instances.push(instance);
                    }
                    Some(_) => {}
                    None => self.still_expected(request, launched, &seen, begun)?,
                }
            }
            Ok((instances.len() == machines.len()).then_some(instances))
        })
        .await
    }

    /// Whether a machine that is not seen may still appear: it was launched a moment ago, and did not end since.
    fn still_expected(
        self,
        request: &MachineRequest,
        launched: &BTreeMap<u32, InstanceId>,
        seen: &[Machine],
        begun: Instant,
    ) -> Result<(), DriverError> {
        let action = || format!("create machine `{}`", request.name);
        // One of that number that ended before this one was launched tells nothing about it.
        let id = launched.get(&request.number);
        let candidates = seen.iter().filter(|machine| match id {
            Some(id) => machine.id == *id,
            None => machine.number == Some(request.number),
        });
        if let Some(ended) = candidates.max_by_key(|machine| machine.seniority()) {
            return Err(DriverError::provider(action(), ended.end()));
        }
        if begun.elapsed() < self.api.patience.consistency {
            return Ok(());
        }
        let id = id.map_or_else(String::new, |id| format!(" {id}"));
        Err(DriverError::provider(action(), format!("EC2 does not know instance{id} any more")))
    }
}

/// For each number the machine that stays, and the ids of those that are too many.
fn one_each(machines: &[Machine]) -> (BTreeMap<u32, &Machine>, Vec<InstanceId>) {
    let mut chosen: BTreeMap<u32, &Machine> = BTreeMap::new();
    let mut twins = Vec::new();
    for machine in machines.iter().filter(|machine| machine.life.is_staying()) {
        let Some(number) = machine.number else { continue };
        let Some(other) = chosen.insert(number, machine) else { continue };
        let is_older = other.seniority() < machine.seniority();
        twins.push(if is_older { machine.id.clone() } else { other.id.clone() });
        if is_older {
            chosen.insert(number, other);
        }
    }
    (chosen, twins)
}

fn action(batch: &Batch<'_>) -> String {
    format!("create machines {}", names(batch))
}

fn names(batch: &Batch<'_>) -> String {
    batch.machines.iter().map(|machine| format!("`{}`", machine.name)).collect::<Vec<_>>().join(", ")
}

fn user_data(machine: &MachineRequest) -> Result<Option<String>, DriverError> {
    let Some(text) = &machine.user_data else { return Ok(None) };
    if text.len() > USER_DATA {
        let reason = format!("its user-data has {} bytes, and EC2 takes {USER_DATA}", text.len());
        return Err(DriverError::provider(format!("create machine `{}`", machine.name), reason));
    }
    Ok(Some(BASE64_STANDARD.encode(text)))
}

/// Only processes of the machine itself may ask for its metadata, and no request that another server can be talked into.
fn metadata() -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .build()
}

fn spot() -> InstanceMarketOptionsRequest {
    let options = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
        .build();
    InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(options).build()
}
