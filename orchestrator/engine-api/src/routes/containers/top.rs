//! `GET /containers/{id}/top`: the processes of a container.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::api::Api;
use crate::error::ApiError;
use crate::path::Named;
use crate::query::Query;
use crate::respond::json;
use crate::views::container::TopDocument;

/// Shows the processes of a container that runs, as `ps` does with what `ps_args` says.
pub(super) async fn top(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    let table = api.engine.containers().top(&id, query.text("ps_args")).await?;
    Ok(json(StatusCode::OK, &TopDocument { titles: table.titles, processes: table.processes }))
}
