//! How output of tasks travels: the leader tells nodes what to read, they publish it, and managers read it.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::Stream;
use model::{Caller, LogBatch, LogMessage, LogOrder, LogRequest};
use serde::{Deserialize, Serialize};
use tonic::body::Body;
use tonic::{Status, Streaming};

use super::{
    Empty, Endpoint, ResponseFuture, Server, identified, invoke, invoke_streaming, streaming, unary, unknown_method,
};
use crate::Channel;
use crate::codec::MAX_MESSAGE_SIZE;
use crate::peer::{Access, PeerIdentity};

/// What a node is told to read, as the leader gives it. Dropped when the node is gone.
pub type LogOrderStream = Pin<Box<dyn Stream<Item = Result<LogOrder, Status>> + Send>>;

/// What a node is told to read, as the node gets it.
pub type LogOrders = Streaming<LogOrder>;

/// Output, as the leader gives it. Dropped when the reader is gone.
pub type LogMessageStream = Pin<Box<dyn Stream<Item = Result<LogMessage, Status>> + Send>>;

/// A wish to read output, and who has it at the manager that forwards it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCall {
    /// Who wants to read.
    pub caller: Caller,
    /// What.
    pub request: LogRequest,
}

/// What the leader does for those who keep output and those who read it.
#[async_trait]
pub trait LogService: Send + Sync + 'static {
    /// Tells a node what to read. Any node; [`crate::not_leader`] where this manager does not lead.
    async fn listen(&self, caller: PeerIdentity) -> Result<LogOrderStream, Status>;

    /// Takes what a node has read; returns once there is room for more of it. Any node, about its own tasks; the leader
    /// only.
    async fn publish(&self, caller: PeerIdentity, batch: LogBatch) -> Result<(), Status>;

    /// Gives output. Managers only; the leader only.
    async fn read(&self, caller: PeerIdentity, call: LogCall) -> Result<LogMessageStream, Status>;
}

/// Serves output.
pub fn log_server<S: LogService>(service: Arc<S>) -> Server<impl Endpoint> {
    Server::new(LogEndpoint(service))
}

struct LogEndpoint<S>(Arc<S>);

impl<S: LogService> Endpoint for LogEndpoint<S> {
    const NAME: &'static str = "swarmd.Logs";

    fn call(self: Arc<Self>, method: &str, request: http::Request<Body>) -> ResponseFuture {
        match method {
            "Listen" => {
                streaming(
                    request,
                    Access::Nodes,
                    |caller, _: Empty| async move { self.0.listen(identified(caller)?).await },
                )
            }
            "Publish" => unary(request, Access::Nodes, MAX_MESSAGE_SIZE, |caller, batch| async move {
                self.0.publish(identified(caller)?, batch).await
            }),
            "Read" => streaming(request, Access::Managers, |caller, call| async move {
                self.0.read(identified(caller)?, call).await
            }),
            _ => unknown_method(),
        }
    }
}

/// Calls on the leader for output.
#[derive(Debug, Clone)]
pub struct LogClient(Channel);

impl LogClient {
    /// A client of the manager that the channel leads to.
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Asks what to read; it ends when the stream is dropped.
    ///
    /// # Errors
    /// The leader's refusal, or a broken connection ([`crate::is_answer`] tells which).
    pub async fn listen(&self) -> Result<LogOrders, Status> {
        invoke_streaming(&self.0, "/swarmd.Logs/Listen", &Empty {}).await
    }

    /// Publishes what was read; returns once more may follow, which is when the reader has come so far.
    ///
    /// # Errors
    /// The leader's refusal, or a broken connection: then it may have been taken or not.
    pub async fn publish(&self, batch: LogBatch) -> Result<(), Status> {
        invoke(&self.0, "/swarmd.Logs/Publish", &batch).await
    }

    /// Reads output; it ends when the stream is dropped. Where nobody reads it, it fills the connection: a channel of
    /// its own keeps other calls out of its way.
    ///
    /// # Errors
    /// The leader's refusal, or a broken connection.
    pub async fn read(&self, call: LogCall) -> Result<Streaming<LogMessage>, Status> {
        invoke_streaming(&self.0, "/swarmd.Logs/Read", &call).await
    }
}
