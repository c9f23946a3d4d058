//! Starts a new group: once, whoever comes first.
//!
//! The member with the lowest id writes the first entry as soon as a quorum of the roster answers. The others leave
//! that to it for a second, then do the same: the entry is the same on all of them, so several may write it. Nobody
//! does if any member is part of a group already.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use model::RaftId;
use openraft::error::{InitializeError, RaftError};
use tokio::time::{Instant, sleep};

use crate::types::Member;
use crate::wire::Greeting;
use crate::{Peer, Raft, RaftCallKind, RaftFailure, quorum};

/// How long a member may take to answer a greeting.
const GREET_TIMEOUT: Duration = Duration::from_millis(300);
/// How long to wait before members that did not answer are greeted again.
const GREET_AGAIN: Duration = Duration::from_millis(20);

impl Raft {
    /// Forms a new group of the members on the roster, this one included, and returns when this one is part of it.
    ///
    /// May be called on every member, at any time, and again after a crash: a member of a group returns at once.
    /// Waits for as long as too few members answer; dropping the future gives up.
    ///
    /// # Errors
    /// The member has stopped, or is not on the roster.
    pub async fn form(&self, roster: BTreeMap<RaftId, Peer>) -> Result<(), RaftFailure> {
        if !roster.contains_key(&self.shared.me.raft_id) {
            return Err(RaftFailure(format!("member {} is not on the roster", self.shared.me.raft_id)));
        }
        let is_first = roster.keys().next() == Some(&self.shared.me.raft_id);
        let patience = if is_first { Duration::ZERO } else { self.shared.settings.formation_patience };
        let act_at = Instant::now() + patience;
        loop {
            if self.is_formed().await? {
                return Ok(());
            }
            if Instant::now() >= act_at && self.may_begin(&roster).await {
                self.begin(&roster).await?;
            } else {
                sleep(GREET_AGAIN).await;
            }
        }
    }

    /// Whether a quorum of the roster answers, and no member is part of a group.
    async fn may_begin(&self, roster: &BTreeMap<RaftId, Peer>) -> bool {
        let voters = [roster.keys().map(|id| id.0).collect::<BTreeSet<u64>>()];
        let mut greeted = BTreeSet::from([self.id()]);
        let others = roster.values().filter(|peer| peer.raft_id != self.shared.me.raft_id);
        let mut answers: FuturesUnordered<_> = others.map(|peer| self.greet(peer)).collect();
        while !quorum::is_quorum(&voters, |voter| greeted.contains(&voter)) {
            match answers.next().await {
                Some(Some((_, Greeting { is_formed: true }))) | None => return false,
                Some(Some((member, Greeting { is_formed: false }))) => drop(greeted.insert(member)),
                Some(None) => {}
            }
        }
        true
    }

    async fn greet(&self, peer: &Peer) -> Option<(u64, Greeting)> {
        let greeting = self.shared.network.call(peer, RaftCallKind::Greet, (), GREET_TIMEOUT).await.ok()?;
        Some((peer.raft_id.0, greeting))
    }

    /// Writes the first entry and stands for election.
    async fn begin(&self, roster: &BTreeMap<RaftId, Peer>) -> Result<(), RaftFailure> {
        let members: BTreeMap<u64, Member> =
            roster.iter().map(|(id, peer)| (id.0, Member(Some(peer.clone())))).collect();
        match self.shared.core.initialize(members).await {
            Ok(()) => {
                tracing::info!(members = roster.len(), "formed a new group");
                Ok(())
            }
            // Another member was faster and has asked for a vote or sent its first entry.
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                sleep(GREET_AGAIN).await;
                Ok(())
            }
            Err(RaftError::APIError(error @ InitializeError::NotInMembers(_))) => Err(RaftFailure(error.to_string())),
            Err(RaftError::Fatal(fatal)) => Err(RaftFailure(fatal.to_string())),
        }
    }
}
