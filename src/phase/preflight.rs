//! Checks what can be checked before anything is made; backward, proves that nothing is left.

use async_trait::async_trait;
use driver::Resource;

use super::machines::{agent_file, pending};
use super::{Context, Phase, PhaseError};
use crate::journal::{Journal, Stage};

/// Checks the provider and the agent; changes nothing.
#[derive(Debug)]
pub(super) struct Preflight;

#[async_trait]
impl Phase for Preflight {
    fn title(&self) -> &'static str {
        "Check provider"
    }

    fn is_needed(&self, context: &Context) -> bool {
        makes_machines(&context.journal())
    }

    async fn apply(&self, context: &Context) -> Result<(), PhaseError> {
        agent_file(context)?;
        let request = context.request();
        let action = format!("use provider `{}`", context.journal().spec.provider);
        let call = context.call(&action, || context.driver.preflight(&request));
        let checked = context.unless_stopped(call).await??;
        for unchecked in &checked.unchecked {
            context.progress.line(&format!("  not checked: {unchecked}"));
        }
        Ok(())
    }

    fn undo_title(&self) -> Option<&'static str> {
        Some("Check remains")
    }

    /// Asks the provider what still carries the mark: nothing is destroyed until that answer is empty.
    async fn undo(&self, context: &Context) -> Result<(), PhaseError> {
        let left = remains(context).await?;
        if left.is_empty() { Ok(()) } else { Err(PhaseError::Left { left }) }
    }
}

/// Whether there is anything to make: where machines only leave, neither provider nor agent need be at hand for it.
pub(super) fn makes_machines(journal: &Journal) -> bool {
    journal.stage == Stage::Creating || !pending(journal).is_empty()
}

/// Everything at the provider that carries this cluster's mark.
pub(super) async fn remains(context: &Context) -> Result<Vec<Resource>, PhaseError> {
    let id = context.journal().id.clone();
    let action = "ask the provider what carries the cluster's mark";
    context.call(action, || context.driver.find(Some(&id))).await
}
