//! The swarm's lease: our own addition to Docker's calls, for swarms that last as long as somebody holds them.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use model::{ErrorKind, SwarmError};
use serde::Serialize;

use crate::api::Api;
use crate::error::ApiError;
use crate::respond::json;

/// What is told of a lease.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LeaseDocument {
    /// Seconds until it lapses by the word that this node heard last; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<f64>,
}

/// `GET /swarm/lease`: what is left, as this node knows.
pub(super) async fn inspect(State(api): State<Api>) -> Result<Response, ApiError> {
    let lease = api.engine.lease();
    if !lease.is_needed() {
        return Err(no_lease());
    }
    let seconds_left = lease.left().map(|left| left.as_secs_f64());
    Ok(json(StatusCode::OK, &LeaseDocument { seconds_left }))
}

/// `POST /swarm/lease`: renews it. This node passes it on with its heartbeats, and each node takes the longest it hears.
pub(super) async fn renew(State(api): State<Api>) -> Result<Response, ApiError> {
    let left = api.engine.lease().renew().ok_or_else(no_lease)?;
    Ok(json(StatusCode::OK, &LeaseDocument { seconds_left: Some(left.as_secs_f64()) }))
}

fn no_lease() -> ApiError {
    SwarmError::new(ErrorKind::NotFound, "this swarm has no lease").into()
}
