//! `GET /containers/{id}/export`: all files of a container's root as an archive.

use axum::extract::State;
use axum::response::Response;

use super::archive::{refusal, streamed};
use crate::api::Api;
use crate::error::ApiError;
use crate::path::Named;

/// What is mounted into the container is left out.
pub(in crate::routes) async fn export(State(api): State<Api>, Named(name): Named) -> Result<Response, ApiError> {
    let files = api.engine.containers().export(&name).await.map_err(|error| refusal(&error, &name, "/"))?;
    Ok(streamed(files, "application/octet-stream"))
}
