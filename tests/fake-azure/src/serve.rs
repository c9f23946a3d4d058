//! HTTPS, and plain HTTP for the machines' metadata: reads requests, lets faults strike, logs, answers.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming as IncomingBody;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, Body};
use crate::dispatch::Incoming;
use crate::fault::{Faults, How};
use crate::log::{Log, Logged};
use crate::metadata::Asked;
use crate::route::Route;
use crate::settings::bucket;
use crate::world::World;

/// What the connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) world: Mutex<World>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) log: Mutex<Log>,
    /// How many requests are being held.
    pub(crate) held: watch::Sender<usize>,
    pub(crate) authority: String,
}

/// A lock whose holder never panics halfway through a change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until it is cancelled: by TLS, or to machines that ask for their metadata without.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    cancel: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        if let Ok((stream, peer)) = accepted {
            let (tls, shared, cancel) = (tls.clone(), Arc::clone(&shared), cancel.clone());
            connections.spawn(async move {
                match tls {
                    None => converse(stream, Some(peer.ip()), shared, cancel).await,
                    Some(tls) => {
                        // What fails here is the client's to notice.
                        let Ok(stream) = tls.accept(stream).await else { return };
                        converse(stream, None, shared, cancel).await;
                    }
                }
            });
        }
    }
}

/// Serves one connection, of a machine where one is named; its failures are the client's to notice.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    machine: Option<IpAddr>,
    shared: Arc<Shared>,
    cancel: CancellationToken,
) {
    let service = service_fn(|request| {
        let (shared, cancel) = (Arc::clone(&shared), cancel.clone());
        async move { respond(request, machine, &shared, &cancel).await }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

/// Answers one request; an error resets the connection.
async fn respond(
    request: Request<IncomingBody>,
    machine: Option<IpAddr>,
    shared: &Shared,
    cancel: &CancellationToken,
) -> io::Result<Response<Full<Bytes>>> {
    let path = request.uri().path().to_owned();
    let incoming = read(request, shared).await?;
    let latency = lock(&shared.world).settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let kind = if machine.is_some() { "metadata".to_owned() } else { incoming.route.target.kind() };
    let struck = lock(&shared.faults).strike(&incoming.method, &kind);
    let reset = || io::Error::other("reset on purpose");
    match struck {
        Some(How::Refuse { status, code, retry_after }) => {
            let mut refusal = crate::answer::Refusal::new(status, code, format!("{code}, on purpose."));
            refusal.retry_after = retry_after;
            let answer = refusal.into_answer();
            note(shared, &incoming, kind, answer.status);
            return Ok(render(answer));
        }
        Some(How::Reset) => {
            note(shared, &incoming, kind, 0);
            return Err(reset());
        }
        Some(How::HoldBefore) => {
            note(shared, &incoming, kind, 0);
            return hold(shared, cancel).await;
        }
        Some(How::Lose | How::HoldAfter | How::Delay(_)) | None => {}
    }
    let answer = {
        let mut world = lock(&shared.world);
        world.settle(Instant::now());
        match machine {
            None => world.answer(&incoming),
            Some(from) => {
                let Incoming { method, query, headers, .. } = incoming.clone();
                world.tell_machine(&Asked { from, method, path, query, headers })
            }
        }
    };
    note(shared, &incoming, kind, answer.status);
    match struck {
        Some(How::Lose) => return Err(reset()),
        Some(How::HoldAfter) => return hold(shared, cancel).await,
        Some(How::Delay(pause)) => tokio::time::sleep(pause).await,
        Some(How::Refuse { .. } | How::Reset | How::HoldBefore) | None => {}
    }
    Ok(render(answer))
}

async fn hold<T>(shared: &Shared, cancel: &CancellationToken) -> io::Result<T> {
    shared.held.send_modify(|held| *held += 1);
    cancel.cancelled().await;
    Err(io::Error::other("held until the end"))
}

fn note(shared: &Shared, incoming: &Incoming, kind: String, status: u16) {
    let mut headers = incoming.headers.clone();
    if let Some(header) = headers.get_mut("authorization") {
        "Bearer <redacted>".clone_into(header);
    }
    let body = serde_json::from_slice(&incoming.body).ok();
    let entry = Logged {
        method: incoming.method.clone(),
        url: incoming.url.clone(),
        headers,
        body,
        status,
        at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        bucket: bucket(&incoming.method),
        kind,
    };
    lock(&shared.log).add(entry);
}

async fn read(request: Request<IncomingBody>, shared: &Shared) -> io::Result<Incoming> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes().to_vec();
    let headers: BTreeMap<_, _> = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let query = parts.uri.query().unwrap_or_default();
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    Ok(Incoming {
        method: parts.method.as_str().to_owned(),
        url: format!("{}{}", shared.authority, parts.uri),
        route: Route::read(parts.uri.path()),
        query: query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect(),
        headers,
        body,
    })
}

fn render(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let (kind, body) = match answer.body {
        Body::Empty => (None, Bytes::new()),
        Body::Json(value) => (Some("application/json; charset=utf-8"), Bytes::from(value.to_string())),
        Body::Text(text) => (Some("text/plain"), Bytes::from(text)),
    };
    if let Some(kind) = kind {
        response = response.header("content-type", kind);
    }
    response.body(Full::new(body)).expect("our own headers are valid")
}
