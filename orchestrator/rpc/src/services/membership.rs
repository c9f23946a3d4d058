//! How a manager enters raft and leaves it.

use std::sync::Arc;

use async_trait::async_trait;
use model::{JoinRaftRequest, JoinRaftResponse};
use tonic::Status;
use tonic::body::Body;

use super::{Empty, Endpoint, ResponseFuture, Server, identified, invoke, unary, unknown_method};
use crate::Channel;
use crate::codec::MAX_MESSAGE_SIZE;
use crate::peer::{Access, PeerIdentity};

/// What the leader does for managers that come and go.
#[async_trait]
pub trait MembershipService: Send + Sync + 'static {
    /// Takes the caller into raft. Managers only; [`crate::not_leader`] where this manager does not lead.
    async fn join(&self, caller: PeerIdentity, request: JoinRaftRequest) -> Result<JoinRaftResponse, Status>;

    /// Takes the caller out of raft. Managers only; the leader only.
    async fn leave(&self, caller: PeerIdentity) -> Result<(), Status>;
}

/// Serves membership.
pub fn membership_server<S: MembershipService>(service: Arc<S>) -> Server<impl Endpoint> {
    Server::new(MembershipEndpoint(service))
}

struct MembershipEndpoint<S>(Arc<S>);

impl<S: MembershipService> Endpoint for MembershipEndpoint<S> {
    const NAME: &'static str = "swarmd.Membership";

    fn call(self: Arc<Self>, method: &str, request: http::Request<Body>) -> ResponseFuture {
        match method {
            "Join" => unary(request, Access::Managers, MAX_MESSAGE_SIZE, |caller, join| async move {
                self.0.join(identified(caller)?, join).await
            }),
            "Leave" => unary(request, Access::Managers, MAX_MESSAGE_SIZE, |caller, _: Empty| async move {
                self.0.leave(identified(caller)?).await.map(|()| Empty {})
            }),
            _ => unknown_method(),
        }
    }
}

/// Calls membership on another manager.
#[derive(Debug, Clone)]
pub struct MembershipClient(Channel);

impl MembershipClient {
    /// A client of the manager that the channel leads to.
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Asks to be taken into raft.
    ///
    /// # Errors
    /// The leader's refusal, or a broken connection ([`crate::is_answer`] tells which).
    pub async fn join(&self, request: JoinRaftRequest) -> Result<JoinRaftResponse, Status> {
        invoke(&self.0, "/swarmd.Membership/Join", &request).await
    }

    /// Asks to be taken out of raft.
    ///
    /// # Errors
    /// The leader's refusal, or a broken connection.
    pub async fn leave(&self) -> Result<(), Status> {
        let _: Empty = invoke(&self.0, "/swarmd.Membership/Leave", &Empty {}).await?;
        Ok(())
    }
}
