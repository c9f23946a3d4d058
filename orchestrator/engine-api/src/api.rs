//! The one way in: takes the version off the path, routes, and gives every answer Docker's headers.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use engine::Engine;
use model::{API_VERSION, Caller};
use node::{ManagerAccess, SwarmNode};

use crate::error::ApiError;
use crate::routes;
use crate::unserved;
use crate::version;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Somebody at the root-only socket.
    Local,
    /// A client whose certificate has this common name.
    Client {
        /// The common name.
        name: String,
    },
}

/// What every route has at hand.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) node: Arc<dyn SwarmNode>,
    pub(crate) engine: Arc<Engine>,
}

/// Says when a connection is to end, to the streams on it that would go on for ever.
#[derive(Debug, Clone)]
pub(crate) struct Stopping(pub(crate) CancellationToken);

impl Api {
    /// The manager on this node, and who asks it.
    ///
    /// # Errors
    /// Docker's 503 where there is no manager.
    pub(crate) fn manager(&self, peer: Peer) -> Result<(Arc<dyn ManagerAccess>, Caller), ApiError> {
        let manager = self.node.manager()?;
        let caller = match peer {
            Peer::Client { name } => Caller::Client { name },
            Peer::Local => {
                let node = self.node.view().node_id;
                Caller::Local { node: node.ok_or_else(|| ApiError::from(model::SwarmError::no_leader()))? }
            }
        };
        Ok((manager, caller))
    }
}

/// The API of one node, ready to answer.
#[derive(Clone)]
pub(crate) struct Entrance {
    router: Router,
    server: HeaderValue,
}

impl Entrance {
    pub(crate) fn new(api: Api) -> Self {
        let router = routes::all().fallback(unknown).method_not_allowed_fallback(unknown).with_state(api);
        let server = format!("Docker/{} ({})", engine::VERSION, std::env::consts::OS);
        let server = HeaderValue::try_from(server).expect("a version is plain text");
        Self { router, server }
    }

    /// Answers a request. Never fails: what goes wrong is an answer, too.
    pub(crate) async fn answer(&self, request: http::Request<Body>, peer: Peer, stopping: Stopping) -> Response {
        let mut response = match self.route(request, peer, stopping).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        };
        self.mark(response.headers_mut());
        response
    }

    async fn route(&self, mut request: Request, peer: Peer, stopping: Stopping) -> Result<Response, ApiError> {
        let version = version::take_from(request.uri_mut())?;
        if request.method() == Method::HEAD && !routes::has_head(request.uri().path()) {
            return Err(unknown(Method::HEAD, request.uri().clone()).await);
        }
        request.extensions_mut().insert(version);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(stopping);
        let Ok(response): Result<Response, Infallible> = self.router.clone().oneshot(request).await;
        Ok(response)
    }

    fn mark(&self, headers: &mut HeaderMap) {
        const API: HeaderName = HeaderName::from_static("api-version");
        const SYSTEM: HeaderName = HeaderName::from_static("ostype");
        const EXPERIMENTAL: HeaderName = HeaderName::from_static("docker-experimental");
        headers.insert(http::header::SERVER, self.server.clone());
        headers.insert(API, HeaderValue::from_static(API_VERSION));
        headers.insert(SYSTEM, HeaderValue::from_static(std::env::consts::OS));
        headers.insert(EXPERIMENTAL, HeaderValue::from_static("false"));
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Entrance").finish_non_exhaustive()
    }
}

/// Tells a call that Docker has and this engine has not from one that nobody has.
async fn unknown(method: Method, uri: Uri) -> ApiError {
    unserved::refusal(&method, uri.path()).map_or_else(ApiError::page_not_found, ApiError::not_offered)
}

/// The peer of a request, for routes that ask a manager.
pub(crate) type PeerOf = Extension<Peer>;
