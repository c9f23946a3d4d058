//! Answers the messages of other members.

use std::time::Duration;

use bytes::Bytes;
use model::RaftId;
use openraft::ServerState;
use openraft::raft::VoteRequest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::sync::lock;
use crate::types::Vote;
use crate::wire::{Append, AppendReply, Ballot, BallotReply, Chunk, Envelope};
use crate::{HandleError, Peer, Raft, RaftCallKind, TransportError, codec};

/// How often a member that was asked to take over stands for election, and how long it waits for each.
const TAKE_OVER_ATTEMPTS: usize = 3;
const TAKE_OVER_PATIENCE: Duration = Duration::from_millis(120);
/// How long a former member may take to hear that it was removed.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);

impl Raft {
    /// Answers a message of another member, which came by the [`Transport`](crate::Transport).
    ///
    /// # Errors
    /// The message is malformed or for another member, or this member has stopped; the transport passes that on.
    pub async fn handle(&self, kind: RaftCallKind, payload: Bytes) -> Result<Bytes, HandleError> {
        match kind {
            RaftCallKind::Append => Ok(reply(&self.append(self.read(&payload)?).await?)),
            RaftCallKind::Snapshot => Ok(reply(&self.chunk(self.read(&payload)?).await?)),
            RaftCallKind::Vote => Ok(reply(&self.vote(self.read(&payload)?).await?)),
            RaftCallKind::PreVote => Ok(reply(&self.pre_vote(&self.read(&payload)?))),
            RaftCallKind::TakeOver => Ok(reply(&self.take_over(&self.read(&payload)?).await?)),
            RaftCallKind::Greet => {
                let _: Envelope<()> = self.read(&payload)?;
                Ok(reply(&self.greeting().await.map_err(|_| HandleError::Stopped)?))
            }
            RaftCallKind::Removed => Ok(reply(&self.hear_of_removal(&payload)?)),
        }
    }

    fn read<M: DeserializeOwned>(&self, payload: &[u8]) -> Result<Envelope<M>, HandleError> {
        let envelope: Envelope<M> =
            codec::decode(payload).map_err(|error| HandleError::Malformed(error.to_string()))?;
        if self.is_removed(envelope.from) {
            // Whomever it is for: the sender knows the members of a time when it was one itself.
            Err(HandleError::Removed(RaftId(envelope.from)))
        } else if envelope.to == self.id() {
            Ok(envelope)
        } else {
            Err(HandleError::Misdirected { to: RaftId(envelope.to), me: self.shared.me.raft_id })
        }
    }

    /// Hears that this member was removed, if it is this one that is meant; whether it is.
    fn hear_of_removal(&self, payload: &[u8]) -> Result<bool, HandleError> {
        let envelope: Envelope<()> =
            codec::decode(payload).map_err(|error| HandleError::Malformed(error.to_string()))?;
        let is_meant = envelope.to == self.id();
        if is_meant {
            self.shared.network.removed();
            self.refresh_status();
        }
        Ok(is_meant)
    }

    /// Tells a former member that it was removed, so that it does not wait for a group that is no more. Whether it was
    /// still waiting; `false` where it has been told before.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn tell_removed(&self, former: &Peer) -> Result<bool, TransportError> {
        self.shared.network.call(former, RaftCallKind::Removed, (), TELL_TIMEOUT).await
    }

    async fn append(&self, envelope: Envelope<Append>) -> Result<AppendReply, HandleError> {
        self.heard(envelope.message.vote());
        let response = self.shared.core.append_entries(envelope.message.into()).await;
        response.map(AppendReply::from).map_err(|_| HandleError::Stopped)
    }

    async fn chunk(&self, envelope: Envelope<Chunk>) -> Result<Vote, HandleError> {
        self.heard(envelope.message.vote());
        let response = self.shared.core.install_snapshot(envelope.message.into()).await;
        response.map(|response| response.vote).map_err(|error| match error.into_api_error() {
            Some(mismatch) => HandleError::Malformed(mismatch.to_string()),
            None => HandleError::Stopped,
        })
    }

    async fn vote(&self, envelope: Envelope<Ballot>) -> Result<BallotReply, HandleError> {
        let Ballot { vote, last, .. } = envelope.message;
        let Some(vote) = vote else {
            return Err(HandleError::Malformed("a request without a vote".to_owned()));
        };
        // Who has no group yet votes for nobody: see `formation`.
        let is_formed = self.is_formed().await.map_err(|_| HandleError::Stopped)?;
        if !is_formed {
            return Ok(self.refusal());
        }
        let response = self.shared.core.vote(VoteRequest::new(vote, last)).await.map_err(|_| HandleError::Stopped)?;
        if response.vote_granted {
            self.shared.contacts.voted(Instant::now());
        }
        Ok(response.into())
    }

    fn pre_vote(&self, envelope: &Envelope<Ballot>) -> BallotReply {
        let is_granted = self.would_vote(&envelope.message);
        BallotReply { is_granted, ..self.refusal() }
    }

    /// Stands for election because the leader asks for it, and says whether it won.
    async fn take_over(&self, envelope: &Envelope<()>) -> Result<bool, HandleError> {
        let mut metrics = self.shared.core.metrics();
        if metrics.borrow().current_leader != Some(envelope.from) {
            return Ok(false);
        }
        for _ in 0..TAKE_OVER_ATTEMPTS {
            self.shared.core.trigger().elect().await.map_err(|_| HandleError::Stopped)?;
            let won = metrics.wait_for(|metrics| metrics.state == ServerState::Leader);
            match timeout(TAKE_OVER_PATIENCE, won).await {
                Ok(Ok(_)) => return Ok(true),
                Ok(Err(_)) => return Err(HandleError::Stopped),
                Err(_) => {}
            }
        }
        Ok(false)
    }

    /// Notes that a leader was heard of, unless it has been replaced.
    fn heard(&self, vote: &Vote) {
        if *vote >= self.shared.core.metrics().borrow().vote {
            self.shared.contacts.heard_leader(Instant::now());
        }
    }

    fn is_removed(&self, member: u64) -> bool {
        lock(&self.shared.removed).contains(&member)
    }

    fn refusal(&self) -> BallotReply {
        let vote = self.shared.core.metrics().borrow().vote;
        BallotReply { is_granted: false, vote, last: self.shared.log.last() }
    }
}

fn reply(message: &impl Serialize) -> Bytes {
    Bytes::from(codec::encode(message))
}
