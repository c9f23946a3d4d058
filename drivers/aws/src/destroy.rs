//! Taking machines and networks away again.
//!
//! ```text
//!   machines   TerminateInstances ──> all of them shut down: they are charged no more
//!   network    (no machine is left) ──> groups ∥ what machines left behind ──> gateways ∥ subnets ──> VPCs
//! ```
//! What something else hangs on is tried again until that has vanished. Whatever is deleted carries the mark.

use driver::{ClusterId, DriverError, InstanceId, wait_until};
use futures_util::future::try_join_all;

use crate::api::{Api, Call};
use crate::failure::{self, IN_USE, NO_MACHINE};
use crate::machine::{self, Life, Machine};
use crate::rates::{
    CANCEL_SPOT_REQUESTS, DELETE_NETWORK_INTERFACE, DELETE_VOLUME, MACHINES_TERMINATED, TERMINATE_INSTANCES,
};
use crate::survey::{self, Kind, Part};
use crate::{firewall, own_network};

/// Machines that one call terminates at most.
const MACHINES: usize = 500;
/// Ids that turn out to be gone are left out and the call repeated, so often at most.
const ROUNDS: usize = 3;

/// Terminates machines that carry a mark; on return none of them is charged any more.
pub(crate) async fn terminate(api: &Api, ids: &[InstanceId]) -> Result<(), DriverError> {
    try_join_all(ids.chunks(MACHINES).map(|some| terminate_some(api, some))).await.map(drop)
}

async fn terminate_some(api: &Api, ids: &[InstanceId]) -> Result<(), DriverError> {
    let mut ids = ids.to_vec();
    for _ in 0..ROUNDS {
        if ids.is_empty() {
            return Ok(());
        }
        let call = Call::new(TERMINATE_INSTANCES, "terminate machines").charged(MACHINES_TERMINATED, ids.len());
        let answer = api.call(call, || {
            let texts = ids.iter().map(|id| id.0.clone()).collect();
            api.client.terminate_instances().set_instance_ids(Some(texts)).send()
        });
        match answer.await {
            Ok(answer) => {
                let is_down = |id: &InstanceId| {
                    let change =
                        answer.terminating_instances().iter().find(|change| change.instance_id() == Some(&id.0));
                    let state = change.and_then(|change| change.current_state()).and_then(|state| state.name());
                    !Life::of(state).is_staying()
                };
                if ids.iter().all(is_down) {
                    return Ok(());
                }
                return wait_until(&api.patience.machines, "see machines shut down", || async {
                    let left = staying(api, &ids).await?;
                    Ok(left.is_empty().then_some(()))
                })
                .await;
            }
            // One of them is gone for so long that EC2 has forgotten it, and then none of the others was terminated.
            Err(failure) if failure::is_one_of(&failure, NO_MACHINE) => ids = staying(api, &ids).await?,
            Err(failure) => return Err(failure),
        }
    }
    Err(DriverError::provider("terminate machines", "EC2 keeps forgetting some of them"))
}

/// Those of the machines that carry a mark and are not on their way out.
pub(crate) async fn staying(api: &Api, ids: &[InstanceId]) -> Result<Vec<InstanceId>, DriverError> {
    let machines = machine::with_ids(api, ids).await?.into_iter();
    Ok(machines.filter(|machine| machine.life.is_staying()).map(|machine| machine.id).collect())
}

/// Removes everything of a cluster but its machines, which must have been terminated.
pub(crate) async fn remove_network(api: &Api, cluster: &ClusterId) -> Result<(), DriverError> {
    let survey = survey::of(api, Some(cluster)).await?;
    refuse_if_staying(cluster, &survey.machines)?;
    if !survey.machines.is_empty() {
        wait_until(&api.patience.vanishing, format!("see the machines of cluster `{cluster}` vanish"), || async {
            let left = machine::existing(api, cluster).await?;
            refuse_if_staying(cluster, &left)?;
            Ok(left.is_empty().then_some(()))
        })
        .await?;
    }
    // In this order: a subnet is not deleted before the groups and interfaces in it, nor a VPC before its subnets.
    let stages: [&[Kind]; 3] =
        [&[Kind::SpotRequest, Kind::Interface, Kind::Disk, Kind::Group], &[Kind::Gateway, Kind::Subnet], &[Kind::Vpc]];
    for kinds in stages {
        // What goes with a machine, or is being removed already, went with it.
        let parts =
            survey.parts.iter().filter(|part| kinds.contains(&part.kind) && !part.is_of_machine && !part.is_vanishing);
        try_join_all(parts.map(|part| remove_part(api, cluster, part))).await?;
    }
    Ok(())
}

