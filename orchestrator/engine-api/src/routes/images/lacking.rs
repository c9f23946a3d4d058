//! `POST /images/lacking`, which Docker has not: which of these blobs no image here has.
//!
//! Whoever sends an archive to `POST /images/load` may leave out the layers that are here: that is what `swarmup load`
//! asks for. The body is `{"Blobs": ["sha256:…", …]}`, the answer `{"Lacking": [...]}` in the same order.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use image::Digest;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::body::read_json;
use crate::error::ApiError;
use crate::respond::json;

/// What is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Question {
    blobs: Vec<String>,
}

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    lacking: Vec<Digest>,
}

/// Answers; a text that is no digest is refused.
pub(super) async fn lacking(api: &Api, request: Request) -> Result<Response, ApiError> {
    let question: Question = read_json(request).await?;
    let blobs = question.blobs.iter().map(|blob| blob.parse()).collect::<Result<Vec<Digest>, _>>();
    let blobs = blobs.map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok(json(StatusCode::OK, &Answer { lacking: api.engine.images().store().lacking(&blobs) }))
}
