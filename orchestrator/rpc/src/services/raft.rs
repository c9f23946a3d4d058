//! Raft's own messages between managers. Never forwarded: each is for the manager it reaches.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tonic::Status;
use tonic::body::Body;

use super::{Endpoint, ResponseFuture, Server, identified, invoke, unary, unknown_method};
use crate::Channel;
use crate::codec::MAX_MESSAGE_SIZE;
use crate::peer::{Access, PeerIdentity};

/// A message of raft; what it holds is raft's alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftCall {
    /// Which message it is.
    pub kind: u8,
    /// The message.
    pub payload: Bytes,
}

/// The answer to a message of raft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftReply {
    /// The answer.
    pub payload: Bytes,
}

/// What a manager does with the messages of raft.
#[async_trait]
pub trait RaftService: Send + Sync + 'static {
    /// Handles one message. Managers only.
    async fn call(&self, caller: PeerIdentity, call: RaftCall) -> Result<RaftReply, Status>;
}

/// Serves raft.
pub fn raft_server<S: RaftService>(service: Arc<S>) -> Server<impl Endpoint> {
    Server::new(RaftEndpoint(service))
}

struct RaftEndpoint<S>(Arc<S>);

impl<S: RaftService> Endpoint for RaftEndpoint<S> {
    const NAME: &'static str = "swarmd.Raft";

    fn call(self: Arc<Self>, method: &str, request: http::Request<Body>) -> ResponseFuture {
        match method {
            "Call" => unary(request, Access::Managers, MAX_MESSAGE_SIZE, |caller, call| async move {
                self.0.call(identified(caller)?, call).await
            }),
            _ => unknown_method(),
        }
    }
}

/// Calls raft on another manager.
#[derive(Debug, Clone)]
pub struct RaftClient(Channel);

impl RaftClient {
    /// A client of the manager that the channel leads to.
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// The manager's refusal, or a broken connection ([`crate::is_answer`] tells which).
    pub async fn call(&self, call: RaftCall) -> Result<RaftReply, Status> {
        invoke(&self.0, "/swarmd.Raft/Call", &call).await
    }
}
