//! `GET /containers/{id}/stats`: what a container uses, once or every second.

use std::io;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::ContainerError;
use futures_util::stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use runtime::Stats;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Stopping};
use crate::error::ApiError;
use crate::path::Named;
use crate::query::Query;
use crate::respond::{JSON, json, line};
use crate::views::container::StatsDocument;

/// The pause between two readings, as in Docker: a share of a processor is what was used between them.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads what a container uses: every second as long as it is there, or once. Once is after a second, so that there is
/// something to compare with; with `one-shot` it is at once.
pub(super) async fn stats(
    State(api): State<Api>,
    Extension(Stopping(stopping)): Extension<Stopping>,
    Named(id): Named,
    query: Query,
) -> Result<Response, ApiError> {
    let is_stream = query.all("stream").next().is_none() || query.boolean("stream");
    let is_once = query.boolean("one-shot");
    if is_stream && is_once {
        return Err(ApiError::invalid("cannot have stream=true and one-shot=true"));
    }
    let id = api.engine.containers().find(&id)?.record.id.clone();
    let memory = api.engine.facts().memory_bytes;
    let mut readings = Readings { api, id, memory, stopping, before: None, next: Instant::now() };
    if !is_stream {
        if !is_once {
            readings.before = readings.read().await?;
            readings.next = Instant::now() + if readings.before.is_some() { PAUSE } else { Duration::ZERO };
        }
        let reading = readings.next().await?;
        return Ok(reading.map_or_else(
            || StatusCode::SERVICE_UNAVAILABLE.into_response(),
            |document| json(StatusCode::OK, &document),
        ));
    }
    let lines = stream::unfold(readings, |mut readings| async {
        // A container that is gone ends the stream; so does the end of the engine.
        let document = readings.next().await.ok().flatten()?;
        Some((line(&document).map_err(io::Error::other), readings))
    });
    Ok(([(CONTENT_TYPE, JSON)], Body::from_stream(lines)).into_response())
}

/// The readings of one client.
struct Readings {
    api: Api,
    id: String,
    memory: u64,
    stopping: CancellationToken,
    before: Option<Stats>,
    next: Instant,
}

impl Readings {
    /// The next reading, when it is due; `None` once the engine is to end.
    async fn next(&mut self) -> Result<Option<StatsDocument>, ContainerError> {
        tokio::select! {
            () = self.stopping.cancelled() => return Ok(None),
            () = tokio::time::sleep_until(self.next) => {}
        }
        let now = self.read().await?;
        let record = self.api.engine.containers().find(&self.id)?.record;
        let document = StatsDocument::new(&record, now.as_ref(), self.before.as_ref(), self.memory);
        self.before = now;
        self.next = Instant::now() + PAUSE;
        Ok(Some(document))
    }

    /// What it uses now; `None` where it does not run, or has just ended.
    async fn read(&self) -> Result<Option<Stats>, ContainerError> {
        match self.api.engine.containers().stats(&self.id).await {
            Err(ContainerError::Runtime(_)) => Ok(None),
            outcome => outcome,
        }
    }
}
