//! `GET /system/df`: what takes room on this node's disk.

use std::collections::BTreeMap;

use ::image::{Digest, Image};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use engine::ContainerView;
use http::StatusCode;

use super::containers::summary;
use crate::api::Api;
use crate::error::ApiError;
use crate::query::Query;
use crate::respond::json;
use crate::version::ApiVersion;
use crate::views::container::SummaryDocument;
use crate::views::df::DfDocument;
use crate::views::image::{self, Sharing};
use crate::views::volume::{UsageView, VolumeDocument};

/// What may be asked for, each on its own.
const TYPES: [&str; 4] = ["container", "image", "volume", "build-cache"];

/// All of it, or the kinds that `type` names.
pub(super) async fn usage(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
    query: Query,
) -> Result<Response, ApiError> {
    let wanted: Vec<_> = query.all("type").filter(|kind| !kind.is_empty()).collect();
    if let Some(unknown) = wanted.iter().find(|kind| !TYPES.contains(kind)) {
        return Err(ApiError::invalid(format!("unknown object type: {unknown}")));
    }
    let is_wanted = |kind: &str| wanted.is_empty() || wanted.contains(&kind);
    let images = api.engine.images().store().list();
    let containers = api.engine.containers().list();
    let document = DfDocument {
        layers_size: if is_wanted("image") { layers_size(&images) } else { 0 },
        images: is_wanted("image").then(|| summaries(&images, &containers, version)),
        containers: if is_wanted("container") { Some(container_uses(&api, &containers).await) } else { None },
        volumes: if is_wanted("volume") { Some(volume_uses(&api).await) } else { None },
        build_cache: is_wanted("build-cache").then(Vec::new),
        builder_size: DfDocument::builder_size(version),
    };
    Ok(json(StatusCode::OK, &document))
}

/// The bytes of all layers, each counted once.
fn layers_size(images: &[Image]) -> u64 {
    let layers: BTreeMap<Digest, u64> =
        images.iter().flat_map(|image| image.chain.iter().copied().zip(image.layer_bytes.iter().copied())).collect();
    layers.values().sum()
}

fn summaries(images: &[Image], containers: &[ContainerView], version: ApiVersion) -> Vec<image::SummaryDocument> {
    let sharing = Sharing::new(images);
    let users = |image: &Image| containers.iter().filter(|view| view.record.image == image.id).count();
    let summary =
        |image: &Image| image::SummaryDocument::new(image.clone(), Some(&sharing), version).used_by(users(image));
    images.iter().map(summary).collect()
}

/// Reads all that containers have written.
async fn container_uses(api: &Api, containers: &[ContainerView]) -> Vec<SummaryDocument> {
    let mut uses = Vec::new();
    for view in containers {
        uses.push(summary(api, view, true).await);
    }
    uses
}

/// Reads all that lies in volumes.
async fn volume_uses(api: &Api) -> Vec<VolumeDocument> {
    let volumes = api.engine.containers().volumes();
    let mut uses = Vec::new();
    for volume in volumes.list() {
        let ref_count = volumes.holders_of(&volume.name).len();
        let bytes = volumes.bytes_of(&volume).await;
        let size = bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        uses.push(VolumeDocument::new(volume, Some(UsageView { ref_count, size })));
    }
    uses
}
