//! What only the leader runs, for as long as its term lasts.
//!
//! ```text
//! raft says "you lead"  ──> barrier: all that was committed before is applied here
//!                       ──> seed: the beginning of the swarm, where there is none yet; anew: a new one of raft
//!                       ──> the term: dispatcher, its line to the store, role and root reconcilers, former managers,
//!                           record of who is reachable, orchestrator, allocator, scheduler, constraint enforcer, task
//!                           reaper, deallocator, log broker, in one JoinSet, under one token
//! leadership or a component ends ──> the rest is cancelled and awaited ──> the next term, if there is one
//! ```
//!
//! Every component is built afresh from the store alone, so no timer of a former term can act in a later one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gossip::GossipView;
use model::SwarmError;
use raft::{Peer, Raft, RaftStatus};
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::{Clock, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::allocator::Allocator;
use crate::anew;
use crate::dispatcher::{Dispatcher, DispatcherTerm};
use crate::enforcer::ConstraintEnforcer;
use crate::former::FormerManagers;
use crate::logs::{LogBroker, LogTerm};
use crate::orchestrator::{Deallocator, Orchestrator, TaskReaper};
use crate::reachability::ReachabilityRecord;
use crate::roles::RoleReconciler;
use crate::root::RootReconciler;
use crate::scheduler::Scheduler;
use crate::seed::{self, Genesis};

/// Before a term that ended while this member still leads is begun again.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs the leader's components whenever this member leads.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) me: Peer,
    pub(crate) store: Store,
    pub(crate) raft: Raft,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) logs: Arc<LogBroker>,
    pub(crate) gossip: watch::Receiver<GossipView>,
    pub(crate) genesis: Option<Genesis>,
    pub(crate) begins_anew: bool,
    /// The wall clock.
    pub(crate) clock: Clock,
    /// Draws what the components of a term draw.
    pub(crate) rng: Mutex<StdRng>,
}

