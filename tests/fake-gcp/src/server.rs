//! Takes requests, strikes them with faults, keeps their log.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::answer::{Answer, Refusal};
use crate::clock::{self, Moment};
use crate::fault::{Fault, FaultKind};
use crate::metadata::{Bearer, Told};
use crate::operations::OperationError;
use crate::rates::{Buckets, group};
use crate::routes::Request;
use crate::settings::Settings;
use crate::state::State;

/// The longest pause between two looks at an operation that is waited for: tests advance the clock.
const LOOK: Duration = Duration::from_millis(5);
/// How long a request is held at most.
const LONGEST_HOLD: Duration = Duration::from_mins(10);

/// All that the connections share.
#[derive(Debug)]
pub(crate) struct Server {
    state: Mutex<State>,
    desk: Mutex<Desk>,
    settings: Settings,
}

/// Who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Users of Compute Engine.
    Users,
    /// Instances, which ask about themselves.
    Instances,
}

/// Faults, rates, tokens, the log.
#[derive(Debug)]
struct Desk {
    faults: Vec<Fault>,
    buckets: Buckets,
    requests: Vec<Value>,
    forgotten: usize,
    held: usize,
    log: Option<File>,
    tokens: Vec<(String, Moment, Bearer)>,
    next_token: u64,
}

/// The connection ends without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection was cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Counts a held request for as long as it is held.
struct Held<'a>(&'a Server);

impl<'a> Held<'a> {
    fn new(server: &'a Server) -> Self {
        server.desk().held += 1;
        Self(server)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.desk().held -= 1;
    }
}

impl Server {
    pub(crate) fn new(settings: Settings, address: SocketAddr) -> io::Result<Self> {
        let log = settings.log.as_ref().map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        let state = State::new(settings.clone(), format!("http://{address}/"));
        let desk = Desk {
            faults: Vec::new(),
            buckets: Buckets::new(settings.rates, settings.calls_left, state.clock.now()),
            requests: Vec::new(),
            forgotten: 0,
            held: 0,
            log,
            tokens: Vec::new(),
            next_token: 1,
        };
        Ok(Self { state: Mutex::new(state), desk: Mutex::new(desk), settings })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what exists now.
    pub(crate) fn with_state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.catch_up();
        look(&mut state)
    }

    pub(crate) fn requests(&self) -> Vec<Value> {
        self.desk().requests.clone()
    }

    pub(crate) fn forget_requests(&self) {
        let mut desk = self.desk();
        desk.forgotten += desk.requests.len();
        desk.requests.clear();
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.desk().faults.push(fault);
    }

    pub(crate) fn forget_faults(&self) {
        self.desk().faults.clear();
    }

    pub(crate) fn held(&self) -> usize {
        self.desk().held
    }

    pub(crate) fn expire_tokens(&self) {
        self.desk().tokens.clear();
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.with_state(|state| {
            state.clock.advance(by);
            state.catch_up();
        });
    }

    /// Gives out a token.
    fn token(&self, bearer: Bearer) -> Value {
        let now = self.with_state(|state| state.clock.now());
        let mut desk = self.desk();
        let token = format!("fake-token-{}", desk.next_token);
        desk.next_token += 1;
        desk.tokens.push((token.clone(), now + self.settings.token_life, bearer));
        json!({ "access_token": token, "token_type": "Bearer", "expires_in": self.settings.token_life.as_secs() })
    }

    fn check_token(&self, header: Option<&str>) -> Result<Bearer, Refusal> {
        let now = self.with_state(|state| state.clock.now());
        let token = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
        let desk = self.desk();
        let good = desk.tokens.iter().find(|(known, until, _)| known == token && *until > now);
        good.map(|(.., bearer)| bearer.clone()).ok_or_else(|| Refusal::new(401, "authError", "Invalid Credentials"))
    }

    /// Takes a place in the request's bucket of calls, where there are any.
    fn check_rate(&self, kind: &str) -> Result<(), Refusal> {
        let now = self.with_state(|state| state.clock.now());
        self.desk().buckets.take(kind, now)
    }

    /// Writes a request down; its number.
    fn note(&self, entry: Value) -> usize {
        let mut desk = self.desk();
        desk.requests.push(entry);
        desk.forgotten + desk.requests.len() - 1
    }

    /// Writes down how a request ended.
    fn note_status(&self, number: usize, status: u16) {
        let mut desk = self.desk();
        let Some(index) = number.checked_sub(desk.forgotten) else { return };
        let Some(entry) = desk.requests.get_mut(index) else { return };
        entry["status"] = json!(status);
        entry["at"] = json!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        let line = format!("{entry}\n");
        if let Some(log) = &mut desk.log {
            // A log that cannot be written shows in the test that reads it.
            let _ = log.write_all(line.as_bytes());
        }
    }

    fn struck(&self, kind: &str) -> Option<FaultKind> {
        self.desk().faults.iter_mut().find_map(|fault| fault.strikes(kind).then(|| fault.what.clone()))
    }

    /// Performs a request that no fault has stopped.
    async fn perform(&self, request: &Request, doom: Option<OperationError>) -> Answer {
        let answer = self.with_state(|state| {
            state.doom = doom;
            let answer = state.perform(request);
            state.doom = None;
            answer
        })?;
        if !request.kind().ends_with("Operations.wait") {
            return Ok(answer);
        }
        let Some((_, name)) = request.operation() else { return Ok(answer) };
        let deadline = tokio::time::Instant::now() + self.settings.wait;
        while self.with_state(|state| state.is_pending(name)) && tokio::time::Instant::now() < deadline {
            let pause = self.with_state(|state| state.until_done(name)).clamp(Duration::from_millis(1), LOOK);
            tokio::time::sleep(pause).await;
        }
        self.with_state(|state| state.perform(request))
    }

