//! Machines that exist: starting and stopping them, and their consoles.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use driver::{Console, DriverError, Instance, InstanceId, wait_until};

use crate::NAME;
use crate::api::{Api, Call};
use crate::failure::{self, NO_MACHINE};
use crate::machine::{self, Life, Machine};
use crate::rates::{CONSOLE_OUTPUT, START_INSTANCES, STOP_INSTANCES};
use crate::settings::Settings;

/// Starts machines and waits until they run and have their addresses, which may be others than before.
pub(crate) async fn start(api: &Api, settings: &Settings, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
    // One that is stopping cannot be started before it has stopped.
    let machines = await_all(api, ids, "see machines stopped", |machine| machine.life != Life::Stopping).await?;
    let stopped = in_state(&machines, |life| life == Life::Stopped);
    if !stopped.is_empty() {
        let started = api.call(Call::new(START_INSTANCES, "start machines"), || {
            api.client.start_instances().set_instance_ids(Some(stopped.clone())).send()
        });
        known(started.await.map(drop), &stopped)?;
    }
    let is_up = |machine: &Machine| machine.life == Life::Running && machine.has_addresses(settings);
    let machines = await_all(api, ids, "see machines run", is_up).await?;
    Ok(machines.iter().map(|machine| machine.instance(settings, None)).collect())
}

/// Stops machines and waits until they have stopped; from then on only their disks are charged.
pub(crate) async fn stop(api: &Api, settings: &Settings, ids: &[InstanceId]) -> Result<(), DriverError> {
    if settings.is_spot {
        return Err(DriverError::Unsupported { provider: NAME, action: "stop spot machines" });
    }
    let machines = all(api, ids).await?;
    let running = in_state(&machines, |life| life < Life::Stopping);
    if !running.is_empty() {
        let stopped = api.call(Call::new(STOP_INSTANCES, "stop machines"), || {
            api.client.stop_instances().set_instance_ids(Some(running.clone())).send()
        });
        known(stopped.await.map(drop), &running)?;
    }
    await_all(api, ids, "see machines stopped", |machine| machine.life == Life::Stopped).await.map(drop)
}

/// What a machine's console showed.
pub(crate) async fn console(api: &Api, id: &InstanceId) -> Result<Console, DriverError> {
    all(api, std::slice::from_ref(id)).await?;
    let output = match console_output(api, id, true).await {
        // Only newer machines tell the latest; of others there is what they showed when they booted.
        Err(failure) if failure::is_one_of(&failure, &["UnsupportedOperation"]) => {
            console_output(api, id, false).await?
        }
        other => other?,
    };
    let bytes = BASE64_STANDARD
        .decode(output.split_whitespace().collect::<String>())
        .map_err(|error| DriverError::provider(format!("read the console of machine `{id}`"), error))?;
    Ok(Console { output: String::from_utf8_lossy(&bytes).into_owned() })
}

async fn console_output(api: &Api, id: &InstanceId, is_latest: bool) -> Result<String, DriverError> {
    let call = Call::new(CONSOLE_OUTPUT, format!("read the console of machine `{id}`"));
    let answer = api.call(call, || api.client.get_console_output().instance_id(&id.0).latest(is_latest).send());
    Ok(answer.await?.output.unwrap_or_default())
}

/// The machines with these ids, in that order; all of them must exist.
async fn all(api: &Api, ids: &[InstanceId]) -> Result<Vec<Machine>, DriverError> {
    let seen = machine::with_ids(api, ids).await?;
    let find = |id: &InstanceId| {
        let machine = seen.iter().find(|machine| machine.id == *id && machine.life.is_staying());
        machine.cloned().ok_or_else(|| DriverError::NoSuchMachine { id: id.to_string() })
    };
    ids.iter().map(find).collect()
}

/// Waits until it is so of all of the machines.
async fn await_all(
    api: &Api,
    ids: &[InstanceId],
    action: &str,
    is_so: impl Fn(&Machine) -> bool,
) -> Result<Vec<Machine>, DriverError> {
    let is_so = &is_so;
    wait_until(&api.patience.machines, action, || async move {
        let machines = all(api, ids).await?;
        Ok(machines.iter().all(is_so).then_some(machines))
    })
    .await
}

fn in_state(machines: &[Machine], is_it: impl Fn(Life) -> bool) -> Vec<String> {
    machines.iter().filter(|machine| is_it(machine.life)).map(|machine| machine.id.0.clone()).collect()
}

/// A machine that vanished in between.
fn known(result: Result<(), DriverError>, ids: &[String]) -> Result<(), DriverError> {
    match result {
        Err(failure) if failure::is_one_of(&failure, NO_MACHINE) => {
            Err(DriverError::NoSuchMachine { id: ids.join(", ") })
        }
        other => other,
    }
}
