//! Starting and stopping machines, and reading their consoles.

use std::collections::BTreeMap;

use driver::{Console, DriverError, Instance, InstanceId, TAG_ID};
use futures_util::future::{join_all, try_join_all};
use reqwest::Method;

use crate::answers::BootDiagnostics;
use crate::client::{Call, Client};
use crate::names::{COMPUTE, Group, MachineId};
use crate::provider::Azure;
use crate::survey::{self, Survey};

/// How many lines of a console are shown.
const CONSOLE_LINES: usize = 200;

impl Azure {
    /// Starts machines and waits until Azure has.
    pub(crate) async fn start_machines(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
        let machines = ids.iter().map(MachineId::read).collect::<Result<Vec<_>, _>>()?;
        let client = self.client().await?;
        self.act(client, &machines, "start").await?;
        let surveys = look(client, &machines).await?;
        machines
            .iter()
            .map(|id| {
                let survey = &surveys[&id.group];
                let machine = survey.machine(&id.name).ok_or_else(|| no_machine(id))?;
                let addresses = survey.addresses(&id.name).ok_or_else(|| {
                    DriverError::provider(format!("start machine `{}`", id.name), "it has no address")
                })?;
                Ok(survey::instance(id, machine, addresses, None))
            })
            .collect()
    }

    /// Stops machines and gives their hardware back: a machine that is off only goes on costing what it costs.
    pub(crate) async fn stop_machines(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        let machines = ids.iter().map(MachineId::read).collect::<Result<Vec<_>, _>>()?;
        self.act(self.client().await?, &machines, "deallocate").await
    }

    /// Acts on machines side by side; all must exist before anything is done to any.
    async fn act(&self, client: &Client, machines: &[MachineId], verb: &str) -> Result<(), DriverError> {
        for (group, found) in lists(client, machines).await? {
            let missing = machines.iter().filter(|id| id.group == group).find(|id| {
                let machine = found.get(&id.name.to_lowercase());
                machine.is_none_or(|machine| !machine.tags.contains_key(TAG_ID))
            });
            if let Some(id) = missing {
                return Err(no_machine(id));
            }
        }
        let acting = machines.iter().map(|id| async move {
            let action = format!("{verb} machine `{}`", id.name);
            let call = Call::new(Method::POST, format!("{}/{verb}", id.path()), COMPUTE, &action);
            let wait = driver::Wait { limit: client.patience.operation, interval: client.patience.pause };
            let accepted = driver::wait_until(&wait, &action, || async {
                match client.ask(&call).await? {
                    Ok(answer) => Ok(Some(answer)),
                    // It is being made or changed still.
                    Err(refusal) if refusal.code == "Conflict" => Ok(None),
                    Err(refusal) if refusal.is_missing() => Err(no_machine(id)),
                    Err(refusal) => Err(client.error(&call, refusal)),
                }
            });
            let answer = accepted.await?;
            client.finish(&answer, &action).await?.map_err(|refusal| client.error(&call, refusal).into_final())
        });
        join_all(acting).await.into_iter().collect()
    }

    /// The last of what a machine wrote to its serial console.
    pub(crate) async fn read_console(&self, id: &InstanceId) -> Result<Console, DriverError> {
        let machine = MachineId::read(id)?;
        let client = self.client().await?;
        let action = format!("read the console of machine `{}`", machine.name);
        let path = format!("{}/retrieveBootDiagnosticsData", machine.path());
        let call = Call::new(Method::POST, path, COMPUTE, &action);
        let place: BootDiagnostics = client.look(&call).await?.ok_or_else(|| no_machine(&machine))?;
        let Some(url) = place.serial_console_log_blob_uri else { return Ok(Console { output: String::new() }) };
        let text = client.read_text(&url, &action).await?;
        let lines: Vec<_> = text.lines().collect();
        Ok(Console { output: lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n") })
    }
}

/// The groups that machines are in.
fn groups(machines: &[MachineId]) -> Vec<Group> {
    let mut groups: Vec<_> = machines.iter().map(|id| id.group.clone()).collect();
    groups.sort();
    groups.dedup();
    groups
}

async fn lists(
    client: &Client,
    machines: &[MachineId],
) -> Result<BTreeMap<Group, crate::answers::MachinesByName>, DriverError> {
    let looks = groups(machines).into_iter().map(|group| async move {
        let found = survey::machines(client, &group).await?;
        Ok((group, found))
    });
    Ok(try_join_all(looks).await?.into_iter().collect())
}

async fn look(client: &Client, machines: &[MachineId]) -> Result<BTreeMap<Group, Survey>, DriverError> {
    let looks = groups(machines).into_iter().map(|group| async move {
        let found = survey::survey(client, &group).await?;
        Ok((group, found))
    });
    Ok(try_join_all(looks).await?.into_iter().collect())
}

fn no_machine(id: &MachineId) -> DriverError {
    DriverError::NoSuchMachine { id: id.path() }
}
