//! What a request would take: resources, calls, seconds, price. Asks nobody.

use std::collections::BTreeSet;

use driver::{ClusterRequest, DriverError, Estimate, RuleSource};

use crate::environment::Environment;
use crate::price::{Bought, price};
use crate::settings::Settings;

/// How long Compute Engine takes for a call, as measured from afar.
const CALL_SECONDS: f64 = 0.3;
/// How long it takes to make machines.
const MAKING_SECONDS: f64 = 12.0;
/// How long Ubuntu takes from there until SSH answers.
const BOOT_SECONDS: f64 = 20.0;

/// What a request would take.
pub(crate) fn estimate(
    request: &ClusterRequest,
    settings: &Settings,
    environment: &Environment,
) -> Result<Estimate, DriverError> {
    let settings = settings.with(&request.options, environment)?;
    let machines = request.managers + request.workers;
    let machine_type = settings.types.first().cloned().unwrap_or_default();
    let spot = if settings.is_spot { "spot " } else { "" };
    let groups = [(request.managers, "managers"), (request.workers, "workers")];
    let groups: Vec<_> = groups.into_iter().filter(|(count, _)| *count > 0).collect();
    let rules = count_rules(request);

    let mut resources: Vec<_> =
        groups.iter().map(|(count, group)| format!("{count} x {spot}{machine_type} ({group})")).collect();
    resources.push(format!("{machines} x {} GB disk", settings.disk_gb));
    if !settings.is_private {
        resources.push(format!("{machines} x external address"));
    }
    resources.push(format!("{rules} x firewall rule"));
    if let Some(account) = &settings.service_account {
        resources.push(format!(
            "service account `{account}`, on the managers only: they delete the machines by it, and whoever runs code on a \
             manager can do with Compute Engine what it may in the project"
        ));
    }

    let network = settings.network.as_deref().unwrap_or("default");
    let zones = settings.zones.len().max(1);
    let batches: Vec<_> = groups
        .iter()
        .flat_map(|(count, group)| {
            let zones = zones.min(*count as usize);
            (0..zones).map(move |_| format!("instances.bulkInsert ({group})"))
        })
        .collect();
    let mut calls = vec![format!("networks.get {network}"), "firewalls.list".to_owned()];
    calls.extend((0..rules).map(|_| "firewalls.insert".to_owned()));
    calls.push("instances.aggregatedList".to_owned());
    calls.extend(batches.clone());
    calls.extend(batches.iter().map(|_| "zoneOperations.wait".to_owned()));
    calls.push("instances.aggregatedList".to_owned());
    let path: Vec<String> = [
        "networks.get, firewalls.list",
        "firewalls.insert",
        "instances.aggregatedList",
        "instances.bulkInsert",
        "zoneOperations.wait",
        "instances.aggregatedList",
    ]
    .map(ToOwned::to_owned)
    .into();

    let bought = Bought {
        machine_type: &machine_type,
        region: &settings.region,
        disk_gb: settings.disk_gb,
        is_spot: settings.is_spot,
        is_public: !settings.is_private,
        runs: true,
    };
    let steps = u32::try_from(path.len()).unwrap_or(u32::MAX);
    Ok(Estimate {
        resources,
        calls,
        seconds: f64::from(steps) * CALL_SECONDS + MAKING_SECONDS + BOOT_SECONDS,
        path,
        price: price(&bought, machines),
    })
}

/// One rule for each source, and the one that denies the rest.
fn count_rules(request: &ClusterRequest) -> usize {
    let sources = request.firewall.iter().map(|rule| match &rule.source {
        RuleSource::Members => "members",
        RuleSource::Operator => "operator",
        RuleSource::Prefix(prefix) => prefix,
    });
    sources.collect::<BTreeSet<_>>().len() + 1
}

#[cfg(test)]
mod tests {
    use driver::Options;
    use driver::conformance::cluster_request;

    use super::*;

    #[test]
    fn an_estimate_counts_what_create_does() {
        let request = ClusterRequest { managers: 3, workers: 2, ..cluster_request("mark", "lab") };
        let environment = Environment::default();
        let settings = Settings::read(&Options::default(), &environment).unwrap();

        let estimate = estimate(&request, &settings, &environment).unwrap();

        assert!(estimate.resources.contains(&"3 x e2-small (managers)".to_owned()));
        assert_eq!(estimate.calls.iter().filter(|call| call.starts_with("instances.bulkInsert")).count(), 2);
        assert_eq!(estimate.path.len(), 6);
        assert!(estimate.price.unwrap().per_hour > 0.08);
    }
}
