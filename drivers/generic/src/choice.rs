//! Which host becomes which machine, and by which address the members know it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use driver::{ClusterId, DriverError, InstanceId, MachineRequest};
use futures_util::future::join_all;

use crate::given::{HOST, invalid};
use crate::probe::{Objection, choose_address, objection, sources};
use crate::provider::Seen;

/// The host of each machine: the one that carries its name, else the next free one in the order given.
pub(crate) fn place(
    cluster: &ClusterId,
    machines: &[MachineRequest],
    seen: &[Seen],
) -> Result<BTreeMap<String, usize>, DriverError> {
    let is_ours = |seen: &Seen, name: &str| {
        seen.facts.record.as_ref().is_some_and(|record| record.mark == *cluster && record.name == name)
    };
    let mut free = (0..seen.len()).filter(|index| {
        let facts = &seen[*index].facts;
        facts.record.is_none() && objection("", facts, cluster).is_none()
    });
    let mut by_number: Vec<_> = machines.iter().collect();
    by_number.sort_by_key(|machine| machine.number);
    let mut places = BTreeMap::new();
    for machine in by_number {
        let own = seen.iter().position(|seen| is_ours(seen, &machine.name));
        let index = own.or_else(|| free.next()).ok_or_else(|| DriverError::Unmet {
            what: format!("there is no free host left for `{}`", machine.name),
            hint: "give more hosts with --host".to_owned(),
        })?;
        places.insert(machine.name.clone(), index);
    }
    Ok(places)
}

/// The address of each host among the members.
pub(crate) async fn addresses(
    seen: &[Seen],
    interface: Option<&str>,
) -> Result<BTreeMap<InstanceId, IpAddr>, DriverError> {
    let reached: Vec<Option<IpAddr>> = seen.iter().map(|seen| seen.facts.reached_at.or(seen.host.address())).collect();
    let chosen = join_all(seen.iter().enumerate().map(|(index, one)| {
        let others: Vec<IpAddr> = reached
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .filter_map(|(_, address)| *address)
            .collect();
        async move {
            // A host that is claimed already has its address; one of its own needs no route to nobody.
            let own = one.facts.record.as_ref().map(|record| record.address);
            if let Some(address) = own {
                return Ok((one.host.id(), Ok(address)));
            }
            let sources = if others.is_empty() || interface.is_some() {
                BTreeSet::new()
            } else {
                sources(&*one.session, &one.facts, &others).await?
            };
            Ok((one.host.id(), choose_address(&one.host.to_string(), &one.facts, interface, &sources)))
        }
    }))
    .await;
    let chosen = chosen.into_iter().collect::<Result<Vec<_>, DriverError>>()?;
    let mut addresses = BTreeMap::new();
    let mut objections = Vec::new();
    for (id, address) in chosen {
        match address {
            Ok(address) => drop(addresses.insert(id, address)),
            Err(objection) => objections.push(objection),
        }
    }
    refuse(objections)?;
    Ok(addresses)
}

/// Refuses hosts that are one and the same under two addresses: the same boot and the same host key.
pub(crate) fn check_twins(seen: &[Seen]) -> Result<(), DriverError> {
    let mut first = BTreeMap::new();
    for one in seen {
        let identity = (one.facts.boot_id.clone(), one.session.host_key().and_then(reach::fingerprint));
        if let Some(other) = first.insert(identity, &one.host) {
            return Err(invalid(HOST, format!("`{other}` and `{}` are the same host", one.host)));
        }
    }
    Ok(())
}

pub(crate) fn refuse(objections: Vec<Objection>) -> Result<(), DriverError> {
    let Some(first) = objections.first() else { return Ok(()) };
    let hint = first.hint.clone();
    let what = objections.into_iter().map(|objection| objection.what).collect::<Vec<_>>().join("; ");
    Err(DriverError::Unmet { what, hint })
}
