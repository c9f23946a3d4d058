//! `GET /distribution/{name}/json`: what a name means at its registry, by which clients pin it.
//!
//! Where no registry says, it means what it means here: `docker service create` of an image that only this node has then
//! names the same image on every node.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use image::{Descriptor, ImageStore, Platform, Reference, RegistryError, Resolved};
use model::with_causes;
use serde::Serialize;

use super::images::decode;
use crate::api::Api;
use crate::error::{ApiError, registry_status};
use crate::registry_auth::credentials;
use crate::respond::json;

/// How long a registry may be silent where the image is here: a lab without one has no name servers either, and their
/// silence would cost each `docker service create` ten seconds. As long as nodes wait before they ask each other.
const SILENCE: Duration = Duration::from_secs(2);

/// Docker's `DistributionInspect`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DistributionDocument {
    descriptor: Descriptor,
    platforms: Vec<Platform>,
}

impl From<Resolved> for DistributionDocument {
    fn from(resolved: Resolved) -> Self {
        Self { descriptor: resolved.descriptor, platforms: resolved.platforms }
    }
}

/// `GET /distribution/{name}/json`
pub(super) async fn inspect(State(api): State<Api>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    let path = uri.path().strip_prefix("/distribution/").and_then(|rest| rest.strip_suffix("/json"));
    let name = path.filter(|name| !name.is_empty()).ok_or_else(ApiError::page_not_found)?;
    let reference: Reference =
        decode(name)?.parse().map_err(|error| ApiError::from(image::ImageError::InvalidReference(error)))?;
    let credentials = credentials(&headers);
    let images = api.engine.images();
    let resolving = Box::pin(images.resolve(&reference, &credentials));
    let document = match local(images.store(), &reference) {
        Some(here) => match tokio::time::timeout(SILENCE, resolving).await {
            Ok(Ok(resolved)) => resolved.into(),
            Ok(Err(_)) | Err(_) => here,
        },
        None => resolving.await.map_err(|error| refusal(&error))?.into(),
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
