//! Hands leadership over on purpose, so that no write fails.
//!
//! ```text
//! shut the gate ─> what is inside commits ─> the successor has it all ─> heartbeats off ─> the lease runs out
//!     ─> the successor stands for election ─> the gate opens: who waited learns of the new leader
//! ```
//! openraft 0.9 has no transfer of its own. Voters refuse a candidate until the lease of the leader has run out,
//! hence the pause; it is shorter than the silence after which anybody else would stand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::sync::lock;
use crate::types::Metrics;
use crate::{Peer, Raft, RaftCallKind, TransferError, TransportError};

/// A message that was sent before the silence may be this late.
const LEASE_MARGIN: Duration = Duration::from_millis(25);
/// The most that measured delays add to it.
const MAX_LATENESS: Duration = Duration::from_millis(150);

/// Heartbeats are off until it is dropped.
struct Muted<'m>(&'m AtomicBool);

impl<'m> Muted<'m> {
    fn new(is_muted: &'m AtomicBool) -> Self {
        is_muted.store(true, Ordering::Relaxed);
        Self(is_muted)
    }
}

impl Drop for Muted<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Raft {
    /// Hands leadership over to the most caught-up voter, and returns it. Proposals and reads wait meanwhile.
    ///
    /// # Errors
    /// Nobody could take over, or not in time: this member leads on, and what waited goes through.
    pub async fn transfer_leadership(&self) -> Result<Peer, TransferError> {
        self.must_lead().map_err(|_| TransferError::NotLeader)?;
        let transferred = timeout(self.shared.settings.handover_timeout, self.transfer()).await;
        let result = transferred.unwrap_or(Err(TransferError::TimedOut));
        match &result {
            Ok(leader) => tracing::info!(leader = %leader.raft_id, "handed leadership over"),
            Err(error) => tracing::warn!(%error, "leadership was not handed over"),
        }
        result
    }

    async fn transfer(&self) -> Result<Peer, TransferError> {
        let _changing = self.shared.changing.lock().await;
        let _shut = self.shared.gate.shut().ok_or(TransferError::TimedOut)?;
        self.shared.gate.emptied().await;
        let successor = self.caught_up_successor().await?;
        let _muted = Muted::new(&self.shared.is_muted);
        self.lease_run_out().await;

        let asked: Result<bool, TransportError> = self
            .shared
            .network
            .call(&successor, RaftCallKind::TakeOver, (), self.shared.settings.handover_timeout)
            .await;
        if !matches!(asked, Ok(true)) {
            return Err(TransferError::TimedOut);
        }
        let mut status = self.status();
        let replaced =
            status.wait_for(|status| status.leader.as_ref().is_some_and(|leader| *leader != self.shared.me)).await;
        let leader = replaced.map_err(|_| TransferError::Stopped)?.leader.clone();
        leader.ok_or(TransferError::Stopped)
    }

    /// Waits until the reachable voter that has most of the log has all of it.
    async fn caught_up_successor(&self) -> Result<Peer, TransferError> {
        let mut metrics = self.shared.core.metrics();
        loop {
            let now = metrics.borrow_and_update().clone();
            let (peer, is_caught_up) = self.best_successor(&now).ok_or(TransferError::NoCandidate)?;
            if is_caught_up {
                return Ok(peer);
            }
            metrics.changed().await.map_err(|_| TransferError::Stopped)?;
        }
    }

    /// The reachable voter that has most of the log, and whether it has all of it.
    fn best_successor(&self, metrics: &Metrics) -> Option<(Peer, bool)> {
        let unreachable = self.unreachable();
        let membership = metrics.membership_config.membership();
        let replication = metrics.replication.as_ref()?;
        let candidates = membership.voter_ids().filter(|voter| *voter != self.id());
        let peers = candidates.filter_map(|voter| membership.get_node(&voter)?.0.clone());
        let reachable = peers.filter(|peer| !unreachable.contains(&peer.raft_id));
        let matched = |peer: &Peer| replication.get(&peer.raft_id.0).copied().flatten().map(|id| id.index);
        let best = reachable.max_by_key(matched)?;
        let is_caught_up = matched(&best) >= metrics.last_log_index;
        Some((best, is_caught_up))
    }

    /// Waits until no voter is bound to this leader any more.
    async fn lease_run_out(&self) {
        let lateness = lock(&self.shared.delays).stretch().min(MAX_LATENESS);
        let lease = self.shared.settings.lease + LEASE_MARGIN + lateness;
        loop {
            let quiet = self.shared.contacts.quiet(Instant::now());
            if quiet >= lease {
                return;
            }
            sleep(lease.saturating_sub(quiet)).await;
        }
    }
}
