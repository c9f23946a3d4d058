//! Reads and writes on any manager: a follower asks the leader, and outlives its change.
//!
//! - A read is linearizable: the leader names a point, this manager waits until it has applied it, and reads its
//!   own store.
//! - A write is executed by the leader, with the identity of who asked. When the leader changes under it, it is tried
//!   on the next one; that it was done already is detected, so that none is done twice and none is denied wrongly.
//! - A call to a leader that hangs is given up as soon as another leader is known. All of it is bounded.
//!
//! Reads the swarm, nodes and services. Writes nothing by itself. Never decides whether a change is allowed.

mod done;
mod logs;

use std::sync::Arc;
use std::time::Duration;

use model::{Caller, ControlRequest, ControlResponse, RaftId, ReadPoint, ServiceId, SwarmError};
use raft::{Peer, ProposeError, Raft, RaftStatus};
use rpc::{Connector, ControlCall, ControlClient, TlsState};
use store::{Snapshot, Store};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use crate::control::Control;
use crate::logs::LogBroker;
use crate::words::unavailable;
use done::is_done;

/// How long a write may take, all tries together.
const WRITE_LIMIT: Duration = Duration::from_secs(20);
/// How long a read may take, all tries together: an election and its reserve.
const READ_LIMIT: Duration = Duration::from_secs(8);
/// Between two tries where no event says when the next one is worth it.
const PAUSE: Duration = Duration::from_millis(50);

/// A linearizable view of the swarm.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The state, with every write in it that was acknowledged before the read began.
    pub snapshot: Snapshot,
    /// The leader.
    pub leader: RaftId,
    /// Those that the leader cannot reach.
    pub unreachable: Vec<RaftId>,
}

/// Reads and writes of one manager. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access(Arc<AccessParts>);

/// What access to the swarm stands on.
#[derive(Debug)]
pub(crate) struct AccessParts {
    pub(crate) me: RaftId,
    pub(crate) raft: Raft,
    pub(crate) store: Store,
    pub(crate) control: Control,
    pub(crate) logs: Arc<LogBroker>,
    pub(crate) connector: Connector,
    /// For connections that nothing else uses.
    pub(crate) tls: TlsState,
}

/// What one try came to.
enum Try<T> {
    /// An answer for the caller.
    Answered(Result<T, SwarmError>),
    /// Not done, and worth another try.
    Again,
    /// Perhaps done; the next try must find out.
    Uncertain(SwarmError),
}

impl Access {
    pub(crate) fn new(parts: AccessParts) -> Self {
        Self(Arc::new(parts))
    }

    /// A linearizable read.
    ///
    /// # Errors
    /// In Docker's words where the swarm has no leader.
    pub async fn read(&self) -> Result<Reading, SwarmError> {
        self.read_until(Instant::now() + READ_LIMIT).await
    }

    /// Executes a change, wherever the leader is; on return it is committed, and [`read`](Self::read) sees it.
    ///
    /// # Errors
    /// The rule that forbids it, in Docker's words, or that there is no leader.
    pub async fn control(&self, caller: Caller, request: ControlRequest) -> Result<ControlResponse, SwarmError> {
        let deadline = Instant::now() + WRITE_LIMIT;
        let before = self.0.store.view();
        let mut doubt: Option<SwarmError> = None;
        let mut status = self.0.raft.status();
        loop {
            let leader = self.leader(&mut status, deadline).await.map_err(|error| doubt.clone().unwrap_or(error))?;
            match self.execute_on(&leader, &mut status, deadline, &caller, &request).await {
                Try::Answered(Ok(response)) => return Ok(response),
                Try::Answered(Err(refusal)) => {
                    if doubt.is_some() && is_done(&request, &before, &self.read_until(deadline).await?.snapshot) {
                        return Ok(ControlResponse::Done);
                    }
                    return Err(refusal);
                }
                Try::Again => {}
                Try::Uncertain(error) => doubt = Some(error),
            }
            pause(deadline, &mut status, &leader).await;
        }
    }

    /// Draws the id of a service that is to be created.
    pub fn new_service_id(&self) -> ServiceId {
        self.0.control.draw_service_id()
    }

    async fn read_until(&self, deadline: Instant) -> Result<Reading, SwarmError> {
        let mut status = self.0.raft.status();
        loop {
            let leader = self.leader(&mut status, deadline).await?;
            match self.read_point_of(&leader, &mut status, deadline).await {
                Try::Answered(Ok(point)) => {
                    let applied = self.0.raft.wait_applied(point.index);
                    match tokio::time::timeout_at(deadline, applied).await {
                        Ok(Ok(())) => return Ok(self.reading(point)),
                        Ok(Err(failure)) => return Err(SwarmError::internal(failure.to_string())),
                        Err(_elapsed) => return Err(SwarmError::no_leader()),
                    }
                }
                Try::Answered(Err(refusal)) => return Err(refusal),
                Try::Again | Try::Uncertain(_) => pause(deadline, &mut status, &leader).await,
            }
        }
    }

