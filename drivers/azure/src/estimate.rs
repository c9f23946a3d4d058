//! What a request would take, told without asking anybody.

use driver::{ClusterRequest, DriverError, Estimate, Price};

use crate::choice::Choice;
use crate::names::{Group, IDENTITY};
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
    let one = sizes::price(machine_type, choice.disk_gb, !choice.is_private);
    let price = one.map(|one| sizes::total(&one, machines));
    if choice.deletes_itself {
        resources.push(format!("managed identity `{IDENTITY}`, on the managers only"));
        resources.push(format!(
            "role assignment: it is Resource Group Contributor of `{group}`, so whoever runs code on a manager can delete \
             the group with all that is in it, and change the group's tags"
        ));
    }
    resources.push(end(choice.deletes_itself, request.expires.is_some(), price.as_ref()));
    let put_group = "PUT resource group".to_owned();
    let put_firewall = "PUT network security group".to_owned();
    let put_machines = format!("PUT virtual machine x {machines}, at once");
    let of_identity = |call: &str| choice.deletes_itself.then(|| call.to_owned());
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
    calls.push(put_firewall);
    calls.extend(of_identity("PUT managed identity, beside the network"));
    calls.extend(["GET virtual machines".to_owned(), put_machines.clone()]);
    calls.extend(of_identity("PUT role assignment, beside the machines"));
    calls.push(lists.clone());
    let mut path = vec![put_group];
    path.extend(waiting.split(", then ").map(str::to_owned));
    path.extend(["GET operation, until it is done".to_owned(), "GET virtual machines".to_owned(), put_machines, lists]);
    let dependent = u32::try_from(path.len()).unwrap_or(u32::MAX);
    Estimate {
        resources,
        calls,
        path,
        seconds: f64::from(dependent) * CALL_SECONDS + NETWORK_SECONDS + ADDRESS_SECONDS + BOOT_SECONDS,
        price,
    }
}

/// Who ends it, and what it comes to where nobody does.
fn end(deletes_itself: bool, has_time: bool, price: Option<&Price>) -> String {
    if deletes_itself && has_time {
        return "its end: the managers delete the resource group then; root on a manager can prevent that".to_owned();
    }
    let left_alone = price.map_or_else(String::new, |price| {
        let (day, month) = (price.per_hour * 24.0, price.per_hour * 24.0 * 30.0);
        format!(" {day:.2} {currency} a day, {month:.2} {currency} in 30 days,", currency = price.currency)
    });
    let way_out = if deletes_itself {
        "no time is set: with --ttl the managers delete the resource group then"
    } else {
        "Azure ends no machines; with --self-delete the managers do"
    };
    format!("no end of its own: it costs{left_alone} until `swarmup destroy` or `swarmup gc`; {way_out}")
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
        let end = estimate.resources.last().unwrap();
        assert!(end.starts_with("no end of its own: it costs 5.51 USD a day, 165."), "{end}");
        assert!(end.contains("--self-delete"), "{end}");
        let price = estimate.price.unwrap();
        assert!((price.per_hour - 0.23).abs() < 0.01, "{price:?}");
        assert_eq!(price.as_of, sizes::AS_OF);
    }

    #[test]
    fn an_estimate_names_the_identity_what_it_may_and_who_can_prevent_the_end() {
        let estimate = estimate(&[("self-delete", "true")]);

        let text = [estimate.resources.clone(), estimate.calls.clone()].concat().join("\n");
        for words in ["managed identity `swarmup-managers`", "whoever runs code on a manager", "PUT role assignment"] {
            assert!(text.contains(words), "{words} is missing in\n{text}");
        }
        assert!(estimate.resources.last().unwrap().contains("no time is set"), "{text}");
        assert!(end(true, true, None).contains("root on a manager can prevent that"));
        assert_eq!(estimate.path.len(), 6, "nothing waits for it");
    }

    #[test]
    fn the_path_is_shorter_where_the_network_is_made_beside_the_firewall() {
        let shared = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s";

        assert_eq!(estimate(&[]).path.len(), 6);
        assert_eq!(estimate(&[("network", shared)]).path.len(), 7);
        assert_eq!(estimate(&[("machine-type", "Standard_M128s")]).price, None);
    }
}
