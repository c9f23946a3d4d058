//! `POST /containers/{id}/wait`: says how a container ended, once it has.

use std::io;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::WaitCondition;
use futures_util::stream;
use http::header::CONTENT_TYPE;

use crate::api::{Api, Stopping};
use crate::error::ApiError;
use crate::path::Named;
use crate::query::Query;
use crate::respond::{JSON, line};
use crate::views::container::WaitDocument;

/// Waits for a container. The head of the answer comes at once: by it a client knows that from now on nothing is missed,
/// and starts the container.
pub(super) async fn wait(
    State(api): State<Api>,
    Extension(Stopping(stopping)): Extension<Stopping>,
    Named(id): Named,
    query: Query,
) -> Result<Response, ApiError> {
    let condition = match query.text("condition") {
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(ApiError::invalid(format!("invalid condition: {other:?}"))),
    };
    let mut wait = api.engine.containers().wait(&id, condition)?;
    let outcome = stream::once(async move {
        tokio::select! {
            outcome = wait.outcome() => line(&WaitDocument::from(outcome)).map_err(io::Error::other),
            // Cut off, so that nobody takes it for an end of the container.
            () = stopping.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    });
    Ok(([(CONTENT_TYPE, JSON)], Body::from_stream(outcome)).into_response())
}
