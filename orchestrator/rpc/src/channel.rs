//! Channels to managers, and to members for images: one connection an address, made when needed, shared by all callers, dropped when it is dead.
//!
//! ```text
//! Idle ──call──> Connecting ──ok──> Ready ──broken, frozen, no longer trusted, own identity renewed──> Idle
//!   ^────────────────failed (all who waited learn why)
//! ```
//!
//! An attempt belongs to the channel, not to the call that caused it: a caller with little patience does not keep
//! everybody from ever connecting. A frozen peer's kernel still acknowledges TCP, so HTTP/2 pings tell it from a
//! live one; a peer that is merely slow answers them between two time slices.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http_body_util::BodyExt;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::{NodeId, with_causes};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic::body::Body;
use tower::Service;
use tracing::debug;

use crate::connect::{ConnectError, Party, Secured, connect};
use crate::identity::TlsState;
use crate::peer::remaining_life;
use crate::tasks::{Tasks, WeakTasks};
use crate::tls::{Snapshot, distrusted};

/// How long a connection may be silent before it is asked for a sign of life.
pub(crate) const PING_INTERVAL: Duration = Duration::from_millis(500);
/// How long the answer may take. Together with the interval: a frozen peer is noticed within two seconds.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_millis(1500);

/// Makes channels, at most one for each address and expected node. Clones share them.
#[derive(Clone)]
pub struct Connector {
    tls: TlsState,
    channels: Arc<Mutex<HashMap<Target, Channel>>>,
}

/// An address, and who is expected there.
type Target = (SocketAddr, Party);

impl Connector {
    /// A connector that uses the identity and trust of the moment.
    pub fn new(tls: TlsState) -> Self {
        Self { tls, channels: Arc::default() }
    }

    /// The channel to a manager; with `expected`, it leads to this node or nowhere. Connects at the first call.
    pub fn channel(&self, addr: SocketAddr, expected: Option<NodeId>) -> Channel {
        self.channel_to(addr, Party::Manager(expected))
    }

    /// The channel to a member, manager or not; it leads to this node or nowhere. Connects at the first call.
    pub fn member(&self, addr: SocketAddr, node: NodeId) -> Channel {
        self.channel_to(addr, Party::Member(node))
    }

    fn channel_to(&self, addr: SocketAddr, party: Party) -> Channel {
        let mut channels = lock(&self.channels);
        let key = (addr, party);
        if let Some(channel) = channels.get(&key) {
            return channel.clone();
        }
        channels.retain(|_, channel| channel.is_in_use());
        let channel = Channel::new(addr, key.1.clone(), self.tls.clone());
        channels.insert(key, channel.clone());
        channel
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connector").field("channels", &lock(&self.channels).len()).finish_non_exhaustive()
    }
}

/// A way to one node. Clones share the connection, which ends with the last of them.
#[derive(Clone)]
pub struct Channel(Arc<Shared>);

struct Shared {
    addr: SocketAddr,
    party: Party,
    tls: TlsState,
    slot: Arc<Mutex<Slot>>,
    tasks: Tasks,
}

enum Slot {
    Idle,
    Connecting(watch::Receiver<Option<Outcome>>),
    Ready(Link),
}

type Outcome = Result<Link, ConnectError>;

/// An open connection.
#[derive(Clone)]
struct Link {
    sender: SendRequest<Body>,
    generation: u64,
}

impl Channel {
    fn new(addr: SocketAddr, party: Party, tls: TlsState) -> Self {
        let slot = Arc::new(Mutex::new(Slot::Idle));
        Self(Arc::new(Shared { addr, party, tls, slot, tasks: Tasks::default() }))
    }

    /// The address of the node.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Connects, unless there is a connection. An attempt goes on where the caller gives up waiting for it.
    ///
    /// # Errors
    /// There is no connection.
    pub async fn ready(&self) -> Result<(), ConnectError> {
        self.link().await.map(|_| ())
    }

    pub(crate) fn origin(&self) -> Uri {
        Uri::builder()
            .scheme("https")
            .authority(self.0.addr.to_string())
            .path_and_query("/")
            .build()
            .expect("a socket address is a valid authority")
    }

    fn is_in_use(&self) -> bool {
        let is_open = match &*lock(&self.0.slot) {
            Slot::Idle => false,
            Slot::Connecting(_) => true,
            Slot::Ready(link) => !link.sender.is_closed(),
        };
        is_open || Arc::strong_count(&self.0) > 1
    }

