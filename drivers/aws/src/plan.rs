//! What can be told before anything is made: what a request takes, and whether the account allows it.

use aws_sdk_ec2::types::{InstanceType, ResourceType};
use driver::{ClusterRequest, DriverError, Estimate, Preflight};

use crate::api::{Api, Call};
use crate::failure::{self, DRY_RUN};
use crate::image::Image;
use crate::rates::RUN_INSTANCES;
use crate::settings::Settings;
use crate::{price, tags};

/// Seconds of a call, from another continent.
const CALL: f64 = 0.4;
/// Seconds from the launch until SSH answers, for Ubuntu on current types.
const BOOT: f64 = 25.0;

/// What a request takes; nobody is asked.
pub(crate) fn estimate(settings: &Settings, region: &str, request: &ClusterRequest) -> Estimate {
    let kind = &settings.types[0];
    let machines = request.managers + request.workers;
    let zones = settings.zones.len().max(settings.subnets.len()).max(1);
    let launches = |count: u32| zones.min(count as usize);
    let groups = [("managers", request.managers), ("workers", request.workers)];
    let market = if settings.is_spot { ", spot" } else { "" };

    let mut resources = vec![format!("1 security group with {} rules", request.firewall.len())];
    for (group, count) in groups.into_iter().filter(|(_, count)| *count > 0) {
        resources.push(format!("{count} x {kind} ({group}{market}) with {} GB of disk (gp3)", settings.disk_gb));
    }
    if !settings.is_private {
        resources.push(format!("{machines} public addresses"));
    }
    let price = price::machine(kind, region, settings.disk_gb, !settings.is_private);
    if price.is_none() {
        resources.push(format!("no price of {kind} in {region} is known"));
    }

    let describe = "DescribeSubnets, DescribeSecurityGroups (at once)".to_owned();
    let look = "DescribeImages, DescribeInstances (at once)".to_owned();
    let mut calls = vec![
        describe.clone(),
        "CreateSecurityGroup".to_owned(),
        "AuthorizeSecurityGroupIngress".to_owned(),
        look.clone(),
    ];
    let mut path = calls.clone();
    let launches: usize = groups.iter().map(|(_, count)| launches(*count)).sum();
    calls.push(format!("{launches} x RunInstances (at once)"));
    path.push("RunInstances".to_owned());
    for list in [&mut calls, &mut path] {
        list.push("DescribeInstances, each second until there are addresses".to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of calls")]
    let seconds = path.len() as f64 * CALL + BOOT;
    let price = price.map(|one| price::times(&one, machines));
    Estimate { resources, calls, path, seconds, price }
}

/// Whether the credentials are accepted and may launch machines as these will be; changes nothing.
pub(crate) async fn preflight(
    api: &Api,
    settings: &Settings,
    image: &Image,
    request: &ClusterRequest,
) -> Result<Preflight, DriverError> {
    let mut preflight = Preflight::default();
    preflight.checked.push(format!("the credentials are accepted in {}", api.region));
    preflight.checked.push(format!("image {} is there", image.id));
    let kind = &settings.types[0];
    let machines = i32::try_from(request.managers + request.workers).unwrap_or(i32::MAX).max(1);
    let tags = tags::of_mark(&request.mark(), &request.name);
    let dry_run = api.call(Call::new(RUN_INSTANCES, "create machines"), || {
        let request = api.client.run_instances().dry_run(true).image_id(&image.id);
        request
            .instance_type(InstanceType::from(kind.as_str()))
            .min_count(machines)
            .max_count(machines)
            .set_subnet_id(settings.subnets.first().cloned())
            .tag_specifications(tags::specification(ResourceType::Instance, tags.clone()))
            .send()
    });
    match dry_run.await {
        Ok(_) => preflight.checked.push("machines may be created".to_owned()),
        Err(failure) if failure::is_one_of(&failure, &[DRY_RUN]) => {
            preflight.checked.push(format!("machines of type {kind} may be created and tagged (a dry run)"));
        }
        Err(unmet @ (DriverError::Unmet { .. } | DriverError::QuotaExhausted { .. })) => return Err(unmet),
        Err(failure) => {
            let cause = std::error::Error::source(&failure).map_or_else(|| failure.to_string(), ToString::to_string);
            preflight.unchecked.push(format!("whether machines may be created: {cause}"));
        }
    }
    preflight.unchecked.push("the quota of vCPUs: EC2 tells it only when it is exceeded".to_owned());
    preflight.unchecked.push("the permissions for security groups and for terminating machines".to_owned());
    Ok(preflight)
}