fn refuse_if_staying(cluster: &ClusterId, machines: &[Machine]) -> Result<(), DriverError> {
    let staying: Vec<_> =
        machines.iter().filter(|machine| machine.life.is_staying()).map(|one| one.name.as_str()).collect();
    if staying.is_empty() {
        return Ok(());
    }
    let action = format!("remove the network of cluster `{cluster}`");
    Err(DriverError::provider(action, format!("machines are still in it: {}", staying.join(", "))))
}

/// Removes a part, once nothing hangs on it any more.
async fn remove_part(api: &Api, cluster: &ClusterId, part: &Part) -> Result<(), DriverError> {
    let action = format!("see nothing hang on `{}` any more", part.id);
    wait_until(&api.patience.vanishing, action, || async {
        let id = part.id.as_str();
        let removed = match part.kind {
            Kind::Disk => delete_disk(api, id).await,
            Kind::Interface => delete_interface(api, id).await,
            Kind::SpotRequest => cancel_spot_request(api, id).await,
            Kind::Group => firewall::delete(api, id).await,
            Kind::Gateway => own_network::delete_gateway(api, part).await,
            Kind::Subnet => own_network::delete_subnet(api, id).await,
            Kind::Vpc => own_network::delete_vpc(api, id).await,
            Kind::Other(_) => Ok(()),
        };
        match removed {
            Ok(()) => Ok(Some(())),
            Err(failure) if is_in_use(&failure, &part.kind) => {
                // A machine that was launched a moment before may be listed only now.
                refuse_if_staying(cluster, &machine::existing(api, cluster).await?)?;
                tracing::debug!(part = id, cause = failure::code(&failure), "something hangs on it still");
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    })
    .await
}

/// Whether something hangs on a part still; EC2 has no code of its own for that of network interfaces.
fn is_in_use(failure: &DriverError, kind: &Kind) -> bool {
    let is_interface_in_use = *kind == Kind::Interface && failure::is_one_of(failure, &["InvalidParameterValue"]);
    is_interface_in_use || failure::is_one_of(failure, IN_USE)
}

async fn delete_disk(api: &Api, id: &str) -> Result<(), DriverError> {
    let call = Call::new(DELETE_VOLUME, format!("delete disk `{id}`"));
    gone(api.call(call, || api.client.delete_volume().volume_id(id).send()).await.map(drop), "InvalidVolume.NotFound")
}

async fn delete_interface(api: &Api, id: &str) -> Result<(), DriverError> {
    let call = Call::new(DELETE_NETWORK_INTERFACE, format!("delete network interface `{id}`"));
    let deleted = api.call(call, || api.client.delete_network_interface().network_interface_id(id).send());
    gone(deleted.await.map(drop), "InvalidNetworkInterfaceID.NotFound")
}

async fn cancel_spot_request(api: &Api, id: &str) -> Result<(), DriverError> {
    let call = Call::new(CANCEL_SPOT_REQUESTS, format!("cancel spot request `{id}`"));
    let canceled = api.call(call, || api.client.cancel_spot_instance_requests().spot_instance_request_ids(id).send());
    gone(canceled.await.map(drop), "InvalidSpotInstanceRequestID.NotFound")
}

/// What is gone already counts as removed.
fn gone(result: Result<(), DriverError>, code: &str) -> Result<(), DriverError> {
    match result {
        Err(failure) if failure::is_one_of(&failure, &[code]) => Ok(()),
        other => other,
    }
}
