//! Everything that carries a mark.
//!
//! One call lists all tags of the mark, whatever they are on, and another one, beside it, the machines. What goes with a
//! machine is told by the machine; the rest is looked at kind by kind, because EC2 tells of tags for a while after what
//! carried them is gone.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{ResourceType, Tag, TagDescription};
use driver::{ClusterId, DriverError, Price, Resource, TAG_ID};
use futures_util::future::try_join_all;

use crate::api::{Api, Call, pages};
use crate::machine::{self, FILTER_VALUES, Life, Machine};
use crate::rates::{DESCRIBE_NETWORK_INTERFACES, DESCRIBE_SPOT_REQUESTS, DESCRIBE_TAGS, DESCRIBE_VOLUMES};
use crate::settings::Settings;
use crate::tags::{self, filter};
use crate::{firewall, own_network, price};

/// Tags a page; EC2's most.
const PAGE: i32 = 1000;

/// What carries a mark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Survey {
    /// The machines that exist, those that are vanishing among them.
    pub(crate) machines: Vec<Machine>,
    /// All else that exists.
    pub(crate) parts: Vec<Part>,
}

/// Something that is no machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) is_vanishing: bool,
    /// Whether it goes with a machine that exists.
    pub(crate) is_of_machine: bool,
    /// The VPC that a gateway is attached to.
    pub(crate) vpc: Option<String>,
    tags: Vec<Tag>,
    /// Gigabytes of a disk that goes with no machine.
    gigabytes: Option<u32>,
}

/// What a part is, in the order in which such parts are shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Disk,
    Interface,
    SpotRequest,
    Group,
    Gateway,
    Subnet,
    Vpc,
    /// Something that this driver does not make, by EC2's name.
    Other(String),
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "volume" => Self::Disk,
            "network-interface" => Self::Interface,
            "spot-instances-request" => Self::SpotRequest,
            "security-group" => Self::Group,
            "internet-gateway" => Self::Gateway,
            "subnet" => Self::Subnet,
            "vpc" => Self::Vpc,
            other => Self::Other(other.to_owned()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Disk => "disk",
            Self::Interface => "network-interface",
            Self::SpotRequest => "spot-request",
            Self::Group => "firewall",
            Self::Gateway => "gateway",
            Self::Subnet => "subnet",
            Self::Vpc => "network",
            Self::Other(name) => name,
        }
    }
}

impl Part {
    fn new(kind: Kind, id: impl Into<String>, tags: Vec<Tag>) -> Self {
        Self { kind, id: id.into(), is_vanishing: false, is_of_machine: false, vpc: None, tags, gigabytes: None }
    }
}

impl Survey {
    /// As the contract shows it.
    pub(crate) fn resources(&self, settings: &Settings, region: &str) -> Vec<Resource> {
        let machine = |machine: &Machine| {
            let resource = Resource::of_tags("machine", &machine.name, |key| tags::value(&machine.tags, key))?;
            Some(Resource {
                instance: Some(machine.id.clone()),
                price: machine_price(machine, settings, region),
                is_vanishing: machine.life == Life::Vanishing,
                ..resource
            })
        };
        let part = |part: &Part| {
            let resource = Resource::of_tags(part.kind.name(), &part.id, |key| tags::value(&part.tags, key))?;
            let price = part.gigabytes.and_then(|gigabytes| price::disk(region, gigabytes));
            Some(Resource { price, is_vanishing: part.is_vanishing, ..resource })
        };
        self.machines.iter().filter_map(machine).chain(self.parts.iter().filter_map(part)).collect()
    }
}

/// What a machine costs. The disk is reckoned as large as the options say.
fn machine_price(machine: &Machine, settings: &Settings, region: &str) -> Option<Price> {
    match machine.life {
        Life::Starting | Life::Running => {
            price::machine(&machine.instance_type, region, settings.disk_gb, machine.public_address.is_some())
        }
        Life::Stopping | Life::Stopped => price::disk(region, settings.disk_gb),
        Life::Vanishing | Life::Gone => None,
    }
}

/// Everything that carries this cluster's mark; with `None`, any cluster's.
pub(crate) async fn of(api: &Api, cluster: Option<&ClusterId>) -> Result<Survey, DriverError> {
    let (marks, mut machines) = futures_util::try_join!(marks(api, cluster), machine::of_cluster(api, cluster))?;
    machines.retain(|machine| machine.life != Life::Gone);
    machines.sort_by(|one, other| {
        let key = |machine: &Machine| {
            (tags::value(&machine.tags, TAG_ID).map(ToOwned::to_owned), machine.number, machine.id.clone())
        };
        key(one).cmp(&key(other))
    });

    let mut parts = Vec::new();
    let mut alone: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    for mark in &marks {
        let Some((id, kind)) = mark.resource_id().zip(mark.resource_type()) else { continue };
        if *kind == ResourceType::Instance {
            continue;
        }
        let kind = Kind::of(kind.as_str());
        match machines.iter().find(|machine| machine.parts.iter().any(|part| part == id)) {
            Some(machine) => parts.push(Part {
                is_vanishing: machine.life == Life::Vanishing,
                is_of_machine: true,
                ..Part::new(kind, id, machine.tags.clone())
            }),
            None if matches!(kind, Kind::Other(_)) => {
                let mark = tags::tag(TAG_ID, mark.value().unwrap_or_default());
                parts.push(Part::new(kind, id, vec![mark]));
            }
            None => {
                alone.entry(kind).or_default().insert(id.to_owned());
            }
        }
    }
    let looks = alone.into_iter().flat_map(|(kind, ids)| {
        let ids: Vec<_> = ids.into_iter().collect();
        let chunks: Vec<_> = ids.chunks(FILTER_VALUES).map(<[String]>::to_vec).collect();
        chunks.into_iter().map(move |ids| (kind.clone(), ids))
    });
    let looked = try_join_all(looks.map(|(kind, ids)| async move { look(api, &kind, &ids).await })).await?;
    // A tag that was put on a part of another cluster's meanwhile is not ours to speak of.
    let is_wanted = |part: &Part| cluster.is_none_or(|cluster| tags::is_marked(&part.tags, cluster));
    parts.extend(looked.into_iter().flatten().filter(is_wanted));
    parts.sort_by(|one, other| (&one.kind, &one.id).cmp(&(&other.kind, &other.id)));
    Ok(Survey { machines, parts })
}