    async fn answer(&self, request: Request, token: Option<&str>, number: usize) -> Result<Response<Full<Bytes>>, Cut> {
        tokio::time::sleep(self.settings.latency).await;
        let mut doom = None;
        let mut ending = None;
        match self.struck(request.kind()) {
            None => {}
            Some(FaultKind::Fail { status, reason, retry_after }) => {
                let refusal = Refusal { retry_after, ..Refusal::new(status, reason, "Refused on purpose.") };
                return Ok(self.close(number, Err(refusal)));
            }
            Some(FaultKind::Hold) => return self.hold(number).await,
            Some(FaultKind::Lose) => {
                self.note_status(number, 0);
                return Err(Cut);
            }
            Some(FaultKind::Slow(pause)) => tokio::time::sleep(pause).await,
            Some(FaultKind::Operation { code, message }) => {
                doom = Some(OperationError { code: code.to_owned(), message: message.to_owned() });
            }
            Some(FaultKind::Vanish) => self.with_state(|state| {
                if let Some((_, name)) = state.instances.keys().next().cloned() {
                    state.vanish(&name);
                }
            }),
            Some(after @ (FaultKind::HoldAfter | FaultKind::LoseAfter)) => ending = Some(after),
        }
        let allowed = self.check_token(token).and_then(|bearer| {
            self.check_rate(request.kind())?;
            self.with_state(|state| state.authorize(&bearer, request.kind()))
        });
        let answer = match allowed {
            Ok(()) => self.perform(&request, doom).await,
            Err(refusal) => Err(refusal),
        };
        match ending {
            None => Ok(self.close(number, answer)),
            Some(FaultKind::HoldAfter) => self.hold(number).await,
            Some(_) => {
                self.note_status(number, 0);
                Err(Cut)
            }
        }
    }

    async fn hold(&self, number: usize) -> Result<Response<Full<Bytes>>, Cut> {
        self.note_status(number, 0);
        let _held = Held::new(self);
        tokio::time::sleep(LONGEST_HOLD).await;
        Err(Cut)
    }

    fn close(&self, number: usize, answer: Answer) -> Response<Full<Bytes>> {
        let (status, retry_after, body) = match answer {
            Ok(body) => (200, None, body),
            Err(refusal) => (refusal.status, refusal.retry_after, refusal.body()),
        };
        self.note_status(number, status);
        respond(status, retry_after, &body)
    }

    /// An answer that names the time.
    fn dated(&self, mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        let now = self.with_state(|state| state.clock.now());
        if let Ok(named) = clock::dated(now).try_into() {
            response.headers_mut().insert("date", named);
        }
        response
    }

    async fn take(&self, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let path = parts.uri.path().to_owned();
        if path == "/token" {
            return Ok(respond(200, None, &self.token(Bearer::User)));
        }
        let read = if body.is_empty() { Ok(None) } else { serde_json::from_slice::<Value>(&body).map(Some) };
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let shown = parts.headers.keys().filter(|name| *name != "authorization");
        let headers: serde_json::Map<_, _> =
            shown.map(|name| (name.to_string(), json!(header(name.as_str())))).collect();
        let query = parts.uri.query().unwrap_or_default();
        let request = Request::read(parts.method.as_str(), &path, query, read.as_ref().ok().cloned().flatten());
        let number = self.note(json!({
            "method": parts.method.as_str(),
            "url": parts.uri.to_string(),
            "headers": headers,
            "body": read.as_ref().ok().cloned().flatten(),
            "kind": request.as_ref().map(Request::kind).unwrap_or_default(),
            "bucket": request.as_ref().map(|request| group(request.kind())),
            "status": 0,
        }));
        match (request, read) {
            (Some(request), Ok(_)) => self.answer(request, header("authorization"), number).await,
            (None, Ok(_)) => Ok(self.close(number, Err(Refusal::new(404, "notFound", "There is nothing here.")))),
            (_, Err(error)) => {
                let refusal = Refusal::new(400, "parseError", format!("Invalid JSON payload received. {error}"));
                Ok(self.close(number, Err(refusal)))
            }
        }
    }
}

impl Server {
    /// Answers an instance.
    fn tell(&self, from: IpAddr, request: &hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let told =
            self.with_state(|state| state.tell_instance(from, request.method().as_str(), request.uri().path(), header));
        let (status, text) = match told {
            Told::Text(text) => (200, text),
            Told::Token(bearer) => (200, self.token(bearer).to_string()),
            Told::Refused(status, text) => (status, text.to_owned()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    }
}

fn respond(status: u16, retry_after: Option<u64>, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static("application/json; charset=UTF-8"));
    if let Some(seconds) = retry_after {
        headers.insert("retry-after", hyper::header::HeaderValue::from(seconds));
    }
    response
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>, side: Side) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, peer)) = accepted {
                    let instance = (side == Side::Instances).then(|| peer.ip());
                    connections.spawn(connection(stream, Arc::clone(&server), instance));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, server: Arc<Server>, instance: Option<IpAddr>) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move {
            match instance {
                None => server.take(request).await.map(|response| server.dated(response)),
                Some(from) => Ok(server.tell(from, &request)),
            }
        }
    });
    // Clients go as they please, and some connections are cut on purpose.
    let _: Result<(), _> =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
