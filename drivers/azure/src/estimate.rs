//! What a request would take, told without asking anybody.

use driver::{ClusterRequest, DriverError, Estimate};

use crate::choice::Choice;
use crate::names::Group;
use crate::provider::Azure;
use crate::sizes;

/// How long a call takes, over the network.
const CALL_SECONDS: f64 = 0.4;
/// How long a network is being made, and until Azure may be asked whether it is.
const NETWORK_SECONDS: f64 = 10.0;
/// How long it takes until a machine that was asked for has its address.
const ADDRESS_SECONDS: f64 = 10.0;
/// How long such a machine boots until it answers.
const BOOT_SECONDS: f64 = 30.0;

impl Azure {
    pub(crate) fn reckon(&self, request: &ClusterRequest) -> Result<Estimate, DriverError> {
        let choice = self.choice(&request.options)?;
        Ok(reckon(request, &choice))
    }
}

fn reckon(request: &ClusterRequest, choice: &Choice) -> Estimate {
    let machines = request.managers + request.workers;
    let group = Group::of_cluster("", &request.name, &request.id).name;
    let machine_type = &choice.types[0];
    let kind = if choice.is_spot { " (spot)" } else { "" };
    let of_role = |number: u32, role: &str| format!("{number} x {machine_type}{kind} ({role})");
    let mut resources = vec![format!("resource group `{group}` in {}", choice.places())];
    match &choice.subnet {
        None => resources.push("virtual network 10.77.0.0/16 with the subnet 10.77.1.0/24".to_owned()),
        Some(subnet) => resources.push(format!("application security group in the subnet `{subnet}`")),
    }
    resources.push(format!("network security group with {} rules", request.firewall.len()));
    resources.push(of_role(request.managers, "managers"));
    if request.workers > 0 {
        resources.push(of_role(request.workers, "workers"));
    }
    resources.push(format!("{machines} x Standard SSD, {} GB", choice.disk_gb));
    if !choice.is_private {
        resources.push(format!("{machines} x public address (Standard, static)"));
    }
    resources.push(
        "no end of its own: Azure ends no machines, so it costs until `swarmup destroy` or `swarmup gc`".to_owned(),
    );
    let put_group = "PUT resource group".to_owned();
    let put_firewall = "PUT network security group".to_owned();
    let put_machines = format!("PUT virtual machine x {machines}, at once");
    let lists = "GET virtual machines, network interfaces, public addresses, until all have addresses".to_owned();
    let (network, waiting) = match &choice.subnet {
        None => (vec!["PUT virtual network".to_owned()], "PUT network security group | PUT virtual network".to_owned()),
        Some(_) => (
            vec!["GET subnet".to_owned(), "PUT application security group".to_owned()],
            "PUT application security group, then PUT network security group".to_owned(),
        ),
    };
    let mut calls = vec![put_group.clone()];
    calls.extend(network);
    calls.extend([put_firewall, "GET virtual machines".to_owned(), put_machines.clone(), lists.clone()]);
    let mut path = vec![put_group];
    path.extend(waiting.split(", then ").map(str::to_owned));
    path.extend(["GET operation, until it is done".to_owned(), "GET virtual machines".to_owned(), put_machines, lists]);
    let dependent = u32::try_from(path.len()).unwrap_or(u32::MAX);
    let one = sizes::price(machine_type, choice.disk_gb, !choice.is_private);
    Estimate {
        resources,
        calls,
        path,
        seconds: f64::from(dependent) * CALL_SECONDS + NETWORK_SECONDS + ADDRESS_SECONDS + BOOT_SECONDS,
        price: one.map(|one| sizes::total(&one, machines)),
    }
}

#[cfg(test)]
mod tests {
    use driver::{ClusterId, OptionValue, Options};
    use jiff::Timestamp;

    use super::*;
    use crate::environment::Environment;

    fn estimate(options: &[(&str, &str)]) -> Estimate {
        let option = |(name, value): &(&str, &str)| ((*name).to_owned(), OptionValue::One((*value).to_owned()));
        let options = Options(options.iter().map(option).collect());
        let request = ClusterRequest {
            id: ClusterId("x".to_owned()),
            name: "lab".to_owned(),
            owner: "me@here".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            expires: None,
            managers: 3,
            workers: 2,
            firewall: Vec::new(),
            options: options.clone(),
        };
        reckon(&request, &Choice::read(&Environment::default(), &Options::default(), &options).unwrap())
    }

    #[test]
    fn an_estimate_names_what_is_made_what_it_costs_and_that_nobody_ends_it() {
        let estimate = estimate(&[]);

        assert!(estimate.resources.contains(&"3 x Standard_B2als_v2 (managers)".to_owned()));
        assert!(estimate.resources.iter().any(|line| line.contains("no end of its own")));
        let price = estimate.price.unwrap();
        assert!((price.per_hour - 0.23).abs() < 0.01, "{price:?}");
        assert_eq!(price.as_of, sizes::AS_OF);
    }

    #[test]
    fn the_path_is_shorter_where_the_network_is_made_beside_the_firewall() {
        let shared = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s";

        assert_eq!(estimate(&[]).path.len(), 6);
        assert_eq!(estimate(&[("network", shared)]).path.len(), 7);
        assert_eq!(estimate(&[("machine-type", "Standard_M128s")]).price, None);
    }
}