impl Leader {
    /// Runs term after term until cancelled or until raft has stopped.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut status = self.raft.status();
        while let Some(term) = next_term(&mut status, &cancel).await {
            info!(term, "leading");
            let token = cancel.child_token();
            let outcome = self.lead(term, &mut status, &token).await;
            self.dispatcher.end();
            self.logs.end();
            match outcome {
                Ok(()) => info!(term, "no longer leading"),
                Err(error) => {
                    warn!(term, %error, "the term ended early");
                    tokio::select! {
                        () = cancel.cancelled() => return,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            }
        }
    }

    /// One term, from barrier to the last component's end.
    async fn lead(
        &self,
        term: u64,
        status: &mut watch::Receiver<RaftStatus>,
        token: &CancellationToken,
    ) -> Result<(), SwarmError> {
        let _ends_with_this_call = token.clone().drop_guard();
        let prepared = tokio::select! {
            prepared = self.prepare() => prepared,
            () = deposed(status, term) => return Ok(()),
            () = token.cancelled() => return Ok(()),
        };
        prepared?;

        let dispatcher_term = Arc::new(DispatcherTerm::new(self.store.clone(), self.gossip.clone(), token.clone()));
        let mut components: JoinSet<(&'static str, Result<(), SwarmError>)> = JoinSet::new();
        let (judge, line) = (Arc::clone(&dispatcher_term), Arc::clone(&dispatcher_term));
        components.spawn(async move { ("dispatcher", judge.run().await) });
        components.spawn(async move { ("status line", line.write_statuses().await) });
        let roles =
            RoleReconciler::new(self.me.node_id.clone(), self.store.clone(), self.raft.clone()).run(token.clone());
        components.spawn(async move { ("role reconciler", roles.await) });
        let root = RootReconciler::new(self.store.clone(), self.fork_rng()).run(token.clone());
        components.spawn(async move { ("root reconciler", root.await) });
        let reachability = ReachabilityRecord::new(self.store.clone(), self.raft.clone()).run(token.clone());
        components.spawn(async move { ("record of who is reachable", reachability.await) });
        let former = FormerManagers::new(self.store.clone(), self.raft.clone()).run(token.clone());
        components.spawn(async move { ("former managers", former.await) });
        let scheduler = Scheduler::new(self.store.clone(), self.clock.clone(), self.fork_rng()).run(token.clone());
        components.spawn(async move { ("scheduler", scheduler.await) });
        let enforcer = ConstraintEnforcer::new(self.store.clone(), self.clock.clone()).run(token.clone());
        components.spawn(async move { ("constraint enforcer", enforcer.await) });
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let orchestrator = Orchestrator::new(store.clone(), clock.clone(), self.fork_rng()).run(token.clone());
        components.spawn(async move { ("orchestrator", orchestrator.await) });
        let allocator = Allocator::new(store.clone(), clock).run(token.clone());
        components.spawn(async move { ("allocator", allocator.await) });
        let reaper = TaskReaper::new(store.clone()).run(token.clone());
        components.spawn(async move { ("task reaper", reaper.await) });
        let log_term = Arc::new(LogTerm::new(store.clone(), self.fork_rng(), token.clone()));
        let log_broker = Arc::clone(&log_term);
        components.spawn(async move { ("log broker", log_broker.run().await) });
        let deallocator = Deallocator::new(store).run(token.clone());
        components.spawn(async move { ("deallocator", deallocator.await) });
        self.dispatcher.begin(dispatcher_term);
        self.logs.begin(log_term);

        let first = tokio::select! {
            first = components.join_next() => first,
            () = deposed(status, term) => None,
            () = token.cancelled() => None,
        };
        self.dispatcher.end();
        self.logs.end();
        token.cancel();
        while let Some(ended) = components.join_next().await {
            debug!(?ended, "component of the term ended");
        }
        match first {
            Some(Ok((name, Err(error)))) => Err(SwarmError::new(error.kind, format!("{name}: {}", error.message))),
            Some(Ok((name, Ok(())))) => Err(SwarmError::internal(format!("{name} ended by itself"))),
            Some(Err(panic)) => Err(SwarmError::internal(panic.to_string())),
            None => Ok(()),
        }
    }

    fn fork_rng(&self) -> StdRng {
        StdRng::from_rng(&mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The barrier, and the beginning of the swarm, the first one or a new one.
    async fn prepare(&self) -> Result<(), SwarmError> {
        let point = self.raft.read_point().await.map_err(|error| SwarmError::unavailable(error.to_string()))?;
        self.raft.wait_applied(point.index).await.map_err(|error| SwarmError::unavailable(error.to_string()))?;
        if let Some(genesis) = &self.genesis {
            seed::commit(&self.store, genesis.clone()).await?;
        }
        if self.begins_anew {
            anew::commit(&self.store, &self.me).await?;
        }
        Ok(())
    }
}

/// Waits until this member leads; gives the term, or `None` where there will be none.
async fn next_term(status: &mut watch::Receiver<RaftStatus>, cancel: &CancellationToken) -> Option<u64> {
    tokio::select! {
        biased;
        // First: raft may say that this member leads until the very end, and no term begins any more.
        () = cancel.cancelled() => None,
        leading = status.wait_for(|status| status.is_leader) => leading.ok().map(|status| status.term),
    }
}

/// Waits until this member leads no more in this term.
async fn deposed(status: &mut watch::Receiver<RaftStatus>, term: u64) {
    // An error means that raft has stopped, which ends the term as well.
    let _ = status.wait_for(|status| !status.is_leader || status.term != term).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_term_begins_once_the_manager_stops() {
        let leading = RaftStatus { is_leader: true, term: 2, ..RaftStatus::default() };
        let (_sender, mut status) = watch::channel(leading);
        let cancel = CancellationToken::new();
        assert_eq!(next_term(&mut status, &cancel).await, Some(2));

        cancel.cancel();

        for _ in 0..100 {
            assert_eq!(next_term(&mut status, &cancel).await, None);
        }
    }
}
