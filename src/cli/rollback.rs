//! Undoes a create that did not get through.

use crate::journal::file::JOURNAL_FILE;
use crate::journal::{ClusterLock, Stage};
use crate::output::report;
use crate::phase::{self, Context, PhaseError, Unreachable, Until};

/// Whether anything was announced: before that, nothing can have been made.
pub(super) fn is_begun(context: &Context) -> bool {
    context.ledger.folder().join(JOURNAL_FILE).exists()
}

/// Removes the folder of a cluster of which nothing was ever announced.
pub(super) fn forget_where_nothing_was_made(context: &Context, lock: ClusterLock) {
    if !is_begun(context) {
        forget(context, lock);
    }
}

/// Destroys what was made and says so; `false` where something is left, which the journal then tells of.
pub(super) async fn run(context: &Context, lock: ClusterLock) -> bool {
    if !is_begun(context) {
        return forget(context, lock);
    }
    context.progress.line("Rolling back");
    let context = context.after_interruption();
    match Box::pin(take_down(&context)).await {
        Ok(()) => forget(&context, lock),
        Err(error) => {
            context.progress.clear();
            let name = &context.journal().spec.name;
            let error = anyhow::Error::from(error).context("failed to undo what was made");
            report::error(&error, Some(&format!("run `swarmup destroy {name}`")));
            false
        }
    }
}

/// Destroys all there is of a cluster.
pub(super) async fn take_down(context: &Context) -> Result<(), PhaseError> {
    context.ledger.record(|journal| journal.stage = Stage::Destroying).await?;
    phase::backward(context, Unreachable::Fails, Until::Gone).await
}

/// Removes the folder; the lock is held until it is gone.
pub(super) fn forget(context: &Context, lock: ClusterLock) -> bool {
    let removed = context.home.remove_cluster_folder(&context.journal().spec.name);
    drop(lock);
    match removed {
        Ok(()) => true,
        Err(error) => {
            report::error(&anyhow::Error::from(error), None);
            false
        }
    }
}
