//! Replaces a leader that is not heard of any more.
//!
//! A member that has heard no leader for a while first asks the voters whether they would vote for it, which changes
//! nothing: they agree if they hear no leader either and its log is not behind theirs. Only with a majority does it
//! stand for election. Thus a member that is cut off, slow or removed cannot depose a leader that the others hear.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use openraft::ServerState;
use tokio::time::{Instant, sleep};

use crate::types::{LogId, Vote};
use crate::wire::{Ballot, BallotReply};
use crate::{Peer, Raft, RaftCallKind, RaftFailure, quorum};

/// How long a voter may take to answer the question.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(300);
/// The wait after a question that found no majority: short, since the others will notice the silence just as soon.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_millis(200);
/// How long a voter leaves the field to the candidate that it voted for.
pub(crate) const VOTED_PATIENCE: Duration = Duration::from_millis(500);

impl Raft {
    /// Stands for election whenever no leader is heard of.
    pub(crate) async fn keep_a_leader(&self) -> RaftFailure {
        let settings = &self.shared.settings;
        loop {
            self.silence(self.draw(settings.election_min, settings.election_max)).await;
            if !self.would_win().await {
                sleep(self.draw(RETRY_MIN, RETRY_MAX)).await;
                continue;
            }
            tracing::info!(silence = ?self.shared.contacts.leader_silence(Instant::now()), "no leader is heard of: standing for election");
            if let Err(fatal) = self.shared.core.trigger().elect().await {
                return RaftFailure(fatal.to_string());
            }
            sleep(self.draw(settings.lease, settings.lease * 2)).await;
        }
    }

    /// Waits until this member may stand for election and has heard no leader for `limit`, stretched.
    async fn silence(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let limit = limit + self.stretch();
            let silence = self.shared.contacts.leader_silence(now);
            let others = self.other_voters();
            match others {
                None => sleep(self.shared.settings.heartbeat).await,
                Some(others) if others.is_empty() => return,
                Some(_) if silence < limit => sleep(limit.saturating_sub(silence)).await,
                Some(_) if self.shared.contacts.has_voted_within(VOTED_PATIENCE, now) => {
                    sleep(self.shared.settings.heartbeat).await;
                }
                Some(_) => return,
            }
        }
    }

    /// The other voters, if this member is one and does not lead.
    fn other_voters(&self) -> Option<Vec<Peer>> {
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        let is_voter = membership.voter_ids().any(|voter| voter == self.id());
        let others = membership.voter_ids().filter(|voter| *voter != self.id());
        let others = others.filter_map(|voter| membership.get_node(&voter)?.0.clone()).collect();
        (is_voter && metrics.state != ServerState::Leader).then_some(others)
    }

    /// Asks the voters whether they would vote for this member.
    async fn would_win(&self) -> bool {
        let Some(others) = self.other_voters() else { return false };
        let configuration = self.metrics().membership_config.membership().get_joint_config().clone();
        let last = self.shared.log.last();
        let mut granted = vec![self.id()];
        let mut answers: FuturesUnordered<_> = others.iter().map(|peer| self.asks(peer, last)).collect();
        while !quorum::is_quorum(&configuration, |voter| granted.contains(&voter)) {
            match answers.next().await {
                Some(answer) => granted.extend(answer),
                None => return false,
            }
        }
        true
    }

    /// Asks one voter; gives its id if it would.
    async fn asks(&self, voter: &Peer, last: Option<LogId>) -> Option<u64> {
        let question = Ballot { vote: None, last };
        let answer: BallotReply =
            self.shared.network.call(voter, RaftCallKind::PreVote, question, QUESTION_TIMEOUT).await.ok()?;
        answer.is_granted.then_some(voter.raft_id.0)
    }

    /// Whether this member would vote for another: nothing changes.
    pub(crate) fn would_vote(&self, last: Option<LogId>) -> bool {
        let now = Instant::now();
        let is_silent = self.shared.contacts.leader_silence(now) >= self.shared.settings.pre_vote_silence;
        let leads = self.shared.status.borrow().is_leader;
        let has_group = self.metrics().vote != Vote::default() || self.shared.log.last().is_some();
        is_silent && !leads && has_group && last >= self.shared.log.last()
    }
}
