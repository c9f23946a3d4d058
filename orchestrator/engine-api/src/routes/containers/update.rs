//! `POST /containers/{id}/update`: changes what a container may use, and whether it is started again.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use crate::api::Api;
use crate::error::ApiError;
use crate::path::Named;
use crate::respond::json;
use crate::spec::read_update;
use crate::views::container::UpdatedDocument;

/// Changes a container, at once where it runs.
pub(super) async fn update(State(api): State<Api>, Named(id): Named, request: Request) -> Result<Response, ApiError> {
    let update = read_update(request).await?;
    let warnings = api.engine.containers().update(&id, update).await?;
    Ok(json(StatusCode::OK, &UpdatedDocument { warnings }))
}
