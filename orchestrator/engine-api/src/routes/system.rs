//! `_ping`, `version` and `info`: what a client asks before anything else.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, PRAGMA};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;

use model::SwarmError;
use node::{NodeView, SwarmCondition, SwarmRead};

use crate::api::Api;
use crate::error::ApiError;
use crate::respond::json;
use crate::version::ApiVersion;
use crate::views::info::{self, InfoDocument, InfoParts};
use crate::views::version::VersionDocument;

/// How long `docker info` waits for the swarm: without a leader it shall still tell of the node.
const SWARM_PATIENCE: Duration = Duration::from_secs(5);
const SWARM: HeaderName = HeaderName::from_static("swarm");
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// `GET /_ping`
pub(super) async fn ping(State(api): State<Api>) -> Response {
    let mut response = "OK".into_response();
    mark_ping(&api, &mut response);
    response
}

/// `HEAD /_ping`
pub(super) async fn ping_head(State(api): State<Api>) -> Response {
    let mut response = ().into_response();
    mark_ping(&api, &mut response);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

fn mark_ping(api: &Api, response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PLAIN_TEXT);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(SWARM, HeaderValue::from_static(swarm_status(&api.node.view())));
}

/// By this header the CLI decides which commands it offers.
fn swarm_status(view: &NodeView) -> &'static str {
    match (view.condition, view.is_manager) {
        (SwarmCondition::Active, true) => "active/manager",
        (SwarmCondition::Active, false) => "active/worker",
        (condition, _) => info::word(condition),
    }
}

/// `GET /version`
pub(super) async fn version(State(api): State<Api>) -> Response {
    json(StatusCode::OK, &VersionDocument::new(&api.engine.facts()))
}

/// `GET /info`
pub(super) async fn info(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
) -> Result<Response, ApiError> {
    let read = read_swarm(&api).await;
    let info = InfoDocument::new(InfoParts {
        engine: &api.engine,
        facts: api.engine.facts(),
        view: api.node.view(),
        read,
        version,
        open_files: open_files(),
        now: Timestamp::now(),
    });
    let info = info.map_err(|error| SwarmError::internal(format!("failed to read the swarm's root: {error}")))?;
    Ok(json(StatusCode::OK, &info))
}

async fn read_swarm(api: &Api) -> Option<Result<SwarmRead, SwarmError>> {
    let manager = api.node.manager().ok()?;
    let read = tokio::time::timeout(SWARM_PATIENCE, manager.read()).await;
    Some(read.unwrap_or_else(|_| Err(SwarmError::no_leader())))
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
