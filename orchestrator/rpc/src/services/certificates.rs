//! How a node gets its certificate. The one service that answers callers without one.

use std::sync::Arc;

use async_trait::async_trait;
use model::{IssueRequest, IssueResponse, RootsRequest, RootsResponse};
use tonic::Status;
use tonic::body::Body;

use super::{Endpoint, ResponseFuture, Server, invoke, unary, unknown_method};
use crate::Channel;
use crate::peer::{Access, PeerIdentity};

/// The largest request that a caller without certificate may send: a signing request and a token.
const MAX_REQUEST_SIZE: usize = 64 * 1024;

/// What a manager does for nodes that need a certificate.
#[async_trait]
pub trait CertificatesService: Send + Sync + 'static {
    /// Tells the swarm's roots. Anybody may ask.
    async fn roots(&self) -> Result<RootsResponse, Status>;

    /// Signs a key: for the caller's own id where it has a certificate, for a new node where it has a join token.
    async fn issue(&self, caller: Option<PeerIdentity>, request: IssueRequest) -> Result<IssueResponse, Status>;
}

/// Serves certificates.
pub fn certificates_server<S: CertificatesService>(service: Arc<S>) -> Server<impl Endpoint> {
    Server::new(CertificatesEndpoint(service))
}

struct CertificatesEndpoint<S>(Arc<S>);

impl<S: CertificatesService> Endpoint for CertificatesEndpoint<S> {
    const NAME: &'static str = "swarmd.Certificates";

    fn call(self: Arc<Self>, method: &str, request: http::Request<Body>) -> ResponseFuture {
        match method {
            "Roots" => {
                unary(
                    request,
                    Access::Anybody,
                    MAX_REQUEST_SIZE,
                    |_, _: RootsRequest| async move { self.0.roots().await },
                )
            }
            "Issue" => unary(request, Access::Anybody, MAX_REQUEST_SIZE, |caller, issue| async move {
                self.0.issue(caller, issue).await
            }),
            _ => unknown_method(),
        }
    }
}

/// Calls certificates on a manager.
#[derive(Debug, Clone)]
pub struct CertificatesClient(Channel);

impl CertificatesClient {
    /// A client of the manager that the channel leads to.
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Asks for the roots of the swarm.
    ///
    /// # Errors
    /// The manager's refusal, or a broken connection.
    pub async fn roots(&self) -> Result<RootsResponse, Status> {
        invoke(&self.0, "/swarmd.Certificates/Roots", &RootsRequest {}).await
    }

    /// Asks for a certificate.
    ///
    /// # Errors
    /// The manager's refusal, or a broken connection ([`crate::is_answer`] tells which).
    pub async fn issue(&self, request: IssueRequest) -> Result<IssueResponse, Status> {
        invoke(&self.0, "/swarmd.Certificates/Issue", &request).await
    }
}
