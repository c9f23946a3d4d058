//! What an agent and the dispatcher say to each other.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::Stream;
use model::{HeartbeatRequest, HeartbeatResponse, SessionMessage, SessionRequest};
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

/// What the dispatcher does for agents.
#[async_trait]
pub trait DispatcherService: Send + Sync + 'static {
    /// Opens a session. Any node; [`crate::not_leader`] where this manager does not lead.
    async fn session(&self, caller: PeerIdentity, request: SessionRequest) -> Result<SessionStream, Status>;

    /// Keeps a session alive. Any node; the leader only.
    async fn heartbeat(&self, caller: PeerIdentity, request: HeartbeatRequest) -> Result<HeartbeatResponse, Status>;
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
}