    /// The open connection, or what comes of the attempt that is under way or starts now.
    async fn link(&self) -> Outcome {
        let mut attempt = {
            let snapshot = self.0.tls.snapshot();
            let mut slot = lock(&self.0.slot);
            match &*slot {
                Slot::Ready(link) if link.is_usable(&snapshot) => return Ok(link.clone()),
                Slot::Connecting(attempt) => attempt.clone(),
                Slot::Idle | Slot::Ready(_) => {
                    let attempt = self.start(snapshot);
                    *slot = Slot::Connecting(attempt.clone());
                    attempt
                }
            }
        };
        let closed = ConnectError::Closed { addr: self.0.addr };
        match attempt.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(closed)),
            Err(_) => Err(closed),
        }
    }

    /// Starts an attempt, which then drives the connection it made until that ends.
    fn start(&self, snapshot: Arc<Snapshot>) -> watch::Receiver<Option<Outcome>> {
        let (report, attempt) = watch::channel(None);
        let driver = Driver {
            addr: self.0.addr,
            party: self.0.party.clone(),
            changes: self.0.tls.subscribe(),
            slot: Arc::clone(&self.0.slot),
        };
        self.0.tasks.spawn(driver.run(snapshot, report));
        attempt
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Channel").field("addr", &self.0.addr).finish_non_exhaustive()
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = futures_util::future::BoxFuture<'static, Result<http::Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let channel = self.clone();
        Box::pin(async move {
            let mut link = channel.link().await.map_err(|error| broken(&error))?;
            let response = link.sender.send_request(request).await.map_err(|error| broken(&error))?;
            // The body keeps the channel, and so the connection, for as long as a stream is read.
            Ok(response.map(|body| {
                Body::new(body.map_err(move |error| {
                    let _in_use = &channel;
                    broken(&error)
                }))
            }))
        })
    }
}

impl Link {
    fn is_usable(&self, snapshot: &Snapshot) -> bool {
        !self.sender.is_closed() && self.generation == snapshot.generation
    }
}

/// What one attempt, and the connection it makes, needs to know.
struct Driver {
    addr: SocketAddr,
    party: Party,
    changes: watch::Receiver<Arc<Snapshot>>,
    slot: Arc<Mutex<Slot>>,
}

impl Driver {
    async fn run(mut self, snapshot: Arc<Snapshot>, report: watch::Sender<Option<Outcome>>) {
        let tasks = Tasks::default();
        let Opened { link, connection, chain, life } = match self.open(&snapshot, tasks.weak()).await {
            Ok(opened) => opened,
            Err(error) => {
                debug!(addr = %self.addr, error = %with_causes(&error), "failed to connect");
                *lock(&self.slot) = Slot::Idle;
                report.send_replace(Some(Err(error)));
                return;
            }
        };
        *lock(&self.slot) = Slot::Ready(link.clone());
        report.send_replace(Some(Ok(link)));
        drop(report);

        // When nobody can call any more, streams that are open still go on.
        let served = async {
            let result = connection.await;
            tasks.finished().await;
            result
        };
        tokio::select! {
            result = served => {
                let error = result.err().map(|error| with_causes(&error));
                debug!(addr = %self.addr, error, "connection ended");
            }
            () = distrusted(&mut self.changes, |verifier| verifier.still_trusts_server(&chain, &self.party)) => {
                debug!(addr = %self.addr, "connection ended: its peer is no longer trusted");
            }
            () = tokio::time::sleep(life) => {
                debug!(addr = %self.addr, "connection ended: the peer's certificate has expired");
            }
        }
    }

    async fn open(&self, snapshot: &Snapshot, tasks: WeakTasks) -> Result<Opened, ConnectError> {
        let failed = |error: io::Error| ConnectError::Handshake { addr: self.addr, source: Arc::new(error) };
        let Secured { stream, chain } =
            connect(self.addr, &self.party, Arc::clone(snapshot.client(&self.party))).await?;
        let life = remaining_life(&chain).map_err(|error| failed(io::Error::other(error)))?;
        let (sender, connection) = http2::Builder::new(tasks)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(io::Error::other(error)))?;
        Ok(Opened { link: Link { sender, generation: snapshot.generation }, connection, chain, life })
    }
}

/// A connection that is open and not driven yet.
struct Opened {
    link: Link,
    connection: http2::Connection<TokioIo<TlsStream<TcpStream>>, Body, WeakTasks>,
    chain: Vec<CertificateDer<'static>>,
    life: Duration,
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Status {
    Status::unavailable(with_causes(error))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
