//! One connection: HTTP/1.1, bounded in time where a client could make us wait, ended in order when the engine stops.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::api::{Entrance, Peer, Stopping};

/// How long a client may take for the head of a request; also how long an idle connection is kept.
const HEAD_PATIENCE: Duration = Duration::from_mins(5);
/// How long the requests under way may take when the engine stops.
const GRACE: Duration = Duration::from_secs(5);

/// Answers the requests of a connection until either side has enough.
pub(super) async fn serve<S>(stream: S, peer: Peer, entrance: Entrance, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let (entrance, peer, stopping) = (entrance.clone(), peer.clone(), Stopping(stopping.clone()));
        async move { Ok::<_, Infallible>(entrance.answer(request.map(Body::new), peer, stopping).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, connection).await {
                Ok(result) => result,
                Err(_) => return debug!("a request was cut off"),
            }
        }
    };
    if let Err(error) = result {
        debug!(%error, "a connection ended early");
    }
}
