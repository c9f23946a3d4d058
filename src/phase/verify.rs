//! Waits until the swarm shows every machine well, in its role.

use std::time::Duration;

use async_trait::async_trait;
use model::NodeId;
use tokio::time::Instant;

use super::form::PAUSE;
use super::{Context, Phase, PhaseError};
use crate::cluster::hostname;
use crate::engine::{EngineError, Swarm, SwarmNode};
use crate::journal::{Journal, Stage, Step};

/// How long nodes may take to become well.
const TIMEOUT: Duration = Duration::from_mins(1);

/// All nodes well.
#[derive(Debug)]
pub(super) struct Verify;

#[async_trait]
impl Phase for Verify {
    fn title(&self) -> &'static str {
        "Verify swarm"
    }

    fn is_needed(&self, context: &Context) -> bool {
        context.journal().stage != Stage::Ready
    }

    async fn apply(&self, context: &Context) -> Result<(), PhaseError> {
        let swarm = context.swarm()?;
        let journal = context.journal();
        Ok(context.unless_stopped(wait_until_well(&*swarm, &journal, TIMEOUT)).await??)
    }
}

/// Waits until every machine that is to stay is a node that is well.
pub async fn wait_until_well(swarm: &dyn Swarm, journal: &Journal, timeout: Duration) -> Result<(), EngineError> {
    let deadline = Instant::now() + timeout;
    loop {
        let seen = swarm.nodes().await;
        let unwell = match &seen {
            Ok(nodes) => unwell(journal, nodes),
            Err(_) => Vec::new(),
        };
        if seen.is_ok() && unwell.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            seen?;
            return Err(EngineError::TimedOut { what: format!("{} not ready", unwell.join(", ")), timeout });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the swarm no longer takes a stopped node for a living one; whether it got so far in time.
pub async fn wait_until_missed(swarm: &dyn Swarm, node: &NodeId, timeout: Duration) -> bool {
    let is_alive = |seen: &SwarmNode| seen.state == "ready" || matches!(seen.standing(), "Leader" | "Reachable");
    let noticing = async {
        loop {
            // While the managers elect a new leader none of them can tell.
            if let Ok(nodes) = swarm.nodes().await
                && !nodes.iter().any(|seen| seen.id == *node && is_alive(seen))
            {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(timeout, noticing).await.is_ok()
}

/// The machines that are to stay and are not well, by host name.
pub fn unwell(journal: &Journal, nodes: &[SwarmNode]) -> Vec<String> {
    let staying = journal.machines.iter().filter(|(_, machine)| machine.step != Step::Leaving);
    let is_well = |id: &model::NodeId| nodes.iter().any(|node| node.id == *id && node.is_well());
    staying
        .filter(|(_, machine)| !machine.node_id.as_ref().is_some_and(is_well))
        .map(|(number, _)| hostname(*number))
        .collect()
}
