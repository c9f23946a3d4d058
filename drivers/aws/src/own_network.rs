//! A VPC of our own, where the region has no default one: subnets, and a gateway to the internet.
//!
//! ```text
//!   VPC ──┬── a subnet a zone
//!         ├── gateway ── attach ──┐
//!         └── main route table ───┴── route to everywhere
//! ```
//! EC2 takes no client token for these, so each is looked for, by its mark, before every attempt to create it.

use aws_sdk_ec2::types::{InternetGateway, ResourceType, Subnet, TagSpecification, Vpc};
use driver::{ClusterId, ClusterRequest, DriverError};

use crate::api::{Api, Call};
use crate::place::{Ground, Place};
use crate::rates::{
    ATTACH_INTERNET_GATEWAY, CREATE_INTERNET_GATEWAY, CREATE_ROUTE, CREATE_SUBNET, CREATE_VPC, DELETE_INTERNET_GATEWAY,
    DELETE_SUBNET, DELETE_VPC, DESCRIBE_INTERNET_GATEWAYS, DESCRIBE_ROUTE_TABLES, DESCRIBE_SUBNETS, DESCRIBE_VPCS,
    DETACH_INTERNET_GATEWAY,
};
use crate::tags::{self, filter};
use crate::{failure, survey};

/// The prefix of the VPC.
const PREFIX: &str = "10.77.0.0/16";
/// A VPC that was created a moment ago is not known everywhere yet.
const NO_VPC: &str = "InvalidVpcID.NotFound";

/// Makes sure that the cluster has a VPC of its own, with a subnet in each of these zones, or one in any. `known` is the
/// VPC that its group is in already.
pub(crate) async fn ensure(
    api: &Api,
    request: &ClusterRequest,
    known: Option<&str>,
    zones: &[String],
) -> Result<Ground, DriverError> {
    let specification = |kind| tags::specification(kind, tags::of_mark(&request.mark(), &request.name));
    let vpc = ensure_vpc(api, &request.id, known, &specification(ResourceType::Vpc)).await?;
    let specification_of_subnets = specification(ResourceType::Subnet);
    let zones: Vec<_> = if zones.is_empty() { vec![None] } else { zones.iter().map(Some).collect() };
    let subnets = zones
        .iter()
        .enumerate()
        .map(|(index, zone)| ensure_subnet(api, &vpc, index, zone.map(String::as_str), &specification_of_subnets));
    let specification_of_gateway = specification(ResourceType::InternetGateway);
    let (subnets, gateway, table) = futures_util::try_join!(
        futures_util::future::try_join_all(subnets),
        ensure_gateway(api, &request.id, &vpc, &specification_of_gateway),
        main_route_table(api, &vpc)
    )?;
    ensure_route(api, &table, &gateway).await?;
    let place = |subnet: &Subnet| {
        Some(Place { zone: subnet.availability_zone()?.to_owned(), subnet: subnet.subnet_id()?.to_owned() })
    };
    let places = subnets.iter().filter_map(place).collect();
    Ok(Ground { vpc, prefix: Some(PREFIX.to_owned()), places, spares: Vec::new() })
}

async fn ensure_vpc(
    api: &Api,
    cluster: &ClusterId,
    known: Option<&str>,
    specification: &TagSpecification,
) -> Result<String, DriverError> {
    let vpc = api.patiently(|| async {
        let there = vpcs(api, vec![tags::marked(Some(cluster))]).await?;
        if let Some(first) = there.into_iter().min_by_key(|vpc| (vpc.vpc_id() != known, vpc.vpc_id.clone())) {
            return Ok(first);
        }
        let created = api.call(Call::new(CREATE_VPC, "create a VPC").unrepeatable(), || {
            api.client.create_vpc().cidr_block(PREFIX).tag_specifications(specification.clone()).send()
        });
        created.await?.vpc.ok_or_else(|| nameless("create a VPC"))
    });
    vpc.await?.vpc_id.ok_or_else(|| nameless("create a VPC"))
}

/// The subnet of that index in the VPC, in this zone or, where none is named, in any.
async fn ensure_subnet(
    api: &Api,
    vpc: &str,
    index: usize,
    zone: Option<&str>,
    specification: &TagSpecification,
) -> Result<Subnet, DriverError> {
    let prefix = format!("10.77.{index}.0/24");
    api.patiently(|| async {
        let there = subnets(api, vec![filter("vpc-id", [vpc]), filter("cidr-block", [prefix.as_str()])]).await?;
        if let Some(first) = there.into_iter().next() {
            return Ok(first);
        }
        let call = Call::new(CREATE_SUBNET, format!("create subnet {prefix}")).after_creation(&[NO_VPC]);
        let created = api.call(call.unrepeatable(), || {
            let request = api.client.create_subnet().vpc_id(vpc).cidr_block(&prefix);
            let zone = zone.map(ToOwned::to_owned);
            request.set_availability_zone(zone).tag_specifications(specification.clone()).send()
        });
        created.await?.subnet.ok_or_else(|| nameless("create a subnet"))
    })
    .await
}

