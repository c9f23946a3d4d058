//! Takes the swarm's secrets off the workstation, now that the managers hold them, and calls the cluster ready.

use async_trait::async_trait;

use super::{Context, Phase, PhaseError};
use crate::identity::{Identity, forget_first_host_key};
use crate::journal::Stage;

/// The secrets' end.
#[derive(Debug)]
pub(super) struct Retire;

#[async_trait]
impl Phase for Retire {
    fn title(&self) -> &'static str {
        "Retire secrets"
    }

    async fn apply(&self, context: &Context) -> Result<(), PhaseError> {
        let folder = context.ledger.folder().to_owned();
        let retire = move || Identity::retire(&folder).and_then(|()| forget_first_host_key(&folder));
        tokio::task::spawn_blocking(retire).await??;
        context.ledger.record(|journal| journal.stage = Stage::Ready).await?;
        Ok(())
    }
}
