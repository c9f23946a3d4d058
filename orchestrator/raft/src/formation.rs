//! Starts a new group: once, whoever is there.
//!
//! ```text
//! a quorum of the roster answers ──> each writes the first entry, by itself
//! a quorum has written it        ──> the member with the lowest id stands for election
//! nobody has stood for a second  ──> an election like any other
//! ```
//! The first entry is the roster, the same on all of them, so it does not matter who writes it and when, and nobody
//! is needed for it. A member that has not written it votes for nobody: a candidate that dies thus leaves nobody
//! behind who has voted and has no members to elect another from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use model::RaftId;
use openraft::ServerState;
use openraft::error::{InitializeError, RaftError};
use tokio::time::{Instant, sleep};

use crate::types::Member;
use crate::wire::Greeting;
use crate::{Peer, Raft, RaftCallKind, RaftFailure, quorum};

/// How long a member may take to answer a greeting.
const GREET_TIMEOUT: Duration = Duration::from_millis(300);
/// How long to wait before members that did not answer are greeted again.
const GREET_AGAIN: Duration = Duration::from_millis(20);
/// The term of the votes that members give themselves when they write the first entry.
pub(crate) const FOUNDING_TERM: u64 = 1;

/// What a greeting means to the question for which it was asked.
enum Say {
    Yes,
    No,
    /// Nothing else needs to be asked.
    Stop,
}

impl Raft {
    /// Forms a new group of the members on the roster, this one included, and returns when this one is part of it.
    ///
    /// May be called on every member, at any time, and again after a crash: a member of a group that has had a
    /// leader returns at once.
    /// Waits for as long as too few members answer; dropping the future gives up.
    ///
    /// # Errors
    /// The member has stopped, or is not on the roster.
    pub async fn form(&self, roster: BTreeMap<RaftId, Peer>) -> Result<(), RaftFailure> {
        if !roster.contains_key(&self.shared.me.raft_id) {
            return Err(RaftFailure(format!("member {} is not on the roster", self.shared.me.raft_id)));
        }
        while !self.is_formed().await? {
            if self.may_found(&roster).await {
                self.found(&roster).await?;
            } else {
                sleep(GREET_AGAIN).await;
            }
        }
        if roster.keys().next() == Some(&self.shared.me.raft_id) {
            self.stand_first(&roster).await?;
        }
        Ok(())
    }

    /// Whether a quorum of the roster answers, and no member is part of a group that this one is not part of.
    async fn may_found(&self, roster: &BTreeMap<RaftId, Peer>) -> bool {
        let is_stranger = |greeting: &Greeting| !greeting.members.is_empty() && !greeting.members.contains(&self.id());
        self.quorum_says(roster, |greeting| if is_stranger(greeting) { Say::Stop } else { Say::Yes }).await
    }

    /// Stands for election as soon as a quorum can vote, unless somebody else was faster.
    async fn stand_first(&self, roster: &BTreeMap<RaftId, Peer>) -> Result<(), RaftFailure> {
        while self.metrics().vote.leader_id.term <= FOUNDING_TERM {
            if self.quorum_says(roster, |greeting| if greeting.is_formed { Say::Yes } else { Say::No }).await {
                let stood = self.shared.core.trigger().elect().await;
                return stood.map_err(|fatal| RaftFailure(fatal.to_string()));
            }
            sleep(GREET_AGAIN).await;
        }
        Ok(())
    }

    /// Greets the others; whether a quorum of the roster, this member included, says yes before one says stop.
    async fn quorum_says(&self, roster: &BTreeMap<RaftId, Peer>, judge: impl Fn(&Greeting) -> Say) -> bool {
        let voters = [roster.keys().map(|id| id.0).collect::<BTreeSet<u64>>()];
        let mut agreed = BTreeSet::from([self.id()]);
        let others = roster.values().filter(|peer| peer.raft_id != self.shared.me.raft_id);
        let mut answers: FuturesUnordered<_> = others.map(|peer| self.greet(peer)).collect();
        while !quorum::is_quorum(&voters, |voter| agreed.contains(&voter)) {
            let Some(answer) = answers.next().await else { return false };
            let Some((member, greeting)) = answer else { continue };
            match judge(&greeting) {
                Say::Yes => drop(agreed.insert(member)),
                Say::No => {}
                Say::Stop => return false,
            }
        }
        true
    }

    async fn greet(&self, peer: &Peer) -> Option<(u64, Greeting)> {
        let greeting = self.shared.network.call(peer, RaftCallKind::Greet, (), GREET_TIMEOUT).await.ok()?;
        Some((peer.raft_id.0, greeting))
    }

    /// Writes the first entry.
    ///
    /// openraft stands for election with it, in the [`FOUNDING_TERM`]; the network keeps that to itself.
    async fn found(&self, roster: &BTreeMap<RaftId, Peer>) -> Result<(), RaftFailure> {
        let members: BTreeMap<u64, Member> =
            roster.iter().map(|(id, peer)| (id.0, Member(Some(peer.clone())))).collect();
        match self.shared.core.initialize(members).await {
            Ok(()) => {
                // The field is left to the first member for as long as to a leader.
                self.shared.contacts.heard_leader(Instant::now());
                tracing::info!(members = roster.len(), "wrote the first entry of a new group");
                Ok(())
            }
            // A leader has been heard of in the meantime.
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(error @ InitializeError::NotInMembers(_))) => Err(RaftFailure(error.to_string())),
            Err(RaftError::Fatal(fatal)) => Err(RaftFailure(fatal.to_string())),
        }
    }

    /// What this member says of itself when it is greeted.
    pub(crate) async fn greeting(&self) -> Result<Greeting, RaftFailure> {
        let metrics = self.metrics();
        let members = metrics.membership_config.membership().nodes().map(|(id, _)| *id).collect();
        let leads = metrics.state == ServerState::Leader;
        Ok(Greeting { is_formed: self.is_formed().await?, members, leads })
    }
}