async fn ensure_gateway(
    api: &Api,
    cluster: &ClusterId,
    vpc: &str,
    specification: &TagSpecification,
) -> Result<String, DriverError> {
    let gateway = api.patiently(|| async {
        let there = gateways(api, vec![tags::marked(Some(cluster))]).await?;
        if let Some(first) = there.into_iter().min_by_key(|gateway| gateway.internet_gateway_id.clone()) {
            return Ok(first);
        }
        let call = Call::new(CREATE_INTERNET_GATEWAY, "create an internet gateway").unrepeatable();
        let created =
            api.call(call, || api.client.create_internet_gateway().tag_specifications(specification.clone()).send());
        created.await?.internet_gateway.ok_or_else(|| nameless("create an internet gateway"))
    });
    let gateway = gateway.await?;
    let id = gateway.internet_gateway_id().ok_or_else(|| nameless("create an internet gateway"))?.to_owned();
    if gateway.attachments().iter().any(|attachment| attachment.vpc_id() == Some(vpc)) {
        return Ok(id);
    }
    let call = Call::new(ATTACH_INTERNET_GATEWAY, format!("attach internet gateway `{id}`"));
    let attached = api.call(call.after_creation(&[NO_VPC, "InvalidInternetGatewayID.NotFound"]), || {
        api.client.attach_internet_gateway().internet_gateway_id(&id).vpc_id(vpc).send()
    });
    // Its answer was lost.
    is_done_or(attached.await.map(drop), &["Resource.AlreadyAssociated"])?;
    Ok(id)
}

async fn main_route_table(api: &Api, vpc: &str) -> Result<String, DriverError> {
    let look = || async {
        let answer = api.call(Call::new(DESCRIBE_ROUTE_TABLES, "find the main route table"), || {
            let request = api.client.describe_route_tables();
            request.filters(filter("vpc-id", [vpc])).filters(filter("association.main", ["true"])).send()
        });
        let table = answer.await?.route_tables.unwrap_or_default().into_iter().next();
        let id = table.and_then(|table| table.route_table_id);
        id.ok_or_else(|| DriverError::transient("find the main route table", format!("VPC `{vpc}` shows none yet")))
    };
    api.patiently(look).await
}

async fn ensure_route(api: &Api, table: &str, gateway: &str) -> Result<(), DriverError> {
    let call = Call::new(CREATE_ROUTE, format!("add a route to `{table}`"));
    let created =
        api.call(call.after_creation(&["InvalidInternetGatewayID.NotFound", "InvalidGatewayID.NotFound"]), || {
            let request = api.client.create_route().route_table_id(table).gateway_id(gateway);
            request.destination_cidr_block("0.0.0.0/0").send()
        });
    is_done_or(created.await.map(drop), &["RouteAlreadyExists"])
}

/// The VPCs that a filter lets through.
pub(crate) async fn vpcs(api: &Api, filters: Vec<aws_sdk_ec2::types::Filter>) -> Result<Vec<Vpc>, DriverError> {
    let answer = api.call(Call::new(DESCRIBE_VPCS, "list VPCs"), || {
        api.client.describe_vpcs().set_filters(Some(filters.clone())).send()
    });
    Ok(answer.await?.vpcs.unwrap_or_default())
}

/// The subnets that a filter lets through.
pub(crate) async fn subnets(api: &Api, filters: Vec<aws_sdk_ec2::types::Filter>) -> Result<Vec<Subnet>, DriverError> {
    let answer = api.call(Call::new(DESCRIBE_SUBNETS, "list subnets"), || {
        api.client.describe_subnets().set_filters(Some(filters.clone())).send()
    });
    Ok(answer.await?.subnets.unwrap_or_default())
}

/// The internet gateways that a filter lets through.
pub(crate) async fn gateways(
    api: &Api,
    filters: Vec<aws_sdk_ec2::types::Filter>,
) -> Result<Vec<InternetGateway>, DriverError> {
    let answer = api.call(Call::new(DESCRIBE_INTERNET_GATEWAYS, "list internet gateways"), || {
        api.client.describe_internet_gateways().set_filters(Some(filters.clone())).send()
    });
    Ok(answer.await?.internet_gateways.unwrap_or_default())
}

/// Deletes a gateway, which is taken off its VPC first.
pub(crate) async fn delete_gateway(api: &Api, gateway: &survey::Part) -> Result<(), DriverError> {
    let id = gateway.id.as_str();
    if let Some(vpc) = &gateway.vpc {
        let call = Call::new(DETACH_INTERNET_GATEWAY, format!("detach internet gateway `{id}`"));
        let detached =
            api.call(call, || api.client.detach_internet_gateway().internet_gateway_id(id).vpc_id(vpc).send());
        is_done_or(detached.await.map(drop), &["Gateway.NotAttached", "InvalidInternetGatewayID.NotFound", NO_VPC])?;
    }
    let call = Call::new(DELETE_INTERNET_GATEWAY, format!("delete internet gateway `{id}`"));
    let deleted = api.call(call, || api.client.delete_internet_gateway().internet_gateway_id(id).send());
    is_done_or(deleted.await.map(drop), &["InvalidInternetGatewayID.NotFound"])
}

/// Deletes a subnet.
pub(crate) async fn delete_subnet(api: &Api, id: &str) -> Result<(), DriverError> {
    let call = Call::new(DELETE_SUBNET, format!("delete subnet `{id}`"));
    let deleted = api.call(call, || api.client.delete_subnet().subnet_id(id).send());
    is_done_or(deleted.await.map(drop), &["InvalidSubnetID.NotFound"])
}

/// Deletes a VPC with its main route table.
pub(crate) async fn delete_vpc(api: &Api, id: &str) -> Result<(), DriverError> {
    let call = Call::new(DELETE_VPC, format!("delete VPC `{id}`"));
    let deleted = api.call(call, || api.client.delete_vpc().vpc_id(id).send());
    is_done_or(deleted.await.map(drop), &[NO_VPC])
}

/// Refusals with these codes say that it was done already.
fn is_done_or(result: Result<(), DriverError>, codes: &[&str]) -> Result<(), DriverError> {
    match result {
        Err(failure) if failure::is_one_of(&failure, codes) => Ok(()),
        other => other,
    }
}

fn nameless(action: &str) -> DriverError {
    DriverError::provider(action, "the answer names none")
}
