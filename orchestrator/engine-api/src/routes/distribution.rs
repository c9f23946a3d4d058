//! `GET /distribution/{name}/json`: what a name means at its registry, by which clients pin it.
//!
//! Where no registry says, it means what it means here: `docker service create` of an image that only this node has then
//! names the same image on every node.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use image::{Descriptor, ImageStore, Platform, Reference, RegistryError};
use model::with_causes;
use serde::Serialize;

use super::images::decode;
use crate::api::Api;
use crate::error::{ApiError, registry_status};
use crate::registry_auth::credentials;
use crate::respond::json;

/// Docker's `DistributionInspect`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DistributionDocument {
    descriptor: Descriptor,
    platforms: Vec<Platform>,
}

/// `GET /distribution/{name}/json`
pub(super) async fn inspect(State(api): State<Api>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    let path = uri.path().strip_prefix("/distribution/").and_then(|rest| rest.strip_suffix("/json"));
    let name = path.filter(|name| !name.is_empty()).ok_or_else(ApiError::page_not_found)?;
    let reference: Reference =
        decode(name)?.parse().map_err(|error| ApiError::from(image::ImageError::InvalidReference(error)))?;
    let credentials = credentials(&headers)?;
    let images = api.engine.images();
    let document = match images.resolve(&reference, &credentials).await {
        Ok(resolved) => DistributionDocument { descriptor: resolved.descriptor, platforms: resolved.platforms },
        Err(error) => local(images.store(), &reference).ok_or_else(|| refusal(&error))?,
    };
    Ok(json(StatusCode::OK, &document))
}

/// What the name means here.
fn local(store: &ImageStore, reference: &Reference) -> Option<DistributionDocument> {
    let name = reference.to_string();
    let descriptor = store.offer(&name).ok()?.document;
    let image = store.list().into_iter().find(|image| image.manifest.digest == descriptor.digest);
    Some(DistributionDocument { descriptor, platforms: image.iter().map(|image| image.config.platform()).collect() })
}

/// Here, as in Docker, who is not let in is told so.
fn refusal(error: &RegistryError) -> ApiError {
    ApiError::new(registry_status(error, StatusCode::FORBIDDEN), with_causes(error))
}
