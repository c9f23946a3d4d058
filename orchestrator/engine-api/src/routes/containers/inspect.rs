//! `GET /containers/{id}/json`: all that is known of a container.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::sizes;
use crate::api::Api;
use crate::error::ApiError;
use crate::path::Named;
use crate::query::Query;
use crate::respond::json;
use crate::views::container::{ContainerDocument, ContainerParts};

/// Shows a container, with the sizes of its files where `size` says so.
pub(super) async fn inspect(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    let view = api.engine.containers().find(&id)?;
    let sizes = if query.boolean("size") { Some(sizes(&api, &view.record).await) } else { None };
    let document = ContainerDocument::new(&ContainerParts {
        view: &view,
        places: &api.engine.containers().places(&view.record.id),
        sizes,
        exec_ids: Some(api.engine.containers().execs_of(&view.record.id)).filter(|ids| !ids.is_empty()),
        has_unified_cgroups: api.engine.facts().cgroups.is_unified,
    });
    Ok(json(StatusCode::OK, &document))
}
