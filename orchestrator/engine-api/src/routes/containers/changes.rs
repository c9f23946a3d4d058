//! `GET /containers/{id}/changes`: what a container has changed of its image (`docker diff`).

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use image::Change;
use serde::Serialize;

use crate::api::Api;
use crate::error::ApiError;
use crate::path::Named;
use crate::respond::json;

/// Docker's `FilesystemChange`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeDocument {
    path: String,
    kind: u8,
}

impl From<Change> for ChangeDocument {
    fn from(change: Change) -> Self {
        Self { path: change.path.to_string_lossy().into_owned(), kind: change.kind as u8 }
    }
}

/// All changes, in the order of paths.
pub(in crate::routes) async fn list(State(api): State<Api>, Named(name): Named) -> Result<Response, ApiError> {
    let changes = api.engine.containers().changes(&name).await?;
    Ok(json(StatusCode::OK, &changes.into_iter().map(ChangeDocument::from).collect::<Vec<_>>()))
}
