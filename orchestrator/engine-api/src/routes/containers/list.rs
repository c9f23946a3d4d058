//! `GET /containers/json`: which containers there are.

mod ports;
mod wanted;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use self::wanted::Wanted;
use super::summary;
use crate::api::Api;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::query::Query;
use crate::respond::json;

/// The filters of a list of containers.
const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// Lists containers, the youngest first.
pub(super) async fn list(State(api): State<Api>, query: Query) -> Result<Response, ApiError> {
    let mut filters = Filters::read(&query, FILTERS)?;
    for name in ["before", "since"] {
        // Old clients give these beside the filters.
        let container = query.text(name);
        if !container.is_empty() {
            filters.add(name, container);
        }
    }
    let limit = limit(&query)?;
    let wanted = Wanted::new(&api, &filters, query.boolean("all") || limit.is_some())?;
    let views = api.engine.containers().list();
    let views = views.into_iter().filter(|view| wanted.is_shown(view)).take(limit.unwrap_or(usize::MAX));
    let mut documents = Vec::new();
    for view in views {
        documents.push(summary(&api, &view, query.boolean("size")).await);
    }
    Ok(json(StatusCode::OK, &documents))
}

/// How many are wanted; all where none or fewer are asked for.
fn limit(query: &Query) -> Result<Option<usize>, ApiError> {
    let text = query.text("limit");
    if text.is_empty() {
        return Ok(None);
    }
    let limit: i64 = text.parse().map_err(|_| ApiError::invalid(format!("invalid value for limit: {text:?}")))?;
    Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0))
}
