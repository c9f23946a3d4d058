//! What `docker system prune` asks for, and this engine has nothing of.

use axum::response::Response;
use http::StatusCode;
use serde_json::json as document;

use crate::respond::json;

/// `POST /build/prune`: no cache of builds, for nothing is built.
pub(super) async fn build_cache() -> Response {
    json(StatusCode::OK, &document!({"CachesDeleted": null, "SpaceReclaimed": 0}))
}
