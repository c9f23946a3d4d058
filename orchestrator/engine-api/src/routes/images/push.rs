//! `POST /images/{name}/push`: `docker push`, of one tag or of all that a repository has.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use image::{Image, Progress, ProgressLine, Reference};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::find;
use crate::api::Api;
use crate::error::ApiError;
use crate::image_name::{has_tag, platform, reference};
use crate::progress::{Lines, tell};
use crate::query::Query;
use crate::registry_auth::credentials;

/// Pushes the tag that is named; all of the repository where none is.
pub(super) async fn push(
    api: Api,
    name: &str,
    query: &Query,
    stopping: CancellationToken,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let named = reference(name, query.text("tag"))?;
    if named.digest().is_some() {
        return Err(ApiError::invalid("cannot push a digest reference"));
    }
    let has_tag = !query.text("tag").is_empty() || has_tag(name);
    if let Some(wanted) = platform(query)? {
        find(&api, &named.familiar(), Some(&wanted))?;
    }
    let credentials = credentials(headers);
    tell(stopping, move |lines| async move {
        let tags = tags(&api.engine.images().store().list(), &named, has_tag);
        let tags = tags.inspect_err(|_| {
            lines.report(ProgressLine::whole(format!("The push refers to repository [{}]", named.name())));
        })?;
        for tag in tags {
            let pushed = api.engine.images().push(&tag, &credentials, Arc::clone(&lines) as _).await?;
            let aux = json!({"Tag": tag.tag(), "Digest": pushed.digest, "Size": pushed.size});
            Lines::say(&lines, &json!({"progressDetail": {}, "aux": aux}));
        }
        Ok(())
    })
    .await
}

/// The tags to push.
fn tags(images: &[Image], named: &Reference, has_tag: bool) -> Result<Vec<Reference>, ApiError> {
    let all = images.iter().flat_map(|image| &image.repo_tags).filter_map(|tag| tag.parse().ok());
    let mut tags: Vec<Reference> = all.filter(|tag: &Reference| tag.name() == named.name()).collect();
    if tags.is_empty() {
        let message = format!("An image does not exist locally with the tag: {}", named.familiar_name());
        return Err(ApiError::new(http::StatusCode::NOT_FOUND, message));
    }
    if has_tag {
        tags.retain(|tag| tag == named);
        if tags.is_empty() {
            let message = format!("tag does not exist: {}", named.familiar());
            return Err(ApiError::new(http::StatusCode::NOT_FOUND, message));
        }
    }
    tags.sort();
    Ok(tags)
}
