//! The beat of a member: heartbeats while it leads, the state of the group, the length of the log.
//!
//! One timer drives all of it and measures by itself how late the process is woken.

use std::sync::atomic::Ordering;

use openraft::ServerState;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::sync::lock;
use crate::types::Metrics;
use crate::{Raft, RaftFailure};

impl Raft {
    /// Heartbeats, elections and log bounds, until cancelled.
    ///
    /// # Errors
    /// The member cannot go on: its disk failed, or it met an entry that it cannot apply.
    pub async fn run(&self, cancel: CancellationToken) -> Result<(), RaftFailure> {
        tokio::select! {
            () = cancel.cancelled() => Ok(()),
            failure = self.follow_core() => Err(failure),
            failure = self.beat() => Err(failure),
            failure = self.keep_a_leader() => Err(failure),
        }
    }

    /// Takes over what openraft says of itself as it says it.
    async fn follow_core(&self) -> RaftFailure {
        let mut metrics = self.shared.core.metrics();
        loop {
            let failure = metrics.borrow_and_update().running_state.clone().err();
            self.refresh_status();
            if let Some(fatal) = failure {
                return RaftFailure(fatal.to_string());
            }
            if metrics.changed().await.is_err() {
                return RaftFailure("it was stopped".to_owned());
            }
        }
    }

    async fn beat(&self) -> RaftFailure {
        let mut due = Instant::now();
        loop {
            due += self.shared.settings.heartbeat;
            sleep_until(due).await;
            let now = Instant::now();
            lock(&self.shared.delays).observe(due, now);
            due = due.max(now - self.shared.settings.heartbeat);

            self.refresh_status();
            let metrics = self.metrics();
            if metrics.state == ServerState::Leader {
                if !self.shared.is_muted.load(Ordering::Relaxed)
                    && let Err(fatal) = self.shared.core.trigger().heartbeat().await
                {
                    return RaftFailure(fatal.to_string());
                }
                self.settle_members_if_left_open(&metrics).await;
            }
            if let Err(failure) = self.bound_log(&metrics).await {
                return failure;
            }
        }
    }

    /// Takes a snapshot when the log has too many bytes, and cuts it behind one. By entries openraft does both itself.
    async fn bound_log(&self, metrics: &Metrics) -> Result<(), RaftFailure> {
        let settings = &self.shared.settings;
        let snapshot = metrics.snapshot.map(|id| id.index);
        let trigger = self.shared.core.trigger();
        let bounded = if self.shared.log.is_snapshot_due(settings, snapshot) {
            trigger.snapshot().await
        } else if let Some(upto) = snapshot.and_then(|snapshot| self.shared.log.purge_point(settings, snapshot)) {
            trigger.purge_log(upto).await
        } else {
            Ok(())
        };
        bounded.map_err(|fatal| RaftFailure(fatal.to_string()))
    }
}