/// The tags of the mark, on whatever they are.
async fn marks(api: &Api, cluster: Option<&ClusterId>) -> Result<Vec<TagDescription>, DriverError> {
    let mut filters = vec![filter("key", [TAG_ID])];
    filters.extend(cluster.map(|cluster| filter("value", [cluster.0.as_str()])));
    let filters = &filters;
    pages("list tags", |page| async move {
        let answer = api.call(Call::new(DESCRIBE_TAGS, "list tags"), || {
            let request = api.client.describe_tags().set_filters(Some(filters.clone()));
            request.max_results(PAGE).set_next_token(page.clone()).send()
        });
        let answer = answer.await?;
        Ok((answer.tags.unwrap_or_default(), answer.next_token))
    })
    .await
}

/// Those of the parts of a kind with these ids that exist.
async fn look(api: &Api, kind: &Kind, ids: &[String]) -> Result<Vec<Part>, DriverError> {
    let parts = match kind {
        Kind::Disk => disks(api, ids).await?,
        Kind::Interface => interfaces(api, ids).await?,
        Kind::SpotRequest => spot_requests(api, ids).await?,
        Kind::Group => {
            let groups = firewall::with_ids(api, ids).await?.into_iter();
            groups.filter_map(|group| Some((group.group_id?, group.tags))).map(known(kind)).collect()
        }
        Kind::Gateway => {
            let gateways = own_network::gateways(api, vec![filter("internet-gateway-id", ids)]).await?.into_iter();
            let gateway = |gateway: aws_sdk_ec2::types::InternetGateway| {
                let vpc =
                    gateway.attachments().first().and_then(|attachment| attachment.vpc_id().map(ToOwned::to_owned));
                Some(Part { vpc, ..known(kind)((gateway.internet_gateway_id?, gateway.tags)) })
            };
            gateways.filter_map(gateway).collect()
        }
        Kind::Subnet => {
            let subnets = own_network::subnets(api, vec![filter("subnet-id", ids)]).await?.into_iter();
            subnets.filter_map(|subnet| Some((subnet.subnet_id?, subnet.tags))).map(known(kind)).collect()
        }
        Kind::Vpc => {
            let vpcs = own_network::vpcs(api, vec![filter("vpc-id", ids)]).await?.into_iter();
            vpcs.filter_map(|vpc| Some((vpc.vpc_id?, vpc.tags))).map(known(kind)).collect()
        }
        Kind::Other(_) => Vec::new(),
    };
    Ok(parts)
}

/// A part of this kind, by its id and its tags.
fn known(kind: &Kind) -> impl Fn((String, Option<Vec<Tag>>)) -> Part {
    let kind = kind.clone();
    move |(id, tags)| Part::new(kind.clone(), id, tags.unwrap_or_default())
}

async fn disks(api: &Api, ids: &[String]) -> Result<Vec<Part>, DriverError> {
    let answer = api.call(Call::new(DESCRIBE_VOLUMES, "look at disks"), || {
        api.client.describe_volumes().filters(filter("volume-id", ids)).send()
    });
    let volumes = answer.await?.volumes.unwrap_or_default().into_iter();
    let disk = |volume: aws_sdk_ec2::types::Volume| {
        let state = volume.state.as_ref().map_or("", |state| state.as_str());
        Some(Part {
            is_vanishing: matches!(state, "deleting" | "deleted"),
            gigabytes: volume.size.and_then(|size| u32::try_from(size).ok()),
            ..Part::new(Kind::Disk, volume.volume_id?, volume.tags.unwrap_or_default())
        })
    };
    Ok(volumes.filter_map(disk).collect())
}

async fn interfaces(api: &Api, ids: &[String]) -> Result<Vec<Part>, DriverError> {
    let answer = api.call(Call::new(DESCRIBE_NETWORK_INTERFACES, "look at network interfaces"), || {
        api.client.describe_network_interfaces().filters(filter("network-interface-id", ids)).send()
    });
    let interfaces = answer.await?.network_interfaces.unwrap_or_default().into_iter();
    let known = known(&Kind::Interface);
    Ok(interfaces.filter_map(|one| Some((one.network_interface_id?, one.tag_set))).map(known).collect())
}

/// Requests that may still give a machine, or have one.
async fn spot_requests(api: &Api, ids: &[String]) -> Result<Vec<Part>, DriverError> {
    let answer = api.call(Call::new(DESCRIBE_SPOT_REQUESTS, "look at spot requests"), || {
        api.client
            .describe_spot_instance_requests()
            .filters(filter("spot-instance-request-id", ids))
            .filters(filter("state", ["open", "active"]))
            .send()
    });
    let requests = answer.await?.spot_instance_requests.unwrap_or_default().into_iter();
    let known = known(&Kind::SpotRequest);
    Ok(requests.filter_map(|one| Some((one.spot_instance_request_id?, one.tags))).map(known).collect())
}
