//! Walks the list of phases: forward to bring a cluster up, backward to take it down.

use std::sync::Arc;

use model::with_causes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::context::line_name;
use super::machines::{Machines, TITLE, pending};
use super::{Context, Entry, MachinePhase, PHASES, Phase, PhaseError, Work};

/// Machines that have appeared and that nobody has taken up yet: as many as a cluster may have.
const APPEARED_CAPACITY: usize = 256;

/// Brings up what the journal announces. On an error or an interruption all that was going on has ended.
pub async fn forward(context: &Arc<Context>) -> Result<(), PhaseError> {
    let mut rest = PHASES;
    while let Some((entry, after)) = rest.split_first() {
        if context.stop.is_cancelled() {
            return Err(PhaseError::Interrupted);
        }
        rest = after;
        match entry {
            Entry::Once(phase) => once(context, *phase).await?,
            Entry::Machines(machines) => {
                let each = after.iter().map_while(|entry| match entry {
                    Entry::Each(phase) => Some(*phase),
                    Entry::Once(_) | Entry::Machines(_) => None,
                });
                let each: Vec<_> = each.collect();
                rest = &after[each.len()..];
                if !pending(&context.journal()).is_empty() {
                    stream(context, machines, &each).await?;
                }
            }
            Entry::Each(phase) => unreachable!("`{}` follows no phase that makes machines", phase.title()),
        }
    }
    context.progress.clear();
    Ok(())
}

/// What becomes of machines that do not answer while a cluster is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// They stand in the way.
    Fails,
    /// They are left as they are, with a line that says so.
    IsLeft,
}

/// How far a cluster is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Nothing of it is left at the provider.
    Gone,
    /// Nothing of it is charged any more.
    Free,
}

/// Takes down all there is; stops between two phases where the user asks to.
pub async fn backward(context: &Context, unreachable: Unreachable, until: Until) -> Result<(), PhaseError> {
    if unreachable == Unreachable::IsLeft {
        context.ask_once();
    }
    let machines = context.journal().machines.len();
    for entry in PHASES.iter().rev() {
        if context.stop.is_cancelled() {
            return Err(PhaseError::Interrupted);
        }
        let (title, undone) = match entry {
            Entry::Once(phase) => {
                let Some(title) = phase.undo_title() else { continue };
                context.progress.begin(title);
                (title, phase.undo(context).await)
            }
            Entry::Machines(phase) => {
                let title = "Destroy machines";
                context.progress.begin(title);
                (title, phase.undo(context).await)
            }
            Entry::Each(phase) => {
                let Some(title) = phase.undo_title() else { continue };
                if !context.driver.capabilities().machines_are_given {
                    continue;
                }
                context.progress.begin(title);
                (title, phase.undo(context).await)
            }
        };
        match undone {
            Err(error) if error.is_transient() && unreachable == Unreachable::IsLeft => {
                context.progress.line(&format!("  {title}: left as it is: {}", with_causes(&error)));
                continue;
            }
            undone => undone?,
        }
        let is_of_machines = !matches!(entry, Entry::Once(_));
        context.progress.complete_all(title, is_of_machines.then_some(machines));
        if until == Until::Free && entry.is_free_after(context) {
            break;
        }
    }
    context.progress.clear();
    Ok(())
}

async fn once(context: &Context, phase: &dyn Phase) -> Result<(), PhaseError> {
    if !phase.is_needed(context) {
        return Ok(());
    }
    context.progress.begin(phase.title());
    phase.apply(context).await?;
    context.progress.complete_all(phase.title(), None);
    Ok(())
}

/// Makes machines, and takes each through the phases that follow as soon as it appears.
async fn stream(
    context: &Arc<Context>,
    machines: &Machines,
    each: &[&'static dyn MachinePhase],
) -> Result<(), PhaseError> {
    let total = pending(&context.journal()).len();
    let (sender, mut appeared) = mpsc::channel(APPEARED_CAPACITY);
    let mut at_work = JoinSet::new();
    context.progress.begin_each(TITLE, total);
    let done = {
        let making = machines.apply(context, sender);
        tokio::pin!(making);
        let mut is_made = false;
        loop {
            tokio::select! {
                made = &mut making, if !is_made => {
                    if let Err(error) = made {
                        break Err(error);
                    }
                    is_made = true;
                }
                Some(work) = appeared.recv() => {
                    at_work.spawn(through(Arc::clone(context), each.to_vec(), work, total));
                }
                Some(done) = at_work.join_next() => {
                    if let Err(error) = done.map_err(PhaseError::from).flatten() {
                        break Err(error);
                    }
                }
                else => break Ok(()),
            }
        }
    };
    at_work.shutdown().await;
    done
}

/// Takes one of `total` machines through its phases.
async fn through(
    context: Arc<Context>,
    each: Vec<&'static dyn MachinePhase>,
    mut work: Work,
    total: usize,
) -> Result<(), PhaseError> {
    let line = line_name(work.number);
    for phase in each {
        if context.stop.is_cancelled() {
            return Err(PhaseError::Interrupted);
        }
        context.progress.begin_each(phase.title(), total);
        let name = context.journal().spec.machine_name(work.number);
        phase.apply(&context, &mut work).await.map_err(|error| error.of_machine("set up machine", name))?;
        context.progress.machine_done(phase.title(), &line);
    }
    context.progress.machine_ready(&line);
    Ok(())
}
