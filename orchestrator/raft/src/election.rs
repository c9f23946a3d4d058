//! Replaces a leader that is not heard of any more.
//!
//! ```text
//! lease over, nothing heard ──> asks the leader itself ──> "I do not lead", or nobody is at home ──┐
//! silence over ────────────────────────────────────────────────────────────────────────────────────┴──> pre-vote
//! ```
//! A member that has heard no leader for a while first asks the voters whether they would vote for it, which changes
//! nothing: they agree if they hear no leader either and its log is not behind theirs. Only with a majority does it
//! stand for election. Thus a member that is cut off, slow or removed cannot depose a leader that the others hear.
//!
//! A leader that does not answer at all may be slow, and is given the whole silence. One whose process has died is
//! known to be gone at once: its host refuses the connection, or its next process says that it does not lead.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use openraft::ServerState;
use tokio::time::{Instant, sleep};

use crate::handle::Shared;
use crate::types::Vote;
use crate::wire::{Ballot, BallotReply, Greeting};
use crate::{Peer, Raft, RaftCallKind, RaftFailure, TransportError, quorum};

/// How long a voter may take to answer the question.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(300);
/// The wait after a question that found no majority: short, since the others will notice the silence just as soon.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_millis(200);
/// The wait before a leader that was asked whether it still leads is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a voter leaves the field to the candidate that it voted for.
pub(crate) const VOTED_PATIENCE: Duration = Duration::from_millis(500);

impl Raft {
    /// Stands for election whenever no leader is heard of.
    pub(crate) async fn keep_a_leader(&self) -> RaftFailure {
        let settings = &self.shared.settings;
        loop {
            let is_leader_gone = self.silence().await;
            let may_win = self.would_win(is_leader_gone).await;
            // Another may have been faster while the voters answered.
            if !may_win || self.shared.contacts.has_voted_within(VOTED_PATIENCE, Instant::now()) {
                sleep(self.draw(RETRY_MIN, RETRY_MAX)).await;
                continue;
            }
            let silence = self.shared.contacts.leader_silence(Instant::now());
            tracing::info!(?silence, is_leader_gone, "no leader is heard of: standing for election");
            if let Err(fatal) = self.shared.core.trigger().elect().await {
                return RaftFailure(fatal.to_string());
            }
            sleep(self.draw(settings.lease, settings.lease * 2)).await;
        }
    }

    /// Waits until this member may stand for election and either has heard no leader for a silence drawn afresh,
    /// stretched, or knows that the leader is gone; says which.
    async fn silence(&self) -> bool {
        let settings = &self.shared.settings;
        let limit = self.draw(settings.election_min, settings.election_max);
        // Voters are bound to the leader for the lease; two that notice at once must not always stand at once.
        let doubt = self.draw(settings.lease, settings.lease + settings.doubt_spread).min(limit);
        loop {
            let now = Instant::now();
            let stretch = self.stretch();
            let silence = self.shared.contacts.leader_silence(now);
            match self.other_voters() {
                None => sleep(settings.heartbeat).await,
                Some(others) if others.is_empty() => return false,
                Some(_) if silence < doubt + stretch => sleep((doubt + stretch).saturating_sub(silence)).await,
                Some(_) if self.shared.contacts.has_voted_within(VOTED_PATIENCE, now) => {
                    sleep(settings.heartbeat).await;
                }
                Some(_) if silence >= limit + stretch => return false,
                Some(_) if self.is_leader_gone().await => return true,
                Some(_) => sleep(ASK_AGAIN).await,
            }
        }
    }

    /// Asks the leader whether it still leads; `false` also where it does not answer, which a busy one may not.
    async fn is_leader_gone(&self) -> bool {
        let metrics = self.metrics();
        let leader = metrics.current_leader.filter(|leader| *leader != self.id());
        let leader = leader.and_then(|leader| metrics.membership_config.membership().get_node(&leader)?.0.clone());
        let Some(leader) = leader else { return false };
        let answer = self.shared.network.call(&leader, RaftCallKind::Greet, (), QUESTION_TIMEOUT).await;
        match answer {
            Ok(Greeting { leads, .. }) => !leads,
            Err(TransportError::TimedOut) => false,
            Err(TransportError::Unreachable(_) | TransportError::Refused(_) | TransportError::Removed) => true,
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
    async fn would_win(&self, is_leader_gone: bool) -> bool {
        let Some(others) = self.other_voters() else { return false };
        let configuration = self.metrics().membership_config.membership().get_joint_config().clone();
        let question = Ballot { vote: None, last: self.shared.log.last(), is_leader_gone };
        let mut granted = vec![self.id()];
        let mut answers: FuturesUnordered<_> = others.iter().map(|peer| self.asks(peer, question)).collect();
        while !quorum::is_quorum(&configuration, |voter| granted.contains(&voter)) {
            match answers.next().await {
                Some(answer) => granted.extend(answer),
                None => return false,
            }
        }
        true
    }

    /// Asks one voter; gives its id if it would.
    async fn asks(&self, voter: &Peer, question: Ballot) -> Option<u64> {
        let answer: BallotReply =
            self.shared.network.call(voter, RaftCallKind::PreVote, question, QUESTION_TIMEOUT).await.ok()?;
        answer.is_granted.then_some(voter.raft_id.0)
    }

    /// Whether this member would vote for another: nothing changes.
    pub(crate) fn would_vote(&self, question: &Ballot) -> bool {
        let Shared { contacts, settings, .. } = &*self.shared;
        let silence = if question.is_leader_gone { settings.lease } else { settings.pre_vote_silence };
        let is_silent = contacts.leader_silence(Instant::now()) >= silence;
        let leads = self.shared.status.borrow().is_leader;
        let has_group = self.metrics().vote != Vote::default() || self.shared.log.last().is_some();
        is_silent && !leads && has_group && question.last >= self.shared.log.last()
    }
}
