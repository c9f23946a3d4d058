//! What managers ask of the leader on behalf of an operator.

use std::sync::Arc;

use async_trait::async_trait;
use model::{Caller, ControlRequest, ControlResponse, ReadPoint};
use serde::{Deserialize, Serialize};
use tonic::Status;
use tonic::body::Body;

use super::{Empty, Endpoint, ResponseFuture, Server, identified, invoke, unary, unknown_method};
use crate::Channel;
use crate::codec::MAX_MESSAGE_SIZE;
use crate::peer::{Access, PeerIdentity};

/// A change, and who asked for it at the manager that forwards it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlCall {
    /// Who asked.
    pub caller: Caller,
    /// What for.
    pub request: ControlRequest,
}

/// What the leader does for the other managers.
#[async_trait]
pub trait ControlService: Send + Sync + 'static {
    /// Executes a change. Managers only; [`crate::not_leader`] where this manager does not lead.
    async fn execute(&self, caller: PeerIdentity, call: ControlCall) -> Result<ControlResponse, Status>;

    /// Gives a point that a linearizable read waits for. Managers only; the leader only.
    async fn read_point(&self, caller: PeerIdentity) -> Result<ReadPoint, Status>;
}

/// Serves control.
pub fn control_server<S: ControlService>(service: Arc<S>) -> Server<impl Endpoint> {
    Server::new(ControlEndpoint(service))
}

struct ControlEndpoint<S>(Arc<S>);

impl<S: ControlService> Endpoint for ControlEndpoint<S> {
    const NAME: &'static str = "swarmd.Control";

    fn call(self: Arc<Self>, method: &str, request: http::Request<Body>) -> ResponseFuture {
        match method {
            "Execute" => unary(request, Access::Managers, MAX_MESSAGE_SIZE, |caller, call| async move {
                self.0.execute(identified(caller)?, call).await
            }),
            "ReadPoint" => unary(request, Access::Managers, MAX_MESSAGE_SIZE, |caller, _: Empty| async move {
                self.0.read_point(identified(caller)?).await
            }),
            _ => unknown_method(),
        }
    }
}

/// Calls control on another manager.
#[derive(Debug, Clone)]
pub struct ControlClient(Channel);

impl ControlClient {
    /// A client of the manager that the channel leads to.
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Has the leader execute a change.
    ///
    /// # Errors
    /// The leader's refusal, or a broken connection ([`crate::is_answer`] tells which).
    pub async fn execute(&self, call: ControlCall) -> Result<ControlResponse, Status> {
        invoke(&self.0, "/swarmd.Control/Execute", &call).await
    }

    /// Asks the leader for a read point.
    ///
    /// # Errors
    /// The leader's refusal, or a broken connection.
    pub async fn read_point(&self) -> Result<ReadPoint, Status> {
        invoke(&self.0, "/swarmd.Control/ReadPoint", &Empty {}).await
    }
}
