//! Takes machines that are to go out of the swarm, then out of the world.
//!
//! Their tasks go first, each with its grace, while others take their place on the nodes that stay. A manager is demoted,
//! which takes it out of raft while it still answers; then the node is removed by the API; then the machine is destroyed.

use std::time::Duration;

use async_trait::async_trait;
use model::{NodeId, Role};
use tokio::time::Instant;

use super::form::PAUSE;
use super::{Context, Phase, PhaseError, install};
use crate::cluster::hostname;
use crate::engine::{EngineError, Swarm};
use crate::journal::{Machine, Step};
use crate::output::Progress;

/// How long the tasks of nodes that go may take to end; six times the grace that Docker gives. Then they end with their node.
const DRAIN_TIMEOUT: Duration = Duration::from_mins(1);
/// How often they are counted meanwhile.
const DRAIN_PAUSE: Duration = Duration::from_millis(50);
/// How long a manager may take to leave raft.
const DEMOTION_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a refusal for the quorum's sake is taken for a passing one.
const QUORUM_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried again meanwhile.
const QUORUM_PAUSE: Duration = Duration::from_millis(100);

/// Machines that go.
#[derive(Debug)]
pub(super) struct Leave;

#[async_trait]
impl Phase for Leave {
    fn title(&self) -> &'static str {
        "Remove machines"
    }

    fn is_needed(&self, context: &Context) -> bool {
        !leaving(context).is_empty()
    }

    async fn apply(&self, context: &Context) -> Result<(), PhaseError> {
        // That they leave is on disk since the plan was accepted; what changed since then goes there now.
        context.ledger.record(|_| {}).await?;
        let leaving = leaving(context);
        let swarm = context.swarm()?;
        context.in_grace(drain(&*swarm, &leaving, &context.progress)).await??;
        for (number, machine) in &leaving {
            let Some(id) = &machine.node_id else { continue };
            let gone = context.in_grace(expel(&*swarm, id)).await?;
            let name = context.journal().spec.machine_name(*number);
            gone.map_err(|error| PhaseError::from(error).of_machine("take out of the swarm", name))?;
        }

        let numbers: Vec<u32> = leaving.iter().map(|(number, _)| *number).collect();
        install::uninstall(context, &numbers).await?;
        let names: Vec<String> = numbers.iter().map(|number| context.journal().spec.machine_name(*number)).collect();
        let found = super::preflight::remains(context).await?;
        let found = found.into_iter().filter(|resource| names.contains(&resource.name));
        let mut ids: Vec<_> = found.filter_map(|resource| resource.instance).collect();
        ids.extend(leaving.iter().filter_map(|(_, machine)| Some(machine.instance.as_ref()?.id.clone())));
        ids.sort();
        ids.dedup();
        if !ids.is_empty() {
            context.call("destroy the machines", || context.driver.destroy(&ids)).await?;
        }
        context
            .ledger
            .record(|journal| {
                for number in &numbers {
                    journal.machines.remove(number);
                }
            })
            .await?;
        Ok(())
    }
}

fn leaving(context: &Context) -> Vec<(u32, Machine)> {
    let journal = context.journal();
    let leaving = journal.machines.iter().filter(|(_, machine)| machine.step == Step::Leaving);
    leaving.map(|(number, machine)| (*number, machine.clone())).collect()
}

/// Has the tasks of nodes that are up end and be replaced by others. What does not end in time is told, and no error.
async fn drain(swarm: &dyn Swarm, leaving: &[(u32, Machine)], progress: &Progress) -> Result<(), EngineError> {
    let nodes = swarm.nodes().await?;
    let is_up = |id: &NodeId| nodes.iter().any(|node| node.id == *id && node.state == "ready");
    let drained: Vec<_> = leaving
        .iter()
        .filter_map(|(number, machine)| Some((hostname(*number), machine.node_id.as_ref().filter(|id| is_up(id))?)))
        .collect();
    for (_, id) in &drained {
        swarm.drain(id).await?;
    }
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    for (hostname, id) in &drained {
        loop {
            let left = swarm.tasks_left(id).await?;
            if left == 0 {
                break;
            }
            if Instant::now() >= deadline {
                progress.line(&format!("  tasks of `{hostname}` have not ended in time, and end with it: {left}"));
                break;
            }
            progress.machine(hostname, &format!("waiting for {left} tasks to end"));
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
    }
    Ok(())
}

/// Takes a node out of the swarm, whatever its role; one that is gone already is no error.
pub(super) async fn expel(swarm: &dyn Swarm, id: &NodeId) -> Result<(), EngineError> {
    let begun = Instant::now();
    let deadline = begun + DEMOTION_TIMEOUT;
    let mut was_demoted = false;
    loop {
        let nodes = swarm.nodes().await?;
        let Some(node) = nodes.iter().find(|node| node.id == *id) else { return Ok(()) };
        if node.role == Role::Manager && !was_demoted {
            match swarm.set_role(id, Role::Worker).await {
                Ok(()) => was_demoted = true,
                // Another manager was started a moment ago and is not caught up yet.
                Err(error) if error.is_loss_of_quorum() && Instant::now() < begun + QUORUM_PATIENCE => {
                    tokio::time::sleep(QUORUM_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        } else if node.manager.is_none() {
            return swarm.remove(id).await;
        } else if Instant::now() >= deadline {
            let what = format!("`{}` is still a manager", node.hostname);
            return Err(EngineError::TimedOut { what, timeout: DEMOTION_TIMEOUT });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
