//! `POST /commit`: an image of what a container has changed.

use axum::extract::{Request, State};
use axum::response::Response;
use engine::CommitRequest;
use http::StatusCode;
use image::RunConfig;
use serde::Serialize;

use crate::api::Api;
use crate::body::read_json;
use crate::changes;
use crate::error::ApiError;
use crate::image_name::new_tag;
use crate::query::Query;
use crate::respond::json;

/// The container stands still meanwhile unless `pause` says otherwise.
pub(super) async fn commit(State(api): State<Api>, query: Query, request: Request) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct CommittedDocument {
        id: String,
    }
    let config: RunConfig = read_json(request).await?;
    let config = changes::apply(config, query.all("changes"));
    let (repository, tag) = (query.text("repo"), query.text("tag"));
    let request = CommitRequest {
        name: if repository.is_empty() { None } else { Some(new_tag(repository, tag)?) },
        author: query.text("author").to_owned(),
        comment: query.text("comment").to_owned(),
        config: config.map_err(|error| ApiError::invalid(error.to_string()))?,
        pauses: query.text("pause").is_empty() || query.boolean("pause"),
    };
    let id = api.engine.containers().commit(query.text("container"), request).await?;
    Ok(json(StatusCode::CREATED, &CommittedDocument { id: id.to_string() }))
}
