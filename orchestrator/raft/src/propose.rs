//! Proposals and linearizable reads: what the group is for.
//!
//! Both have an answer in bounded time. A leader that reaches no quorum refuses; a proposal that was in the log when
//! leadership was lost is reported as uncertain unless its fate is known shortly after.

use std::time::Duration;

use bytes::Bytes;
use model::ReadPoint;
use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use tokio::time::{sleep, timeout};

use crate::types::Proposal;
use crate::{MAX_PROPOSAL_BYTES, ProposeError, Raft};

/// How long a proposal whose leader was deposed may still wait for its fate.
const FATE_PATIENCE: Duration = Duration::from_millis(200);
/// How long a quorum may take to confirm the leader.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);

/// A proposal that is committed, and applied here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its index in the log.
    pub index: u64,
    /// What [`StateMachine::apply`](crate::StateMachine::apply) said of it.
    pub accepted: bool,
}

impl Raft {
    /// Commits a proposal and applies it here. While leadership is being handed over, it waits for the outcome.
    ///
    /// # Errors
    /// Nothing was proposed, except with [`ProposeError::Uncertain`].
    pub async fn propose(&self, payload: Bytes) -> Result<Committed, ProposeError> {
        if payload.len() > MAX_PROPOSAL_BYTES {
            return Err(ProposeError::TooLarge { size: payload.len(), limit: MAX_PROPOSAL_BYTES });
        }
        let _passage = self.shared.gate.enter().await;
        self.must_lead()?;
        tokio::select! {
            biased;
            written = self.shared.core.client_write(Proposal(payload)) => match written {
                Ok(response) => Ok(Committed { index: response.log_id.index, accepted: response.data.accepted }),
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(self.not_leader()),
                Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(_)) | RaftError::Fatal(_)) => {
                    Err(ProposeError::Stopped)
                }
            },
            () = self.leadership_lost() => Err(ProposeError::Uncertain),
            () = sleep(self.shared.settings.propose_timeout) => Err(ProposeError::Uncertain),
        }
    }

    /// The point that a linearizable read must wait for: a quorum has confirmed that this member leads.
    ///
    /// # Errors
    /// This member does not lead, or reaches no quorum.
    pub async fn read_point(&self) -> Result<ReadPoint, ProposeError> {
        let _passage = self.shared.gate.enter().await;
        self.must_lead()?;
        let index = match timeout(CONFIRM_TIMEOUT, self.shared.core.get_read_log_id()).await {
            Ok(Ok((read, _))) => read.map_or(0, |id| id.index),
            Ok(Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_)))) => return Err(self.not_leader()),
            Ok(Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)))) | Err(_) => {
                return Err(ProposeError::NoQuorum);
            }
            Ok(Err(RaftError::Fatal(_))) => return Err(ProposeError::Stopped),
        };
        Ok(ReadPoint { index, leader: self.shared.me.raft_id, unreachable: self.unreachable() })
    }

    /// Refuses unless this member leads and reaches a quorum.
    pub(crate) fn must_lead(&self) -> Result<(), ProposeError> {
        self.refresh_status();
        if self.shared.status.borrow().is_leader {
            return Ok(());
        }
        let leads = self.metrics().current_leader == Some(self.id());
        Err(if leads { ProposeError::NoQuorum } else { self.not_leader() })
    }

    pub(crate) fn not_leader(&self) -> ProposeError {
        self.refresh_status();
        let leader =
            self.shared.status.borrow().leader.clone().filter(|leader| leader.raft_id != self.shared.me.raft_id);
        ProposeError::NotLeader { leader }
    }

    /// Waits until this member leads no more, and a little longer.
    pub(crate) async fn leadership_lost(&self) {
        let mut status = self.status();
        if status.wait_for(|status| !status.is_leader).await.is_ok() {
            sleep(FATE_PATIENCE).await;
        }
    }
}
