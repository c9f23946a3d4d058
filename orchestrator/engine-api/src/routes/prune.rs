//! What `docker system prune` asks for, and this engine has nothing of.

use axum::response::Response;
use http::StatusCode;
use serde_json::json as document;

use crate::error::ApiError;
use crate::filters::Filters;
use crate::query::Query;
use crate::respond::json;

/// What a cache of builds can be filtered by, if there is one.
const FILTERS: &[&str] =
    &["description", "id", "inuse", "label", "label!", "parent", "private", "shared", "type", "until", "unused-for"];

/// `POST /build/prune`: no cache of builds, for nothing is built.
pub(super) async fn build_cache(query: Query) -> Result<Response, ApiError> {
    Filters::read(&query, FILTERS)?;
    Ok(json(StatusCode::OK, &document!({"CachesDeleted": null, "SpaceReclaimed": 0})))
}
