//! The services between nodes: what one may ask, who may ask it, and the plumbing that all of them share.
//!
//! A service is a trait (what the node does), a function that makes a server of it, and a client. Access is checked
//! here, before a byte of the message is read, so no implementation can forget it.

mod certificates;
mod control;
mod dispatcher;
mod image_guide;
mod images;
mod logs;
mod membership;
mod raft;

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use http::uri::PathAndQuery;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status, Streaming};
use tower::Service;

use crate::Channel;
use crate::codec::{ClientCodec, MAX_MESSAGE_SIZE, ServerCodec, encode};
use crate::peer::{Access, PeerIdentity};

pub use certificates::{CertificatesClient, CertificatesService, certificates_server};
pub use control::{ControlCall, ControlClient, ControlService, control_server};
pub use dispatcher::{
    AssignmentStream, Assignments, DispatcherClient, DispatcherService, SessionMessages, SessionStream,
    dispatcher_server,
};
pub use image_guide::{ImageGuideClient, ImageGuideService, image_guide_server};
pub use images::{BlobPiece, BlobPieces, BlobStream, ImagesClient, ImagesService, images_server};
pub use logs::{LogCall, LogClient, LogMessageStream, LogOrderStream, LogOrders, LogService, log_server};
pub use membership::{MembershipClient, MembershipService, membership_server};
pub use raft::{RaftCall, RaftClient, RaftReply, RaftService, raft_server};

type ResponseFuture = Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

/// The methods of one service. Implemented in this crate only; [`Server`] carries it.
pub trait Endpoint: Send + Sync + 'static {
    /// The service's name on the wire.
    const NAME: &'static str;

    /// Runs a method.
    fn call(self: Arc<Self>, method: &str, request: http::Request<Body>) -> ResponseFuture;
}

/// A service in the form that [`tonic::service::Routes`] takes.
pub struct Server<E>(Arc<E>);

impl<E: Endpoint> Server<E> {
    fn new(endpoint: E) -> Self {
        Self(Arc::new(endpoint))
    }
}

impl<E> Clone for Server<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: Endpoint> fmt::Debug for Server<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Server").field(&E::NAME).finish()
    }
}

impl<E: Endpoint> NamedService for Server<E> {
    const NAME: &'static str = E::NAME;
}

impl<E: Endpoint> Service<http::Request<Body>> for Server<E> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let response = Arc::clone(&self.0).call(&method, request);
        Box::pin(async move { Ok(response.await) })
    }
}

/// A request without content; a map, so that fields can be added.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Empty {}

/// Serves one method: one message in, one out.
fn unary<Req, Res, F>(
    request: http::Request<Body>,
    access: Access,
    limit: usize,
    handler: impl FnOnce(Option<PeerIdentity>, Req) -> F + Send + 'static,
) -> ResponseFuture
where
    Req: DeserializeOwned + Send + Sync + 'static,
    Res: Serialize + Send + Sync + 'static,
    F: Future<Output = Result<Res, Status>> + Send + 'static,
{
    Box::pin(async move {
        let caller = request.extensions().get::<PeerIdentity>().cloned();
        if let Err(status) = access.check(caller.as_ref()) {
            return status.into_http();
        }
        let mut handler = Some(handler);
        let service = tower::service_fn(move |request: Request<Req>| {
            let run = handler.take().map(|handler| handler(caller.clone(), request.into_inner()));
            async move { run.ok_or_else(|| Status::internal("a call ran twice"))?.await.map(Response::new) }
        });
        tonic::server::Grpc::new(ServerCodec::<Res, Req>::default())
            .max_decoding_message_size(limit)
            .max_encoding_message_size(MAX_MESSAGE_SIZE)
            .unary(service, request)
            .await
    })
}

/// Serves one method: one message in, a stream out.
fn streaming<Req, Res, S, F>(
    request: http::Request<Body>,
    access: Access,
    handler: impl FnOnce(Option<PeerIdentity>, Req) -> F + Send + 'static,
) -> ResponseFuture
where
    Req: DeserializeOwned + Send + Sync + 'static,
    Res: Serialize + Send + Sync + 'static,
    S: Stream<Item = Result<Res, Status>> + Send + 'static,
    F: Future<Output = Result<S, Status>> + Send + 'static,
{
    Box::pin(async move {
        let caller = request.extensions().get::<PeerIdentity>().cloned();
        if let Err(status) = access.check(caller.as_ref()) {
            return status.into_http();
        }
        let mut handler = Some(handler);
        let service = tower::service_fn(move |request: Request<Req>| {
            let run = handler.take().map(|handler| handler(caller.clone(), request.into_inner()));
            async move { run.ok_or_else(|| Status::internal("a call ran twice"))?.await.map(Response::new) }
        });
        tonic::server::Grpc::new(ServerCodec::<Res, Req>::default())
            .max_decoding_message_size(MAX_MESSAGE_SIZE)
            .max_encoding_message_size(MAX_MESSAGE_SIZE)
            .server_streaming(service, request)
            .await
    })
}

/// The answer to a method that does not exist: an older peer asked by a newer one.
fn unknown_method() -> ResponseFuture {
    Box::pin(async { Status::unimplemented("this node does not know the method").into_http() })
}

/// The caller of a method that only nodes may call.
fn identified(caller: Option<PeerIdentity>) -> Result<PeerIdentity, Status> {
    caller.ok_or_else(|| Status::internal("the access check let a caller without certificate pass"))
}

/// Calls a method: one message out, one in.
async fn invoke<Req, Res>(channel: &Channel, path: &'static str, message: &Req) -> Result<Res, Status>
where
    Req: Serialize + Sync,
    Res: DeserializeOwned + Send + Sync + 'static,
{
    let request = Request::new(encode(message)?);
    let response = client(channel).unary(request, PathAndQuery::from_static(path), ClientCodec::default()).await?;
    Ok(response.into_inner())
}

/// Calls a method: one message out, a stream in.
async fn invoke_streaming<Req, Res>(
    channel: &Channel,
    path: &'static str,
    message: &Req,
) -> Result<Streaming<Res>, Status>
where
    Req: Serialize + Sync,
    Res: DeserializeOwned + Send + Sync + 'static,
{
    let request = Request::new(encode(message)?);
    let path = PathAndQuery::from_static(path);
    let response = client(channel).server_streaming(request, path, ClientCodec::default()).await?;
    Ok(response.into_inner())
}

fn client(channel: &Channel) -> tonic::client::Grpc<Channel> {
    tonic::client::Grpc::with_origin(channel.clone(), channel.origin())
        .max_decoding_message_size(MAX_MESSAGE_SIZE)
        .max_encoding_message_size(MAX_MESSAGE_SIZE)
}
