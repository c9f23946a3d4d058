//! Taking machines away, with all that came with them; and groups with all that is in them.
//!
//! A machine's interface, address and disk go with it. Where the interface is still reserved for it they stay, and are
//! taken away one after the other once Azure lets them go.

use std::collections::BTreeMap;

use driver::{ClusterId, DriverError, InstanceId, TAG_ID, Wait, wait_until};
use futures_util::future::{join_all, try_join_all};
use reqwest::Method;

use crate::answers::ResourceAnswer;
use crate::client::{Call, Client};
use crate::find;
use crate::machines::names;
use crate::names::{COMPUTE, Group, MACHINES, MachineId, RESOURCES, TAG_MACHINE, disk_of, kind_of};
use crate::provider::Azure;
use crate::survey;

impl Azure {
    pub(crate) async fn destroy_machines(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        let client = self.client().await?;
        let mut by_group: BTreeMap<Group, Vec<MachineId>> = BTreeMap::new();
        for id in ids {
            // What is no id of ours is no machine of ours, and so gone.
            if let Ok(machine) = MachineId::read(id) {
                by_group.entry(machine.group.clone()).or_default().push(machine);
            }
        }
        let groups = by_group.values().map(|machines| destroy_in_group(client, machines));
        join_all(groups).await.into_iter().collect()
    }

    /// Deletes the group of a cluster, unless something is in it that is not ours.
    pub(crate) async fn delete_group(&self, cluster: &ClusterId) -> Result<(), DriverError> {
        let client = self.client().await?;
        let known = match self.known(cluster) {
            Some(known) if known.strangers.is_some() => vec![known],
            Some(_) | None => find::groups_of(self, client, cluster).await?,
        };
        try_join_all(known.iter().map(|known| async {
            if let Some(stranger) = known.strangers.iter().flatten().next() {
                return Err(DriverError::Unmet {
                    what: format!(
                        "the resource group `{}` holds {stranger}, which swarmup did not make",
                        known.group.name
                    ),
                    hint: "move it to another resource group, or delete it, and destroy again".to_owned(),
                });
            }
            let action = format!("delete the resource group `{}`", known.group.name);
            let call = Call::new(Method::DELETE, known.group.path(), RESOURCES, action)
                .with_query("forceDeletionTypes", MACHINES);
            match client.ask(&call).await? {
                Ok(_) => Ok(()),
                Err(refusal) if refusal.is_missing() || refusal.code == "ResourceGroupBeingDeleted" => Ok(()),
                Err(refusal) => Err(client.error(&call, refusal)),
            }
        }))
        .await?;
        self.forget(cluster);
        Ok(())
    }
}

/// Deletes machines of one group that carry a mark, and waits until they are gone with all that came with them.
async fn destroy_in_group(client: &Client, machines: &[MachineId]) -> Result<(), DriverError> {
    let Some(first) = machines.first() else { return Ok(()) };
    let existing = survey::machines(client, &first.group).await?;
    let unmarked = machines.iter().find(|machine| {
        let found = existing.get(&machine.name.to_lowercase());
        found.is_some_and(|found| !found.tags.contains_key(TAG_ID))
    });
    if let Some(machine) = unmarked {
        let reason = "it does not carry swarmup's mark";
        return Err(DriverError::provider(format!("destroy machine `{}`", machine.name), reason));
    }
    clear_away(client, machines).await
}

/// Deletes machines of one group, and waits until they are gone with all that came with them. Those that are gone
/// already are no obstacle.
pub(crate) async fn clear_away(client: &Client, machines: &[MachineId]) -> Result<(), DriverError> {
    let Some(first) = machines.first() else { return Ok(()) };
    let asked = join_all(machines.iter().map(|machine| async {
        let action = format!("destroy machine `{}`", machine.name);
        let call = Call::new(Method::DELETE, machine.path(), COMPUTE, action).with_query("forceDeletion", "true");
        match client.ask(&call).await? {
            Ok(_) => Ok(()),
            // The group goes with everything in it.
            Err(refusal) if refusal.is_missing() || refusal.code == "ResourceGroupBeingDeleted" => Ok(()),
            Err(refusal) => Err(client.error(&call, refusal)),
        }
    }));
    asked.await.into_iter().collect::<Result<(), DriverError>>()?;

    let going = names(machines);
    let wait = Wait { limit: client.patience.operation, interval: client.patience.pause };
    wait_until(&wait, "see the machines gone", || async {
        let left = survey::machines(client, &first.group).await?;
        Ok(left.keys().all(|name| !going.contains(name)).then_some(()))
    })
    .await?;
    clear_remains(client, machines).await
}

/// Deletes what came with machines that are gone and did not go with them.
async fn clear_remains(client: &Client, machines: &[MachineId]) -> Result<(), DriverError> {
    let Some(first) = machines.first() else { return Ok(()) };
    let going = names(machines);
    let is_remains = |resource: &ResourceAnswer| {
        let kind = kind_of(&resource.full_type).0;
        let of_machine = resource.tags.get(TAG_MACHINE).map(|name| name.to_lowercase());
        let is_disk = kind == "disk"
            && resource.managed_by.is_none()
            && going.iter().any(|name| resource.name.eq_ignore_ascii_case(&disk_of(name)));
        is_disk || (kind != "machine" && of_machine.is_some_and(|name| going.contains(&name)))
    };
    let Some(all) = find::resources(client, &first.group).await? else { return Ok(()) };
    let (interfaces, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .filter(|resource| is_remains(resource) && resource.provisioning_state.as_deref() != Some("Deleting"))
        .partition(|resource| kind_of(&resource.full_type).0 == "interface");
    // An address is held by its interface.
    try_join_all(interfaces.iter().map(|resource| delete(client, resource))).await?;
    try_join_all(others.iter().map(|resource| delete(client, resource))).await?;
    Ok(())
}

/// Deletes one resource that is left over; tried for as long as Azure keeps it for a machine that is gone.
async fn delete(client: &Client, resource: &ResourceAnswer) -> Result<(), DriverError> {
    let (kind, Some(version)) = kind_of(&resource.full_type) else { return Ok(()) };
    let action = format!("delete the {kind} `{}`", resource.name);
    let call = Call::new(Method::DELETE, resource.id.clone(), version, &action);
    let wait = Wait { limit: client.patience.reservation, interval: client.patience.pause };
    let deleted = wait_until(&wait, &action, || async {
        match client.ask(&call).await? {
            Ok(answer) => Ok(Some(Some(answer))),
            Err(refusal) if refusal.is_missing() || refusal.code == "ResourceGroupBeingDeleted" => Ok(Some(None)),
            Err(refusal) if is_held(&refusal.code) => Ok(None),
            Err(refusal) => Err(client.error(&call, refusal)),
        }
    });
    let Some(answer) = deleted.await? else { return Ok(()) };
    client.finish(&answer, &action).await?.map_err(|refusal| client.error(&call, refusal).into_final())
}

/// Whether something that is on its way out holds it still.
fn is_held(code: &str) -> bool {
    matches!(code, "NicReservedForAnotherVm" | "NicInUse" | "PublicIPAddressCannotBeDeleted" | "OperationNotAllowed")
}
