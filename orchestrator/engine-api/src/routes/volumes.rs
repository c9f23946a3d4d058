//! Volumes of this node.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use engine::{Volume, VolumeFilter, VolumeRequest};
use http::StatusCode;
use serde::Deserialize;

use crate::api::Api;
use crate::body::read_json;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::path::Named;
use crate::query::Query;
use crate::respond::json;
use crate::version::ApiVersion;
use crate::views::volume::{VolumeDocument, VolumesDocument, VolumesPrunedDocument};

/// The filters of a list.
const FILTERS: &[&str] = &["dangling", "driver", "label", "name"];
/// The filters of a prune.
const PRUNE_FILTERS: &[&str] = &["all", "label", "label!"];
/// The only driver.
const DRIVER: &str = "local";
/// Until when a prune took volumes with names, too.
const PRUNES_ALL_UNTIL: ApiVersion = ApiVersion::new(1, 42);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CreateBody {
    name: String,
    driver: String,
    driver_opts: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    cluster_volume_spec: Option<serde_json::Value>,
}

/// `GET /volumes`
pub(super) async fn list(State(api): State<Api>, query: Query) -> Result<Response, ApiError> {
    let filters = Filters::read(&query, FILTERS)?;
    let is_dangling = filters.boolean("dangling")?;
    let volumes = api.engine.containers().volumes();
    let is_shown = |volume: &Volume| {
        let is_claimed = || !volumes.holders_of(&volume.name).is_empty();
        filters.admits("driver", DRIVER)
            && filters.admits_labels("label", &volume.labels)
            && (filters.is_open("name") || filters.values("name").any(|part| volume.name.as_str().contains(part)))
            && is_dangling.is_none_or(|is_dangling| is_dangling != is_claimed())
    };
    let shown = volumes.list().into_iter().filter(is_shown);
    let volumes = shown.map(|volume| VolumeDocument::new(volume, None)).collect();
    Ok(json(StatusCode::OK, &VolumesDocument { volumes, warnings: None }))
}

/// `POST /volumes/create`: one that is there stays what it is.
pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let body: CreateBody = read_json(request).await?;
    if body.cluster_volume_spec.is_some() {
        return Err(ApiError::not_offered(
            "this engine has no cluster volumes: leave out --type, --scope and the like",
        ));
    }
    let request = VolumeRequest { driver: body.driver, options: body.driver_opts, labels: body.labels };
    let volume = api.engine.containers().create_volume(&body.name, request).await?;
    Ok(json(StatusCode::CREATED, &VolumeDocument::new(volume, None)))
}

/// `GET /volumes/{name}`
pub(super) async fn inspect(State(api): State<Api>, Named(name): Named) -> Result<Response, ApiError> {
    let volume = api.engine.containers().volumes().find(&name)?;
    Ok(json(StatusCode::OK, &VolumeDocument::new(volume, None)))
}

/// `DELETE /volumes/{name}`
pub(super) async fn remove(State(api): State<Api>, Named(name): Named, query: Query) -> Result<StatusCode, ApiError> {
    api.engine.containers().volumes().remove(&name, query.boolean("force")).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /volumes/prune`
pub(super) async fn prune(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
    query: Query,
) -> Result<Response, ApiError> {
    let filters = Filters::read(&query, PRUNE_FILTERS)?;
    let filter = VolumeFilter {
        is_all: version < PRUNES_ALL_UNTIL || filters.boolean("all")?.unwrap_or(false),
        labels: filters.labels("label"),
        not_labels: filters.labels("label!"),
    };
    let pruned = api.engine.containers().volumes().prune(filter).await?;
    Ok(json(StatusCode::OK, &VolumesPrunedDocument::from(pruned)))
}
