//! Waits until the agents have formed the swarm, and writes that down: from then on no bootstrap file is sent.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Context, Phase, PhaseError};
use crate::engine::{EngineError, Swarm};
use crate::journal::{Stage, Step};

/// How long the swarm may take to elect its first leader.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How often it is asked.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// The swarm's first leader.
#[derive(Debug)]
pub(super) struct Form;

#[async_trait]
impl Phase for Form {
    fn title(&self) -> &'static str {
        "Form swarm"
    }

    fn is_needed(&self, context: &Context) -> bool {
        context.journal().stage == Stage::Creating
    }

    async fn apply(&self, context: &Context) -> Result<(), PhaseError> {
        let swarm = context.swarm()?;
        let expected = context.journal().id.to_string();
        let found = context.unless_stopped(wait_for_leader(&*swarm)).await??;
        if found != expected {
            return Err(EngineError::OtherSwarm { expected, found }.into());
        }
        context
            .ledger
            .record(|journal| {
                journal.stage = Stage::Formed;
                for machine in journal.machines.values_mut() {
                    machine.step = Step::Joined;
                }
            })
            .await?;
        Ok(())
    }
}

/// The id of the swarm, once a leader answers for it.
async fn wait_for_leader(swarm: &dyn Swarm) -> Result<String, EngineError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let failure = match swarm.id().await {
            Ok(id) => return Ok(id),
            Err(failure) => failure,
        };
        if Instant::now() >= deadline {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
