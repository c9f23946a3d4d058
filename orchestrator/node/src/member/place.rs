//! A member's place among the managers: taken, kept under one raft id, handed on, and forgotten when it is lost.

use std::sync::Arc;
use std::time::Duration;

use agent::AgentView;
use model::{RaftId, Role, SwarmError, with_causes};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{Ended, Member, RunningManager, Waiting};
use crate::managing::{Managing, ManagingError};
use crate::record::blocking;

/// Before a manager that failed is started again.
const RESTART: Duration = Duration::from_secs(1);
/// How long a leader that stops waits for its agent to find the next one.
const FOLLOW: Duration = Duration::from_secs(1);

impl Member {
    pub(super) async fn start_manager(&mut self) {
        let raft_id = match self.raft_id().await {
            Ok(raft_id) => raft_id,
            Err(error) => {
                error!(%error, "failed to keep the node's raft id; trying again");
                self.restart_at = Some(Instant::now() + RESTART);
                return;
            }
        };
        let node = self.record.node();
        let managing = Managing {
            node_id: node.node_id,
            raft_id,
            hostname: self.parts.hostname.clone(),
            listen: node.listen,
            advertise: node.advertise,
            record: self.record.clone(),
            tls: self.tls.clone(),
            connector: self.connector.clone(),
            engine: Arc::clone(&self.parts.engine),
            agent: self.view.clone(),
            liveness: self.liveness.clone(),
            genesis: self.genesis.clone(),
            clock: self.parts.clock.clone(),
            raft_settings: self.parts.raft_settings.clone(),
            leader: self.leader.clone(),
            api_tls: self.parts.api_tls.clone(),
            ready: self.ready.clone(),
        };
        let token = CancellationToken::new();
        let (rng, cancel) = (self.parts.fork_rng(), token.clone());
        self.tasks.spawn(async move { Ended::Manager(Box::pin(managing.run(rng, cancel)).await) });
        self.manager = Some(RunningManager { token, is_demoted: false });
    }

    /// The raft id of this membership in raft; drawn afresh where there is none.
    async fn raft_id(&self) -> Result<RaftId, SwarmError> {
        if let Some(raft_id) = self.record.node().raft_id {
            return Ok(raft_id);
        }
        let disk = self.record.disk.clone();
        blocking(move || disk.forget_raft()).await?;
        let raft_id = RaftId::generate(&mut self.parts.fork_rng());
        self.record.change(move |node| node.raft_id = Some(raft_id)).await?;
        Ok(raft_id)
    }

    /// Takes note of a manager's end; `true` where `init` has failed by it.
    pub(super) async fn manager_ended(&mut self, outcome: Result<(), ManagingError>) -> bool {
        let is_demoted = self.manager.take().is_some_and(|manager| manager.is_demoted);
        let is_retired = matches!(outcome, Err(ManagingError::Retired(_)));
        match outcome {
            Err(ManagingError::Retired(raft_id)) => {
                info!(%raft_id, "the swarm has removed this manager from raft; its log is set aside");
            }
            Err(failure) => {
                let failure = with_causes(&failure);
                warn!(failure, "the manager of this node has ended; starting it again");
                self.restart_at = Some(Instant::now() + RESTART);
                if let Some(Waiting::Init(answer)) = self.waiting.take_if(|waiting| matches!(waiting, Waiting::Init(_)))
                {
                    answer.give(Err(SwarmError::internal(failure.clone())));
                    return true;
                }
                if let Some(waiting) = self.waiting.take_if(|waiting| matches!(waiting, Waiting::Anew(_))) {
                    waiting.refuse(SwarmError::internal(failure.clone()));
                }
                self.failure = Some(failure);
            }
            Ok(()) => {}
        }
        if is_demoted {
            info!("this node is a manager no more");
            self.parts.close_api();
        }
        if is_demoted || is_retired {
            self.forget_place(is_demoted).await;
        }
        false
    }

    /// Forgets the place in raft: the id, the beginning that it came from, and the log. That of a node which is to be a
    /// manager still is set aside: others may have begun anew without what is in it.
    async fn forget_place(&mut self, is_demoted: bool) {
        let is_demoted = is_demoted || self.view.borrow().role == Role::Worker;
        self.genesis = None;
        if let Err(error) = self.wipe_place(is_demoted).await {
            error!(%error, "failed to forget the raft log; trying again");
            self.restart_at = Some(Instant::now() + RESTART);
        }
    }

    /// The lock of the keys goes last: the log's key is sealed with it.
    async fn wipe_place(&self, is_demoted: bool) -> Result<(), SwarmError> {
        let (disk, keyring) = (self.record.disk.clone(), self.record.keyring.clone());
        let wipe = move || {
            disk.forget_genesis()?;
            disk.forget_api_tls()?;
            if is_demoted { disk.forget_raft().and_then(|()| disk.forget_former_raft()) } else { disk.set_raft_aside() }
        };
        blocking(wipe).await?;
        self.record.change(|node| node.raft_id = None).await?;
        blocking(move || keyring.forget_lock()).await
    }

    /// Lets another manager lead before this one stops, so that no write fails and the farewell reaches a leader
    /// that will be there to remember it.
    pub(super) async fn hand_over(&self) {
        let Some(standing) = self.ready.borrow().clone() else {
            return;
        };
        if !standing.raft.status().borrow().is_leader {
            return;
        }
        match standing.raft.transfer_leadership().await {
            Ok(successor) => {
                info!(peer = %successor.node_id, "handed leadership over before stopping");
                let mut view = self.view.clone();
                let follows = |view: &AgentView| view.manager.as_ref().is_some_and(|at| at.addr == successor.addr);
                if tokio::time::timeout(FOLLOW, view.wait_for(follows)).await.is_err() {
                    debug!("stopping without a session with the new leader");
                }
            }
            // The only manager, or no other in reach: the others elect one when they miss this one.
            Err(error) => debug!(%error, "stopping without a hand-over"),
        }
    }
}
