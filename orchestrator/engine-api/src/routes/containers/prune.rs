//! `POST /containers/prune`: takes away what does not run.

use axum::extract::State;
use axum::response::Response;
use engine::ContainerFilter;
use http::StatusCode;
use jiff::Timestamp;

use crate::api::Api;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::query::Query;
use crate::respond::json;
use crate::views::container::PruneDocument;

/// The filters of a prune.
const FILTERS: &[&str] = &["label", "label!", "until"];

/// Removes the containers that do not run and the filters let go.
pub(super) async fn prune(State(api): State<Api>, query: Query) -> Result<Response, ApiError> {
    let filters = Filters::read(&query, FILTERS)?;
    let until = filters.until(Timestamp::now())?;
    let (labels, not_labels) = (filters.labels("label"), filters.labels("label!"));
    let pruned = api.engine.containers().prune(ContainerFilter { until, labels, not_labels }).await?;
    Ok(json(StatusCode::OK, &PruneDocument::from(pruned)))
}
