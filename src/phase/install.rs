//! Puts the agent on each machine; backward, takes it off machines that stay.
//!
//! While the swarm is being made, a machine gets its bootstrap file. Once the journal says *formed* none is sent any
//! more: a machine joins by token, and where it was a member under another id, the old member is removed. Two wiped
//! managers can never form a second swarm.

use async_trait::async_trait;
use futures_util::future::join_all;

use super::context::{host, line_name};
use super::leave::expel;
use super::{Context, MachinePhase, PhaseError, Work};
use crate::cluster::hostname;
use crate::journal::{Stage, Step};

/// Agents.
#[derive(Debug)]
pub(super) struct Install;

#[async_trait]
impl MachinePhase for Install {
    fn title(&self) -> &'static str {
        "Install agent"
    }

    async fn apply(&self, context: &Context, work: &mut Work) -> Result<(), PhaseError> {
        let number = work.number;
        let line = line_name(number);
        context
            .ledger
            .record(|journal| {
                if let Some(machine) = journal.machines.get_mut(&number) {
                    machine.step = Step::Installing;
                }
            })
            .await?;
        context.progress.machine(&line, "sending the agent");
        context.in_grace(deliver(context, work)).await??;
        if context.journal().stage == Stage::Creating {
            context.progress.machine(&line, "waiting for the others' addresses");
            let addresses = context.unless_stopped(context.all_addresses()).await?;
            let identity = context.identity().ok_or(PhaseError::Incomplete { what: "identity" })?;
            let bootstrap = identity.bootstrap(number, &addresses, jiff::Timestamp::now())?;
            context.progress.machine(&line, "installing the agent");
            context.in_grace(install(context, work, Some(bootstrap))).await?
        } else {
            context.progress.machine(&line, "installing the agent");
            context.in_grace(install(context, work, None)).await??;
            context.progress.machine(&line, "joining the swarm");
            context.in_grace(join(context, work)).await?
        }
    }

    fn undo_title(&self) -> Option<&'static str> {
        Some("Remove agent")
    }

    async fn undo(&self, context: &Context) -> Result<(), PhaseError> {
        let journal = context.journal();
        let numbers = journal.machines.keys().copied().collect::<Vec<_>>();
        uninstall(context, &numbers).await
    }
}

/// Takes the agent off machines that stay; machines that the provider made go with all that is on them.
pub(super) async fn uninstall(context: &Context, numbers: &[u32]) -> Result<(), PhaseError> {
    if !context.driver.capabilities().machines_are_given {
        return Ok(());
    }
    let journal = context.journal();
    let one = async |number: u32| {
        let Some(instance) = &journal.machines[&number].instance else { return Ok(()) };
        context.progress.machine(&line_name(number), "removing the agent");
        let remove = async {
            let session = context.dial(number, instance).await?;
            context.engine.uninstall(&*session, &journal.id.0).await?;
            Ok(())
        };
        let removed = context.in_grace(remove).await?;
        context.progress.machine_ready(&line_name(number));
        removed
            .map_err(|error: PhaseError| error.of_machine("remove the agent from", journal.spec.machine_name(number)))
    };
    // Every one is taken as far as it gets before any failure is told.
    join_all(numbers.iter().map(|number| one(*number))).await.into_iter().collect()
}

/// Needs nothing of the other machines: it goes on while some of them are still to come.
async fn deliver(context: &Context, work: &Work) -> Result<(), PhaseError> {
    let journal = context.journal();
    let hostname = hostname(work.number);
    let session = work.session.as_ref().ok_or(PhaseError::Incomplete { what: "session" })?;
    let host = host(&journal, work.number, &hostname, &work.instance, &**session)?;
    Ok(context.engine.deliver(&host).await?)
}

/// Puts the agent on a machine of a formed swarm that has lost it, or all that it knew.
pub(super) async fn anew(context: &Context, work: &Work) -> Result<(), PhaseError> {
    deliver(context, work).await?;
    install(context, work, None).await
}

async fn install(context: &Context, work: &Work, bootstrap: Option<model::Bootstrap>) -> Result<(), PhaseError> {
    let journal = context.journal();
    let hostname = hostname(work.number);
    let session = work.session.as_ref().ok_or(PhaseError::Incomplete { what: "session" })?;
    let host = host(&journal, work.number, &hostname, &work.instance, &**session)?;
    Ok(context.engine.install(&host, bootstrap).await?)
}

/// Lets a machine join by token, unless it is a member already, and removes the member that it was before.
pub(crate) async fn join(context: &Context, work: &Work) -> Result<(), PhaseError> {
    let journal = context.journal();
    let hostname = hostname(work.number);
    let session = work.session.as_ref().ok_or(PhaseError::Incomplete { what: "session" })?;
    let host = host(&journal, work.number, &hostname, &work.instance, &**session)?;
    let machine = &journal.machines[&work.number];
    let id = if let Some(id) = context.engine.membership(&host).await? {
        id
    } else {
        let ticket = context.swarm()?.ticket(machine.role).await?;
        context.engine.join(&host, &ticket).await?
    };
    if let Some(previous) = machine.node_id.as_ref().filter(|previous| **previous != id) {
        expel(&*context.swarm()?, previous).await?;
    }
    context.ledger.note(|journal| {
        if let Some(machine) = journal.machines.get_mut(&work.number) {
            machine.node_id = Some(id);
            machine.step = Step::Joined;
        }
    });
    Ok(())
}
