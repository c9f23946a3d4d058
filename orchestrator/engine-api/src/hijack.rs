//! Connections that a route takes over: after the head of the answer both sides send what they like, as `docker attach`
//! and `docker exec` do.
//!
//! ```text
//! route ── answer: head + serve ──> serve::connection ── takes the stream from HTTP ──> head, then serve(Wire)
//!                                                            ends with serve, with the client, with the engine
//! ```
//! Docker writes 101 to whoever asks for an upgrade, and 200 to whoever does not; both connections are raw from then on.
//! HTTP libraries offer the first only, so the head is written here.

use std::fmt;
use std::io::{self, Cursor, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::frames::RAW;

/// How long a client may take nothing of what is sent to it. Until then the program waits for it, so that
/// `docker attach | less` loses nothing; then the client is left, for nobody may hold a container up for ever.
const STALL: Duration = Duration::from_mins(1);
/// How long what a client still sends is taken after the end. A connection that is closed with unread input is reset, and
/// the client may lose what it was sent last.
const LINGER: Duration = Duration::from_secs(2);
/// How much of that is taken at once, in bytes.
const DISCARDED_PIECE: usize = 32 << 10;

/// Both directions of a connection that was taken over.
pub(crate) struct Wire {
    /// What the client sends. Ends where it sends no more, which does not mean that it is gone.
    pub(crate) input: Box<dyn AsyncRead + Send + Unpin>,
    /// What the client receives.
    pub(crate) output: WireOutput,
}

impl Wire {
    /// Tells the client that nothing more comes, and returns once it has closed its side too, or has had the time to.
    pub(crate) async fn end(mut self) {
        // Who has gone already does not need to know.
        let _ = in_time(self.output.stream.shutdown()).await;
        let mut piece = vec![0; DISCARDED_PIECE];
        let rest = async { while self.input.read(&mut piece).await.is_ok_and(|count| count > 0) {} };
        let _ = tokio::time::timeout(LINGER, rest).await;
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// The client takes no more: it has gone, or has stalled.
#[derive(Debug, thiserror::Error)]
#[error("the client takes no more")]
pub(crate) struct ClientGone(#[source] io::Error);

/// The direction to the client.
pub(crate) struct WireOutput {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    /// Done once the client has taken the head of the answer, or has had the time to. Nothing is sent before: a client that
    /// reads the head through a buffer, such as the SDK for Python, loses what comes along with it.
    head_taken: Option<BoxFuture<'static, ()>>,
}

impl WireOutput {
    /// Over a stream whose other end may be written to at once.
    pub(crate) fn new(stream: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), head_taken: None }
    }

    /// The stream, once it may be written to.
    pub(crate) async fn into_stream(mut self) -> Box<dyn AsyncWrite + Send + Unpin> {
        self.until_head_is_taken().await;
        self.stream
    }

    async fn until_head_is_taken(&mut self) {
        if let Some(taken) = self.head_taken.take() {
            taken.await;
        }
    }

    /// Sends all of it; waits for a client that is slow, but not for ever.
    pub(crate) async fn send(&mut self, mut bytes: &[u8]) -> Result<(), ClientGone> {
        self.until_head_is_taken().await;
        while !bytes.is_empty() {
            match in_time(self.stream.write(bytes)).await? {
                0 => return Err(ClientGone(io::ErrorKind::WriteZero.into())),
                count => bytes = &bytes[count..],
            }
        }
        in_time(self.stream.flush()).await
    }
}

impl fmt::Debug for WireOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WireOutput").finish_non_exhaustive()
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> Result<T, ClientGone> {
    tokio::time::timeout(STALL, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(ClientGone)
}

/// What is done with the connection once the head is sent.
type Serve = Box<dyn FnOnce(Wire) -> BoxFuture<'static, ()> + Send>;

/// Travels with the answer of a route to the connection.
#[derive(Clone)]
struct Carried(Arc<Mutex<Option<Serve>>>);

/// Whether a client asks for the connection by Docker's upgrade.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

/// The answer of a route that takes the connection over: `serve` is called once its head is sent.
pub(crate) fn answer<F>(
    is_upgrade: bool,
    content_type: HeaderValue,
    serve: impl FnOnce(Wire) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut response = Response::default();
    response.headers_mut().insert(CONTENT_TYPE, if is_upgrade { content_type } else { RAW });
    if is_upgrade {
        switch(&mut response, "tcp");
    }
    carry(response, serve)
}

/// The same where the client has asked for a WebSocket: `accepted` proves that it was understood.
pub(crate) fn answer_web_socket<F>(accepted: HeaderValue, serve: impl FnOnce(Wire) -> F + Send + 'static) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut response = Response::default();
    switch(&mut response, "websocket");
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accepted);
    carry(response, serve)
}

/// Has the head lead to another protocol.
fn switch(response: &mut Response, protocol: &'static str) {
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
}

fn carry<F>(mut response: Response, serve: impl FnOnce(Wire) -> F + Send + 'static) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let serve: Serve = Box::new(move |wire| Box::pin(serve(wire)));
    response.extensions_mut().insert(Carried(Arc::new(Mutex::new(Some(serve)))));
    response
}

/// An answer that takes the connection over: its head, and who goes on.
pub(crate) struct Takeover {
    head: Vec<u8>,
    serve: Serve,
}

impl Takeover {
    /// The takeover that an answer asks for; `None` for those that HTTP sends.
    pub(crate) fn of(response: &mut Response) -> Option<Self> {
        let carried = response.extensions_mut().remove::<Carried>()?;
        let serve = carried.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Self { head: head(response), serve })
    }

    /// Sends the head and serves the client; `early` is what it has sent already, and `taken` is done once it has read
    /// what was sent to it.
    pub(crate) async fn run(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        early: Bytes,
        taken: impl Future<Output = ()> + Send + 'static,
    ) {
        let (input, output) = tokio::io::split(stream);
        let mut output = WireOutput::new(output);
        if output.send(&self.head).await.is_ok() {
            let input = Box::new(Cursor::new(early).chain(input));
            output.head_taken = Some(Box::pin(taken));
            (self.serve)(Wire { input, output }).await;
        }
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Takeover").finish_non_exhaustive()
    }
}

/// The head of an answer as Docker writes it.
fn head(response: &Response) -> Vec<u8> {
    let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let mut head = if is_upgrade { b"HTTP/1.1 101 UPGRADED\r\n".to_vec() } else { b"HTTP/1.1 200 OK\r\n".to_vec() };
    for (name, value) in response.headers() {
        let words = name.as_str().split('-').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        });
        // Writing to memory never fails.
        let _ = write!(head, "{}: ", words.collect::<Vec<_>>().join("-"));
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::MULTIPLEXED;

    async fn taken(is_upgrade: bool) -> String {
        let mut response = answer(is_upgrade, MULTIPLEXED, |mut wire: Wire| async move {
            let mut input = Vec::new();
            wire.input.read_to_end(&mut input).await.unwrap();
            wire.output.send(&input).await.unwrap();
            wire.end().await;
        });
        let takeover = Takeover::of(&mut response).unwrap();
        let (mut client, server) = tokio::io::duplex(4096);
        client.write_all(b" and late").await.unwrap();
        client.shutdown().await.unwrap();
        takeover.run(server, Bytes::from_static(b"early"), std::future::ready(())).await;
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn who_asks_for_an_upgrade_gets_one_and_who_does_not_gets_the_raw_stream() {
        assert_eq!(
            taken(true).await,
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: \
             Upgrade\r\nUpgrade: tcp\r\n\r\nearly and late"
        );
        assert_eq!(
            taken(false).await,
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nearly and late"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_still_sends_is_taken_until_it_has_seen_the_end_but_not_for_ever() {
        let wire = || {
            let (client, server) = tokio::io::duplex(16);
            let (input, output) = tokio::io::split(server);
            (client, Wire { input: Box::new(input), output: WireOutput::new(output) })
        };
        let (mut leaves, first) = wire();
        let (stays, second) = wire();
        let began = tokio::time::Instant::now();

        let ((), seen) = tokio::join!(first.end(), async move {
            leaves.write_all(&[7; 1024]).await.unwrap();
            leaves.read(&mut [0; 16]).await.unwrap()
        });
        let at_once = began.elapsed();
        second.end().await;

        assert_eq!((seen, at_once), (0, Duration::ZERO));
        assert_eq!(began.elapsed(), LINGER);
        drop(stays);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_left_after_a_while() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut output = WireOutput::new(server);
        let began = tokio::time::Instant::now();

        let outcome = output.send(&[0; 17]).await;

        assert!(outcome.is_err());
        assert_eq!(began.elapsed(), STALL);
        client.read_exact(&mut [0; 16]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_slow_gets_all_of_it() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut output = WireOutput::new(server);
        let reading = async {
            let mut all = Vec::new();
            while all.len() < 64 {
                tokio::time::sleep(STALL / 2).await;
                let mut piece = [0; 16];
                let count = client.read(&mut piece).await.unwrap();
                all.extend_from_slice(&piece[..count]);
            }
            all
        };

        let (outcome, all) = tokio::join!(output.send(&[7; 64]), reading);

        assert!(outcome.is_ok());
        assert_eq!(all, [7; 64]);
    }
}
