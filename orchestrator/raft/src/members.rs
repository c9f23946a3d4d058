//! Changes who is a member: one change at a time, each one safe to repeat.

use std::collections::{BTreeMap, BTreeSet};

use model::RaftId;
use openraft::ChangeMembers;
use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use tokio::time::{sleep, timeout};

use crate::sync::lock;
use crate::types::{Member, Metrics};
use crate::{MembershipError, Peer, ProposeError, Raft};

impl Raft {
    /// Adds a member: it learns, catches up, and votes. A member that moved gets its new address.
    ///
    /// # Errors
    /// The id was used before, the member does not catch up (it stays a learner, and asking again goes on from
    /// there), or the change cannot be proposed.
    pub async fn add_voter(&self, peer: Peer) -> Result<(), MembershipError> {
        let _changing = self.shared.changing.lock().await;
        // Whoever was removed before this member led is known once what it inherited is applied.
        let inherited = self.read_point().await?.index;
        self.wait_applied(inherited).await.map_err(|_| ProposeError::Stopped)?;
        let id = peer.raft_id;
        if lock(&self.shared.removed).contains(&id.0) {
            return Err(MembershipError::Reused(id));
        }
        self.settle_members().await?;
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        match membership.get_node(&id.0).and_then(|member| member.0.as_ref()) {
            Some(known) if known.node_id != peer.node_id => return Err(MembershipError::Taken(id)),
            Some(known) if *known == peer => {}
            // The node is the same, so the log behind the new address is the same: replacing is safe.
            Some(_) => self.change(ChangeMembers::SetNodes(member(&peer))).await?,
            None => self.change(ChangeMembers::AddNodes(member(&peer))).await?,
        }
        if membership.voter_ids().any(|voter| voter == id.0) {
            return Ok(());
        }
        let caught_up = timeout(self.shared.settings.catch_up_timeout, self.caught_up(id)).await;
        caught_up.map_err(|_| MembershipError::TooSlow(id))??;
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([id.0]))).await?;
        tracing::info!(peer = %id, "member votes");
        Ok(())
    }

    /// Removes a member for good: its id is never used again. Removing one that is no member does nothing.
    ///
    /// # Errors
    /// The group could not decide without it, it leads, or the change cannot be proposed.
    pub async fn remove(&self, id: RaftId) -> Result<(), MembershipError> {
        let _changing = self.shared.changing.lock().await;
        self.must_lead()?;
        self.settle_members().await?;
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        if membership.get_node(&id.0).is_none() {
            return Ok(());
        }
        if self.would_lose_quorum_without(id) {
            return Err(MembershipError::QuorumLoss);
        }
        if id == self.shared.me.raft_id {
            return Err(MembershipError::Leads(id));
        }
        let ids = BTreeSet::from([id.0]);
        let is_voter = membership.voter_ids().any(|voter| voter == id.0);
        self.change(if is_voter { ChangeMembers::RemoveVoters(ids) } else { ChangeMembers::RemoveNodes(ids) }).await?;
        tracing::info!(peer = %id, "member removed");
        Ok(())
    }

    /// Finishes a change that a former leader left half-way, unless one is going on here.
    pub(crate) async fn settle_members_if_left_open(&self, metrics: &Metrics) {
        let is_open = metrics.membership_config.membership().get_joint_config().len() > 1;
        if !is_open || !self.shared.status.borrow().is_leader {
            return;
        }
        if let Ok(_changing) = self.shared.changing.try_lock()
            && let Err(error) = self.settle_members().await
        {
            tracing::debug!(%error, "a change of members stays open for now");
        }
    }

    /// Finishes a change that was left half-way: an empty change leads from two sets of voters to the later one.
    async fn settle_members(&self) -> Result<(), MembershipError> {
        let is_open = self.metrics().membership_config.membership().get_joint_config().len() > 1;
        if is_open { self.change(ChangeMembers::AddVoterIds(BTreeSet::new())).await } else { Ok(()) }
    }

    /// Commits a change, both halves of it.
    async fn change(&self, changes: ChangeMembers<u64, Member>) -> Result<(), MembershipError> {
        let retain = !matches!(changes, ChangeMembers::RemoveVoters(_));
        let attempts = async {
            loop {
                match self.shared.core.change_membership(changes.clone(), retain).await {
                    Ok(_) => return Ok(()),
                    // The entry of an earlier change is on its way; it is committed, or this leader deposed.
                    Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                        ChangeMembershipError::InProgress(_),
                    ))) => sleep(self.shared.settings.heartbeat).await,
                    Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                        return Err(self.not_leader().into());
                    }
                    Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(_))) => {
                        return Err(ProposeError::Uncertain.into());
                    }
                    Err(RaftError::Fatal(_)) => return Err(ProposeError::Stopped.into()),
                }
            }
        };
        tokio::select! {
            biased;
            outcome = attempts => outcome,
            () = self.leadership_lost() => Err(ProposeError::Uncertain.into()),
            () = sleep(self.shared.settings.propose_timeout) => Err(ProposeError::Uncertain.into()),
        }
    }

    /// Waits until a learner has all that was in the log when asked.
    async fn caught_up(&self, id: RaftId) -> Result<(), MembershipError> {
        let goal = self.metrics().last_log_index;
        let mut metrics = self.shared.core.metrics();
        let reached = metrics.wait_for(|metrics| match &metrics.replication {
            Some(replication) => replication.get(&id.0).copied().flatten().map(|log_id| log_id.index) >= goal,
            None => true,
        });
        let is_leader = reached.await.map_err(|_| ProposeError::Stopped)?.replication.is_some();
        if is_leader { Ok(()) } else { Err(self.not_leader().into()) }
    }
}

fn member(peer: &Peer) -> BTreeMap<u64, Member> {
    BTreeMap::from([(peer.raft_id.0, Member(Some(peer.clone())))])
}
