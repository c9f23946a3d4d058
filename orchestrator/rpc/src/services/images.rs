//! What nodes give each other of images (7946/tcp).

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use model::{BlobRequest, FindImage, ImageOffer};
use serde::{Deserialize, Serialize};
use tonic::body::Body;
use tonic::{Status, Streaming};

use super::{Endpoint, ResponseFuture, Server, identified, invoke, invoke_streaming, streaming, unary, unknown_method};
use crate::Channel;
use crate::peer::{Access, PeerIdentity};

/// The longest question: two names.
const MAX_QUESTION: usize = 4096;

/// A piece of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobPiece {
    /// Its bytes.
    pub bytes: Bytes,
}

/// The pieces of a blob, as the node that has it gives them. Dropped when the other one is gone.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<BlobPiece, Status>> + Send>>;

/// The pieces of a blob, as they come.
pub type BlobPieces = Streaming<BlobPiece>;

/// What a node does for the others that lack an image.
#[async_trait]
pub trait ImagesService: Send + Sync + 'static {
    /// Says what this node has of the image of a task of the caller's. Any node; not found where it has nothing.
    async fn find(&self, caller: PeerIdentity, request: FindImage) -> Result<ImageOffer, Status>;

    /// Gives a blob of that image. Any node.
    async fn blob(&self, caller: PeerIdentity, request: BlobRequest) -> Result<BlobStream, Status>;
}

/// Serves images.
pub fn images_server<S: ImagesService>(service: Arc<S>) -> Server<impl Endpoint> {
    Server::new(ImagesEndpoint(service))
}

struct ImagesEndpoint<S>(Arc<S>);

impl<S: ImagesService> Endpoint for ImagesEndpoint<S> {
    const NAME: &'static str = "swarmd.Images";

    fn call(self: Arc<Self>, method: &str, request: http::Request<Body>) -> ResponseFuture {
        match method {
            "Find" => unary(request, Access::Nodes, MAX_QUESTION, |caller, request| async move {
                self.0.find(identified(caller)?, request).await
            }),
            "Blob" => streaming(request, Access::Nodes, |caller, request| async move {
                self.0.blob(identified(caller)?, request).await
            }),
            _ => unknown_method(),
        }
    }
}

/// Asks another node for images.
#[derive(Debug, Clone)]
pub struct ImagesClient(Channel);

impl ImagesClient {
    /// A client of the node that the channel leads to ([`crate::Connector::member`]).
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Asks what the node has of the image of a task of this one.
    ///
    /// # Errors
    /// The node's refusal, or a broken connection ([`crate::is_answer`] tells which).
    pub async fn find(&self, request: FindImage) -> Result<ImageOffer, Status> {
        invoke(&self.0, "/swarmd.Images/Find", &request).await
    }

    /// Asks for a blob of that image; the node stops when the pieces are dropped.
    ///
    /// # Errors
    /// The node's refusal, or a broken connection.
    pub async fn blob(&self, request: BlobRequest) -> Result<BlobPieces, Status> {
        invoke_streaming(&self.0, "/swarmd.Images/Blob", &request).await
    }
}
