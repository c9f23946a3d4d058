//! What an agent and the dispatcher say to each other.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::Stream;
use model::{
    AssignmentsMessage, AssignmentsRequest, HeartbeatRequest, HeartbeatResponse, SessionMessage, SessionRequest,
    TaskReports,
};
use tonic::body::Body;
use tonic::{Status, Streaming};

use super::{Endpoint, ResponseFuture, Server, identified, invoke, invoke_streaming, streaming, unary, unknown_method};
use crate::Channel;
use crate::codec::MAX_MESSAGE_SIZE;
use crate::peer::{Access, PeerIdentity};

/// The messages of a session, as the dispatcher gives them. Dropped when the agent is gone.
pub type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionMessage, Status>> + Send>>;

/// The messages of a session, as the agent gets them.
pub type SessionMessages = Streaming<SessionMessage>;

/// A node's tasks, as the dispatcher gives them. Dropped when the agent is gone.
pub type AssignmentStream = Pin<Box<dyn Stream<Item = Result<AssignmentsMessage, Status>> + Send>>;

/// A node's tasks, as the agent gets them.
pub type Assignments = Streaming<AssignmentsMessage>;

/// What the dispatcher does for agents.
#[async_trait]
pub trait DispatcherService: Send + Sync + 'static {
    /// Opens a session. Any node; [`crate::not_leader`] where this manager does not lead.
    async fn session(&self, caller: PeerIdentity, request: SessionRequest) -> Result<SessionStream, Status>;

    /// Keeps a session alive. Any node; the leader only.
    async fn heartbeat(&self, caller: PeerIdentity, request: HeartbeatRequest) -> Result<HeartbeatResponse, Status>;

    /// Gives a node its tasks, as part of its session. Any node; the leader only.
    async fn assignments(&self, caller: PeerIdentity, request: AssignmentsRequest) -> Result<AssignmentStream, Status>;

    /// Takes what a node observed of its tasks; returns once it is committed. Any node; the leader only.
    async fn report_tasks(&self, caller: PeerIdentity, reports: TaskReports) -> Result<(), Status>;
}

/// Serves the dispatcher.
pub fn dispatcher_server<S: DispatcherService>(service: Arc<S>) -> Server<impl Endpoint> {
    Server::new(DispatcherEndpoint(service))
}

struct DispatcherEndpoint<S>(Arc<S>);

impl<S: DispatcherService> Endpoint for DispatcherEndpoint<S> {
    const NAME: &'static str = "swarmd.Dispatcher";

    fn call(self: Arc<Self>, method: &str, request: http::Request<Body>) -> ResponseFuture {
        match method {
            "Session" => streaming(request, Access::Nodes, |caller, session| async move {
                self.0.session(identified(caller)?, session).await
            }),
            "Heartbeat" => unary(request, Access::Nodes, MAX_MESSAGE_SIZE, |caller, heartbeat| async move {
                self.0.heartbeat(identified(caller)?, heartbeat).await
            }),
            "Assignments" => streaming(request, Access::Nodes, |caller, request| async move {
                self.0.assignments(identified(caller)?, request).await
            }),
            "ReportTasks" => unary(request, Access::Nodes, MAX_MESSAGE_SIZE, |caller, reports| async move {
                self.0.report_tasks(identified(caller)?, reports).await
            }),
            _ => unknown_method(),
        }
    }
}

/// Calls the dispatcher on a manager.
#[derive(Debug, Clone)]
pub struct DispatcherClient(Channel);

impl DispatcherClient {
    /// A client of the manager that the channel leads to.
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Opens a session; it ends when the stream is dropped.
    ///
    /// # Errors
    /// The dispatcher's refusal, or a broken connection ([`crate::is_answer`] tells which).
    pub async fn session(&self, request: SessionRequest) -> Result<SessionMessages, Status> {
        invoke_streaming(&self.0, "/swarmd.Dispatcher/Session", &request).await
    }

    /// Keeps a session alive.
    ///
    /// # Errors
    /// The dispatcher's refusal, or a broken connection.
    pub async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatResponse, Status> {
        invoke(&self.0, "/swarmd.Dispatcher/Heartbeat", &request).await
    }

    /// Asks for this node's tasks; it ends when the stream is dropped.
    ///
    /// # Errors
    /// The dispatcher's refusal, or a broken connection.
    pub async fn assignments(&self, request: AssignmentsRequest) -> Result<Assignments, Status> {
        invoke_streaming(&self.0, "/swarmd.Dispatcher/Assignments", &request).await
    }

    /// Tells what this node observed of its tasks; returns once it is committed.
    ///
    /// # Errors
    /// The dispatcher's refusal, or a broken connection: then it may have been committed or not.
    pub async fn report_tasks(&self, reports: TaskReports) -> Result<(), Status> {
        invoke(&self.0, "/swarmd.Dispatcher/ReportTasks", &reports).await
    }
}
