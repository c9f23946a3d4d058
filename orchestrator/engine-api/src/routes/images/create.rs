//! `POST /images/create`: `docker pull` and `docker import`.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use image::{Import, RunConfig};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::archive::received;
use crate::api::Api;
use crate::changes;
use crate::error::ApiError;
use crate::image_name::{has_tag, new_tag, platform, reference};
use crate::progress::tell;
use crate::query::Query;
use crate::registry_auth::credentials;

/// Where an import says that the files came from.
const FROM_BODY: &str = "-";

/// Pulls what `fromImage` names, or imports what is in the body.
pub(super) async fn create(
    api: Api,
    query: Query,
    stopping: CancellationToken,
    request: Request,
) -> Result<Response, ApiError> {
    match (query.text("fromImage"), query.text("fromSrc")) {
        ("", "") => Err(ApiError::invalid("neither fromImage nor fromSrc is given")),
        ("", FROM_BODY) => import(api, &query, stopping, request).await,
        ("", _) => Err(ApiError::not_offered("this engine imports what the client sends, and nothing from an address")),
        (name, _) if query.text("tag").is_empty() && !has_tag(name) => Err(ApiError::not_offered(format!(
            "this engine pulls one tag at a time and not all of a repository: name it, as in {name}:latest"
        ))),
        (name, _) => {
            let (reference, platform) = (reference(name, query.text("tag"))?, platform(&query)?);
            let credentials = credentials(request.headers());
            tell(stopping, move |lines| async move {
                api.engine.images().pull(&reference, platform.as_ref(), &credentials, lines).await?;
                Ok(())
            })
            .await
        }
    }
}

async fn import(api: Api, query: &Query, stopping: CancellationToken, request: Request) -> Result<Response, ApiError> {
    let (repository, message) = (query.text("repo"), query.text("message"));
    let name = if repository.is_empty() { None } else { Some(new_tag(repository, query.text("tag"))?) };
    let config = changes::apply(RunConfig::default(), query.all("changes"));
    let import = Import {
        name,
        message: if message.is_empty() { "Imported from -".to_owned() } else { message.to_owned() },
        config: config.map_err(|error| ApiError::invalid(error.to_string()))?,
        platform: platform(query)?,
    };
    tell(stopping, move |lines| async move {
        let body = received(request.into_body(), Some((Arc::clone(&lines), "Importing")));
        let id = api.engine.images().import(body, import).await?;
        lines.say(&json!({"status": id}));
        Ok(())
    })
    .await
}
