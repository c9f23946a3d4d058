//! Brings one stopped node back: the agent runs, and is a member again.

use ::reach::ServiceError;

use super::{Context, MachinePhase as _, PhaseError, Work, install, reach::Reach};
use crate::engine::EngineError;
use crate::journal::Journal;

/// Starts the agent of a machine that runs again. One that lost its data, or even its agent, gets the agent
/// anew and joins by token, under a new id.
pub async fn rejoin(context: &Context, number: u32) -> Result<(), PhaseError> {
    let instance = context.journal().machines[&number].instance.clone();
    let instance = instance.ok_or(PhaseError::Incomplete { what: "machine" })?;
    let mut work = Work { number, instance, session: None };
    Reach.apply(context, &mut work).await?;
    if let Some(session) = &work.session {
        match context.engine.start(&**session).await {
            Err(EngineError::Service(ServiceError::NotInstalled { .. })) => install::anew(context, &work).await?,
            started => started?,
        }
    }
    install::join(context, &work).await?;
    context.ledger.record(|_| {}).await?;
    Ok(())
}

/// The journal as if there were one machine only.
pub fn only(journal: &Journal, number: u32) -> Journal {
    let mut only = journal.clone();
    only.machines.retain(|present, _| *present == number);
    only
}
