//! One connection: HTTP/1.1, bounded in time where a client could make us wait, ended in order when the engine stops, and
//! handed over where a route takes it.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::api::{Entrance, Peer, Stopping};
use crate::hijack::Takeover;

/// How long a client may take for the head of a request; also how long an idle connection is kept.
const HEAD_PATIENCE: Duration = Duration::from_mins(5);
/// How long the requests under way may take when the engine stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long a client may take to read what it was sent, where the next must not come along with it.
const TAKING: Duration = Duration::from_millis(200);
/// How often it is looked whether it has: the kernel does not tell.
const LOOK: Duration = Duration::from_millis(1);

/// A connection that the kernel knows.
pub(super) trait Connected: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Watches its other end.
    fn watch(&self) -> io::Result<OtherEnd>;
}

impl Connected for UnixStream {
    fn watch(&self) -> io::Result<OtherEnd> {
        let socket = self.as_fd().try_clone_to_owned()?;
        UnixStream::from_std(socket.into()).map(OtherEnd::Unix)
    }
}

impl Connected for TlsStream<TcpStream> {
    fn watch(&self) -> io::Result<OtherEnd> {
        let socket = self.get_ref().0.as_fd().try_clone_to_owned()?;
        TcpStream::from_std(socket.into()).map(OtherEnd::Tcp)
    }
}

/// The other end of a connection, by another descriptor of its socket.
#[derive(Debug)]
pub(super) enum OtherEnd {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl OtherEnd {
    /// Done when it is gone, also while nothing is sent to it. One that only sends no more is not.
    async fn gone(self) {
        loop {
            let ready = match &self {
                Self::Unix(stream) => stream.ready(Interest::WRITABLE).await,
                Self::Tcp(stream) => stream.ready(Interest::WRITABLE).await,
            };
            // An error is the end of the runtime.
            if ready.is_ok_and(|ready| !ready.is_write_closed()) {
                self.await_news();
            } else {
                return;
            }
        }
    }

    /// Done when it has taken all that was sent to it, or has had [`TAKING`] for it.
    async fn has_taken_all(self) {
        let began = Instant::now();
        while began.elapsed() < TAKING && self.untaken().is_ok_and(|count| count > 0) {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn untaken(&self) -> Result<u64, links::KernelError> {
        match self {
            Self::Unix(stream) => links::socket::untaken(stream),
            Self::Tcp(stream) => links::socket::untaken(stream),
        }
    }

    /// Forgets that it can be written to, so that the next readiness is news.
    fn await_news(&self) {
        let nothing = || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) };
        let _ = match self {
            Self::Unix(stream) => stream.try_io(Interest::WRITABLE, nothing),
            Self::Tcp(stream) => stream.try_io(Interest::WRITABLE, nothing),
        };
    }
}

/// Answers the requests of a connection until either side has enough.
pub(super) async fn serve(stream: impl Connected, peer: Peer, entrance: Entrance, stopping: CancellationToken) {
    // At most the request that is being answered takes the connection.
    let (sender, mut takeovers) = mpsc::channel(1);
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let (entrance, peer, stopping) = (entrance.clone(), peer.clone(), Stopping(stopping.clone()));
        let sender = sender.clone();
        async move {
            let mut response = entrance.answer(request.map(Body::new), peer, stopping).await;
            if let Some(takeover) = Takeover::of(&mut response) {
                let _ = sender.send(takeover).await;
                // HTTP has nothing more to say here; it is let go of below.
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let result = tokio::select! {
        Some(takeover) = takeovers.recv() => {
            let parts = connection.into_parts();
            return hand_over(parts.io.into_inner(), parts.read_buf, takeover, &stopping).await;
        }
        result = &mut connection => result,
        () = stopping.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
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

/// Lets a route go on with the connection, until it is done, the client has gone, or the engine stops.
async fn hand_over(stream: impl Connected, early: bytes::Bytes, takeover: Takeover, stopping: &CancellationToken) {
    let (client, taker) = match stream.watch().and_then(|client| Ok((client, stream.watch()?))) {
        Ok(watched) => watched,
        Err(error) => return debug!(%error, "a connection cannot be watched"),
    };
    tokio::select! {
        () = takeover.run(stream, early, taker.has_taken_all()) => {}
        () = client.gone() => debug!("a client has gone"),
        () = stopping.cancelled() => {}
    }
}