    fn reading(&self, point: ReadPoint) -> Reading {
        Reading { snapshot: self.0.store.view(), leader: point.leader, unreachable: point.unreachable }
    }

    /// Waits until a leader is known.
    async fn leader(&self, status: &mut watch::Receiver<RaftStatus>, deadline: Instant) -> Result<Peer, SwarmError> {
        let known = tokio::time::timeout_at(deadline, status.wait_for(|status| status.leader.is_some())).await;
        match known {
            Ok(Ok(status)) => status.leader.clone().ok_or_else(SwarmError::no_leader),
            Ok(Err(_closed)) => Err(unavailable("this manager has stopped")),
            Err(_elapsed) => Err(SwarmError::no_leader()),
        }
    }

    async fn execute_on(
        &self,
        leader: &Peer,
        status: &mut watch::Receiver<RaftStatus>,
        deadline: Instant,
        caller: &Caller,
        request: &ControlRequest,
    ) -> Try<ControlResponse> {
        if leader.raft_id == self.0.me {
            return tokio::select! {
                outcome = self.0.control.execute(caller, request.clone()) => classify(outcome),
                () = another_leader(status, leader) => Try::Uncertain(SwarmError::no_leader()),
                () = tokio::time::sleep_until(deadline) => Try::Uncertain(SwarmError::no_leader()),
            };
        }
        let client = ControlClient::new(self.0.connector.channel(leader.addr, Some(leader.node_id.clone())));
        let call = client.execute(ControlCall { caller: caller.clone(), request: request.clone() });
        tokio::select! {
            outcome = tokio::time::timeout_at(deadline, call) => match outcome {
                Ok(Ok(response)) => Try::Answered(Ok(response)),
                Ok(Err(status)) if rpc::is_answer(&status) => classify(Err(rpc::from_status(&status))),
                Ok(Err(status)) => Try::Uncertain(rpc::from_status(&status)),
                Err(_elapsed) => Try::Uncertain(SwarmError::no_leader()),
            },
            () = another_leader(status, leader) => {
                debug!(peer = %leader.node_id, "another leader is known; giving up the call to the former one");
                Try::Uncertain(SwarmError::no_leader())
            }
        }
    }

    async fn read_point_of(
        &self,
        leader: &Peer,
        status: &mut watch::Receiver<RaftStatus>,
        deadline: Instant,
    ) -> Try<ReadPoint> {
        if leader.raft_id == self.0.me {
            return match tokio::time::timeout_at(deadline, self.0.raft.read_point()).await {
                Ok(Ok(point)) => Try::Answered(Ok(point)),
                Ok(Err(ProposeError::Stopped)) => Try::Answered(Err(unavailable("this manager has stopped"))),
                Ok(Err(_)) | Err(_) => Try::Again,
            };
        }
        let client = ControlClient::new(self.0.connector.channel(leader.addr, Some(leader.node_id.clone())));
        tokio::select! {
            outcome = tokio::time::timeout_at(deadline, client.read_point()) => match outcome {
                Ok(Ok(point)) => Try::Answered(Ok(point)),
                Ok(Err(status)) if rpc::is_answer(&status) => classify(Err(rpc::from_status(&status))),
                Ok(Err(_)) | Err(_) => Try::Again,
            },
            () = another_leader(status, leader) => Try::Again,
        }
    }
}

/// "Unavailable" is the only answer after which another leader may say something else.
fn classify<T>(outcome: Result<T, SwarmError>) -> Try<T> {
    match outcome {
        Err(error) if error.kind == model::ErrorKind::Unavailable => Try::Uncertain(error),
        outcome => Try::Answered(outcome),
    }
}

/// Waits until a leader is known that is not this one.
async fn another_leader(status: &mut watch::Receiver<RaftStatus>, leader: &Peer) {
    let is_other = |status: &RaftStatus| status.leader.as_ref().is_some_and(|other| other.raft_id != leader.raft_id);
    if status.wait_for(is_other).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits a moment before the same leader is asked again; not at all where there is another one.
async fn pause(deadline: Instant, status: &mut watch::Receiver<RaftStatus>, leader: &Peer) {
    let until = deadline.min(Instant::now() + PAUSE);
    let _ = tokio::time::timeout_at(until, another_leader(status, leader)).await;
}
