//! `DELETE /containers/{id}`: takes a container away.

use axum::extract::State;
use axum::response::Response;

use super::lifecycle::no_content;
use crate::api::Api;
use crate::error::ApiError;
use crate::path::Named;
use crate::query::Query;

/// Removes a container: also one that runs where `force` says so, with its volumes without names where `v` does.
pub(super) async fn remove(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    if query.boolean("link") {
        return Err(ApiError::not_offered("this engine does not link containers, so there is no link to remove"));
    }
    api.engine.containers().remove(&id, query.boolean("force"), query.boolean("v")).await?;
    Ok(no_content())
}
