//! Serving 2377: bounded handshakes and connections, each of them only as long as its peer is trusted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::channel::{PING_INTERVAL, PING_TIMEOUT};
use crate::identity::TlsState;
use crate::peer::{PeerIdentity, remaining_life};
use crate::tasks::Tasks;
use crate::tls::{ALPN, distrusted};

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes under way at a time; more wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 256;
/// Connections of nodes: one or two for each of a thousand agents.
const MAX_CONNECTIONS: usize = 2048;
/// Connections without a certificate: nodes that join at the same moment.
const MAX_GUESTS: usize = 64;
/// How long a caller without certificate may stay; getting one takes well under a second.
const GUEST_LIFETIME: Duration = Duration::from_secs(30);
/// Calls at a time on one connection.
const MAX_STREAMS: u32 = 256;
/// Bytes of headers of one call: a path, a few names, the details of an error.
const MAX_HEADERS: u32 = 16 * 1024;
/// How long calls may go on when the server ends.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);
/// How long to wait before accepting again when the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a server ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener cannot accept any more.
    #[error("failed to accept connections")]
    Accept(#[source] io::Error),
}

/// Serves until cancelled; then lets calls under way finish for a moment, and cuts the rest.
///
/// While the node has no identity, connections are closed at once.
///
/// # Errors
/// The listener is unusable.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    tls: TlsState,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    let server = Arc::new(Server {
        routes: routes.prepare(),
        tls,
        connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        guests: Arc::new(Semaphore::new(MAX_GUESTS)),
        cancel: cancel.child_token(),
    });
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let mut connections = JoinSet::new();

    let result = loop {
        let permit = tokio::select! {
            () = cancel.cancelled() => break Ok(()),
            permit = Arc::clone(&handshakes).acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = cancel.cancelled() => break Ok(()),
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(Arc::clone(&server).connection(stream, permit));
            }
            Err(error) if is_fatal(&error) => break Err(ServeError::Accept(error)),
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    };

    drop(listener);
    server.cancel.cancel();
    let drained = timeout(DRAIN_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        connections.shutdown().await;
    }
    result
}

/// What all connections of a server share.
struct Server {
    routes: Routes,
    tls: TlsState,
    connections: Arc<Semaphore>,
    guests: Arc<Semaphore>,
    cancel: CancellationToken,
}

impl Server {
    /// Serves one connection from its handshake to its end.
    async fn connection(self: Arc<Self>, stream: TcpStream, handshake: OwnedSemaphorePermit) {
        let peer_addr = stream.peer_addr().ok();
        let Some(config) = self.tls.snapshot().server.clone() else {
            return;
        };
        // A socket that cannot be set to send at once still works.
        let _ = stream.set_nodelay(true);
        let stream = tokio::select! {
            () = self.cancel.cancelled() => return,
            accepted = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)) => match accepted {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return debug!(peer = ?peer_addr, %error, "refused a connection"),
                Err(_) => return debug!(peer = ?peer_addr, "refused a connection: the handshake took too long"),
            },
        };
        drop(handshake);
        if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return debug!(peer = ?peer_addr, "refused a connection: its peer does not speak HTTP/2");
        }
        let chain: Vec<CertificateDer<'static>> = stream
            .get_ref()
            .1
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .cloned()
            .map(CertificateDer::into_owned)
            .collect();
        let limit = if chain.is_empty() { &self.guests } else { &self.connections };
        let Ok(_permit) = Arc::clone(limit).try_acquire_owned() else {
            return warn!(peer = ?peer_addr, "refused a connection: there are too many");
        };
        match lifetime(&chain) {
            Ok((identity, lifetime)) => self.http(stream, identity, &chain, lifetime).await,
            Err(error) => warn!(peer = ?peer_addr, %error, "refused a connection"),
        }
    }

    /// Serves HTTP/2 until the peer leaves, its certificate expires, it is no longer trusted, or the server ends.
    async fn http(
        &self,
        stream: TlsStream<TcpStream>,
        identity: Option<PeerIdentity>,
        chain: &[CertificateDer<'static>],
        lifetime: Duration,
    ) {
        let routes = self.routes.clone();
        let service = routes.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            if let Some(identity) = identity.clone() {
                request.extensions_mut().insert(identity);
            }
            request.map(Body::new)
        });
        let tasks = Tasks::default();
        let connection = http2::Builder::new(tasks.weak())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = std::pin::pin!(connection);
        let mut changes = self.tls.subscribe();
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = distrusted(&mut changes, |verifier| verifier.still_trusts_client(chain)) => None,
            () = tokio::time::sleep(lifetime) => None,
            () = self.cancel.cancelled() => {
                connection.as_mut().graceful_shutdown();
                Some(connection.await)
            }
        };
        if let Some(Err(error)) = ended {
            debug!(%error, "a connection broke");
        }
    }
}

/// Who the peer is, and how long its connection may last.
fn lifetime(chain: &[CertificateDer<'_>]) -> Result<(Option<PeerIdentity>, Duration), ca::CertificateError> {
    if chain.is_empty() {
        return Ok((None, GUEST_LIFETIME));
    }
    Ok((Some(PeerIdentity::of_chain(chain)?), remaining_life(chain)?))
}

/// Whether no later connection could be accepted either.
fn is_fatal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}
