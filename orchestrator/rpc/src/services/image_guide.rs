//! What the leader knows of images: who may have one, and who may be given it.

use std::sync::Arc;

use async_trait::async_trait;
use model::{ImageGrant, ImageGrantRequest, ImageSources, ImageSourcesRequest};
use tonic::Status;
use tonic::body::Body;

use super::{Endpoint, ResponseFuture, Server, identified, invoke, unary, unknown_method};
use crate::Channel;
use crate::peer::{Access, PeerIdentity};

/// The longest question: two ids.
const MAX_QUESTION: usize = 4096;

/// What the leader does for nodes that lack an image, and for those that are asked for one.
#[async_trait]
pub trait ImageGuideService: Send + Sync + 'static {
    /// Says who may have the image of a task of the caller's. Any node; the leader only.
    async fn sources(&self, caller: PeerIdentity, request: ImageSourcesRequest) -> Result<ImageSources, Status>;

    /// Says which image another node may have for a task of its own. Any node; the leader only.
    async fn grant(&self, caller: PeerIdentity, request: ImageGrantRequest) -> Result<ImageGrant, Status>;
}

/// Serves the guide to images.
pub fn image_guide_server<S: ImageGuideService>(service: Arc<S>) -> Server<impl Endpoint> {
    Server::new(ImageGuideEndpoint(service))
}

struct ImageGuideEndpoint<S>(Arc<S>);

impl<S: ImageGuideService> Endpoint for ImageGuideEndpoint<S> {
    const NAME: &'static str = "swarmd.ImageGuide";

    fn call(self: Arc<Self>, method: &str, request: http::Request<Body>) -> ResponseFuture {
        match method {
            "Sources" => unary(request, Access::Nodes, MAX_QUESTION, |caller, request| async move {
                self.0.sources(identified(caller)?, request).await
            }),
            "Grant" => unary(request, Access::Nodes, MAX_QUESTION, |caller, request| async move {
                self.0.grant(identified(caller)?, request).await
            }),
            _ => unknown_method(),
        }
    }
}

/// Asks the leader about images.
#[derive(Debug, Clone)]
pub struct ImageGuideClient(Channel);

impl ImageGuideClient {
    /// A client of the manager that the channel leads to.
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Asks who may have the image of a task of this node.
    ///
    /// # Errors
    /// The manager's refusal, or a broken connection ([`crate::is_answer`] tells which).
    pub async fn sources(&self, request: ImageSourcesRequest) -> Result<ImageSources, Status> {
        invoke(&self.0, "/swarmd.ImageGuide/Sources", &request).await
    }

    /// Asks which image another node may have for a task of its own.
    ///
    /// # Errors
    /// The manager's refusal, or a broken connection.
    pub async fn grant(&self, request: ImageGrantRequest) -> Result<ImageGrant, Status> {
        invoke(&self.0, "/swarmd.ImageGuide/Grant", &request).await
    }
}
