//! Keeps the sessions of all agents: tells them what they must know, and the store how they fare.
//!
//! One instance a manager; it takes sessions only while this manager leads, and each term begins with an empty table.
//! A session is a stream: its first message goes out at once, another at every change that concerns the node. It
//! ends when the agent is gone, when the node opens another one, when the node is removed, or with the term.
//!
//! A node's tasks come in a stream of their own, which belongs to its session; what it observed of them goes to the store
//! as it comes.
//!
//! Reads the swarm, nodes, tasks. Writes status and description of nodes, and what is observed of tasks. Never a role, a
//! spec, a membership or a wish.

mod announce;
mod assignments;
mod down;
mod reports;
mod sessions;
mod statuses;
mod term;
mod work;

pub use down::{RESTART_ALLOWANCE, Session, Signs, TERM_GRACE, Verdict, judge};
pub(crate) use term::DispatcherTerm;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use engine::Lease;
use model::{
    AssignmentsRequest, Cluster, HeartbeatRequest, HeartbeatResponse, NodeHealth, Role, SessionId, SessionMessage,
    SessionRequest, SwarmError, TaskReports, milliseconds,
};
use raft::Raft;
use rand::RngExt;
use rand::rngs::StdRng;
use rpc::{AssignmentStream, DispatcherService, PeerIdentity, SessionStream};
use store::Store;
use tokio::time::Instant;
use tonic::Status;

use crate::words::{removed, unavailable};
use statuses::StatusChange;

/// Docker's default heartbeat period; taken where the setting is 0.
const DEFAULT_PERIOD: Duration = Duration::from_secs(5);

/// The dispatcher of one manager.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    store: Store,
    raft: Raft,
    lease: Arc<Lease>,
    rng: Mutex<StdRng>,
    /// The term in which this manager leads, while it does.
    term: Mutex<Option<Arc<DispatcherTerm>>>,
}

impl Dispatcher {
    /// A dispatcher that takes no sessions until a term begins; `rng` draws session ids and the spread of heartbeats.
    pub(crate) fn new(store: Store, raft: Raft, lease: Arc<Lease>, rng: StdRng) -> Self {
        Self { store, raft, lease, rng: Mutex::new(rng), term: Mutex::new(None) }
    }

    /// Takes sessions from now on.
    pub(crate) fn begin(&self, term: Arc<DispatcherTerm>) {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner) = Some(term);
    }

    /// Takes no more sessions; the open ones end with the term's token.
    pub(crate) fn end(&self) {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn term(&self) -> Result<Arc<DispatcherTerm>, Status> {
        let term = self.term.lock().unwrap_or_else(PoisonError::into_inner).clone();
        term.ok_or_else(|| {
            let status = self.raft.status();
            let status = status.borrow();
            rpc::not_leader(status.leader.as_ref().filter(|_| !status.is_leader).map(|leader| leader.addr))
        })
    }

    fn register(
        &self,
        term: &Arc<DispatcherTerm>,
        caller: &PeerIdentity,
        request: SessionRequest,
    ) -> Result<SessionStream, SwarmError> {
        let view = self.store.view();
        if view.cluster().is_none() {
            return Err(unavailable("the swarm is being formed"));
        }
        if view.node(&caller.node_id).is_none() {
            return Err(removed(&caller.node_id));
        }
        let session = SessionId::generate(&mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner));
        let stream = term.open(&view, &caller.node_id, caller.role, &session)?;
        let change = StatusChange {
            state: NodeHealth::Ready,
            message: String::new(),
            addr: Some(request.addr.ip().to_string()),
            description: Some(request.description),
            tls: None,
            is_worker: caller.role == Role::Worker,
        };
        term.line().push(caller.node_id.clone(), change);
        Ok(stream)
    }

    /// The period until the next heartbeat: a tenth more or less, so that agents do not beat together.
    fn spread(&self, period: Duration) -> Duration {
        let factor = self.rng.lock().unwrap_or_else(PoisonError::into_inner).random_range(0.9..=1.1);
        period.mul_f64(factor)
    }
}

/// How often agents shall beat.
fn heartbeat_period(cluster: &Cluster) -> Duration {
    match u64::try_from(cluster.spec.dispatcher.heartbeat_period) {
        Ok(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds),
        Ok(_) | Err(_) => DEFAULT_PERIOD,
    }
}

#[async_trait]
impl DispatcherService for Dispatcher {
    async fn session(&self, caller: PeerIdentity, request: SessionRequest) -> Result<SessionStream, Status> {
        let term = self.term()?;
        self.register(&term, &caller, request).map_err(rpc::to_status)
    }

    async fn heartbeat(&self, caller: PeerIdentity, request: HeartbeatRequest) -> Result<HeartbeatResponse, Status> {
        let term = self.term()?;
        let told = request.lease_left_ms;
        term.beat(&caller, request, Instant::now()).map_err(rpc::to_status)?;
        // Once it is known to be a member that says so.
        if let Some(left) = told {
            self.lease.hear(Duration::from_millis(left));
        }
        let period = self.store.view().cluster().map_or(DEFAULT_PERIOD, |cluster| heartbeat_period(cluster));
        let period_ms = milliseconds(self.spread(period));
        Ok(HeartbeatResponse { period_ms, lease_left_ms: self.lease.left().map(milliseconds) })
    }

    async fn assignments(&self, caller: PeerIdentity, request: AssignmentsRequest) -> Result<AssignmentStream, Status> {
        self.term()?.assign(&caller.node_id, &request.session_id).map_err(rpc::to_status)
    }

    async fn report_tasks(&self, caller: PeerIdentity, reports: TaskReports) -> Result<(), Status> {
        self.term()?.report(&caller.node_id, reports).await.map_err(rpc::to_status)
    }
}

/// A message, or the refusal that ends a stream.
type Item = Result<SessionMessage, Status>;
