//! Checks what can be checked before anything is made; backward, proves that nothing is left.

use std::time::Duration;

use async_trait::async_trait;
use driver::Resource;

use tokio::time::Instant;

use super::machines::{agent_file, pending};
use super::{Context, Phase, PhaseError};
use crate::ingress::host_prefix;
use crate::journal::{Journal, Stage};
use crate::operator;

/// How long the provider may take to remove what it says is vanishing.
const VANISHING: Duration = Duration::from_mins(10);
/// How often it is asked meanwhile.
const VANISHING_PAUSE: Duration = Duration::from_secs(1);

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
        know_operator(context).await?;
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
        let deadline = Instant::now() + VANISHING;
        loop {
            let left = remains(context).await?;
            if left.is_empty() {
                return Ok(());
            }
            let is_vanishing = left.iter().all(|resource| resource.is_vanishing);
            if !is_vanishing || Instant::now() >= deadline {
                return Err(PhaseError::Left { left });
            }
            context.unless_stopped(tokio::time::sleep(VANISHING_PAUSE)).await?;
        }
    }
}

/// Finds out where the operator comes from, where a firewall has to know.
async fn know_operator(context: &Context) -> Result<(), PhaseError> {
    let journal = context.journal();
    let asked = operator::seen_if_unknown(&journal, context.driver.capabilities());
    let Some(seen) = context.unless_stopped(asked).await?? else { return Ok(()) };
    let prefix = host_prefix(seen.address);
    context.progress.line(&format!("  lets in {prefix} for SSH and the API (told by {})", seen.services));
    context.ledger.note(|journal| journal.operator = vec![prefix]);
    Ok(())
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
