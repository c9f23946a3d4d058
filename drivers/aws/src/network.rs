//! The network of a cluster: subnets that exist, else one of our own, and the group that all machines are in.

use aws_sdk_ec2::types::{SecurityGroup, Subnet};
use driver::cloud::NETWORK;
use driver::{ClusterRequest, DriverError, Network};

use crate::api::{Api, Call, pages};
use crate::place::{Ground, Place, choose};
use crate::rates::DESCRIBE_SUBNETS;
use crate::settings::Settings;
use crate::tags::filter;
use crate::{firewall, own_network};

/// Makes sure that the network is there, with exactly the rules asked for.
pub(crate) async fn ensure(api: &Api, settings: &Settings, request: &ClusterRequest) -> Result<Network, DriverError> {
    let (subnets, groups) = futures_util::try_join!(subnets(api, settings), firewall::marked(api, Some(&request.id)))?;
    let ground = ground(api, settings, request, &subnets, &groups).await?;
    let group = firewall::ensure(api, request, &ground.vpc, &groups).await?;
    Ok(Network { cluster: request.id.clone(), prefix: ground.prefix.clone(), handles: ground.handles(&group) })
}

/// The subnets that are named, else the region's default ones.
async fn subnets(api: &Api, settings: &Settings) -> Result<Vec<Subnet>, DriverError> {
    let filters = if settings.subnets.is_empty() {
        vec![filter("default-for-az", ["true"])]
    } else {
        vec![filter("subnet-id", &settings.subnets)]
    };
    let filters = &filters;
    pages("list subnets", |page| async move {
        let answer = api.call(Call::new(DESCRIBE_SUBNETS, "list subnets"), || {
            let request = api.client.describe_subnets().set_filters(Some(filters.clone()));
            request.set_next_token(page.clone()).send()
        });
        let answer = answer.await?;
        Ok((answer.subnets.unwrap_or_default(), answer.next_token))
    })
    .await
}

async fn ground(
    api: &Api,
    settings: &Settings,
    request: &ClusterRequest,
    subnets: &[Subnet],
    groups: &[SecurityGroup],
) -> Result<Ground, DriverError> {
    let vpc = subnets.first().and_then(Subnet::vpc_id);
    if !settings.subnets.is_empty() {
        return named(settings, subnets, &api.region);
    }
    match vpc {
        // A cluster that was begun in a VPC of its own stays there.
        Some(vpc) if groups.is_empty() || groups.iter().any(|group| group.vpc_id() == Some(vpc)) => {
            let (places, spares) = choose(subnets.iter().filter_map(place).collect(), &settings.zones, false)?;
            Ok(Ground { vpc: vpc.to_owned(), prefix: None, places, spares })
        }
        _ => own_network::ensure(api, request, groups.first().and_then(SecurityGroup::vpc_id), &settings.zones).await,
    }
}

/// The subnets that are named: all of them there, and all in one VPC, since a group belongs to one.
fn named(settings: &Settings, subnets: &[Subnet], region: &str) -> Result<Ground, DriverError> {
    let invalid = |reason| DriverError::InvalidOption { option: NETWORK.to_owned(), reason };
    let mut there = Vec::new();
    for id in &settings.subnets {
        let subnet = subnets.iter().find(|subnet| subnet.subnet_id() == Some(id));
        let subnet = subnet.ok_or_else(|| invalid(format!("there is no subnet `{id}` in {region}")))?;
        if subnet.vpc_id() != subnets[0].vpc_id() {
            return Err(invalid(format!("subnet `{id}` is in another VPC than the others")));
        }
        there.extend(place(subnet));
    }
    let (places, spares) = choose(there, &settings.zones, true)?;
    Ok(Ground { vpc: subnets[0].vpc_id().unwrap_or_default().to_owned(), prefix: None, places, spares })
}

fn place(subnet: &Subnet) -> Option<Place> {
    Some(Place { zone: subnet.availability_zone()?.to_owned(), subnet: subnet.subnet_id()?.to_owned() })
}
