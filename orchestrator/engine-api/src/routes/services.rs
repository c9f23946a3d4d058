//! The services of the swarm: list, create, look at, change, remove.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use model::{ControlRequest, RegistryAuth, Secret, Service};

use crate::api::{Api, PeerOf};
use crate::error::ApiError;
use crate::filters::Filters;
use crate::lookup::find_service;
use crate::path::Named;
use crate::query::Query;
use crate::respond::{done, json};
use crate::spec::{complete_new_service, complete_service, read_service};
use crate::version::ApiVersion;
use crate::views::service::ServiceDocument;

/// The filters of a list of services.
const FILTERS: &[&str] = &["id", "label", "mode", "name", "runtime"];
/// Since when a list has the counts of tasks.
const STATUS_SINCE: ApiVersion = ApiVersion::new(1, 41);
/// What images are pulled with.
const REGISTRY_AUTH: &str = "x-registry-auth";
/// The longest of it: a token of an identity provider has some kilobytes.
const MAX_REGISTRY_AUTH: usize = 64 * 1024;

/// `GET /services`
pub(super) async fn list(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
    query: Query,
) -> Result<Response, ApiError> {
    let manager = api.node.manager()?;
    let filters = Filters::read(&query, FILTERS)?;
    let has_status = version >= STATUS_SINCE && query.strict_boolean("status")?;
    let read = manager.read().await?;
    let services = read.snapshot.services().filter(|service| is_shown(&filters, service));
    let documents: Vec<_> = services
        .map(|service| {
            if has_status {
                let tasks = read.snapshot.tasks_of_service(&service.id).map(AsRef::as_ref);
                ServiceDocument::with_status(service, tasks)
            } else {
                ServiceDocument::new(service)
            }
        })
        .collect();
    Ok(json(StatusCode::OK, &documents))
}

/// `POST /services/create`
pub(super) async fn create(
    State(api): State<Api>,
    Extension(peer): PeerOf,
    request: Request,
) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Created<'a> {
        #[serde(rename = "ID")]
        id: &'a str,
        warnings: Option<()>,
    }
    let registry_auth = registry_auth(request.headers())?;
    let spec = read_service(request).await?;
    let (manager, caller) = api.manager(peer)?;
    let id = manager.new_service_id();
    let spec = Box::new(complete_new_service(spec, &id));
    manager.control(caller, ControlRequest::CreateService { id: id.clone(), spec, registry_auth }).await?;
    Ok(json(StatusCode::CREATED, &Created { id: id.as_str(), warnings: None }))
}

/// `GET /services/{id}`
pub(super) async fn inspect(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    let has_defaults = query.strict_boolean("insertDefaults")?;
    let read = api.node.manager()?.read().await?;
    let service = find_service(&read, &id)?;
    let document = if has_defaults { ServiceDocument::with_defaults(service) } else { ServiceDocument::new(service) };
    Ok(json(StatusCode::OK, &document))
}

/// `POST /services/{id}/update`
pub(super) async fn update(
    State(api): State<Api>,
    Extension(peer): PeerOf,
    Named(id): Named,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Updated {
        warnings: Option<()>,
    }
    let given = registry_auth(request.headers())?;
    let spec = read_service(request).await?;
    let version = query.version("service")?;
    let rollback = is_rollback(query.text("rollback"))?;
    let kept = kept_registry_auth(query.text("registryAuthFrom"))?;
    let (manager, caller) = api.manager(peer)?;
    let id = find_service(&manager.read().await?, &id)?.id.clone();
    let spec = Box::new(complete_service(spec));
    let registry_auth = given.map_or(kept, RegistryAuth::Given);
    manager.control(caller, ControlRequest::UpdateService { id, version, spec, rollback, registry_auth }).await?;
    Ok(json(StatusCode::OK, &Updated { warnings: None }))
}

/// `DELETE /services/{id}`
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(peer): PeerOf,
    Named(id): Named,
) -> Result<Response, ApiError> {
    let (manager, caller) = api.manager(peer)?;
    let id = find_service(&manager.read().await?, &id)?.id.clone();
    manager.control(caller, ControlRequest::RemoveService { id }).await?;
    Ok(done())
}

/// The header as it stands: whether it can be read is the registry's client's business, as in Docker.
fn registry_auth(headers: &HeaderMap) -> Result<Option<Secret>, ApiError> {
    let Some(value) = headers.get(REGISTRY_AUTH).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_REGISTRY_AUTH);
    let text = text.ok_or_else(|| ApiError::invalid("invalid X-Registry-Auth header: not base64, or too long"))?;
    Ok(Some(Secret::new(text)))
}

fn is_rollback(text: &str) -> Result<bool, ApiError> {
    match text {
        "" | "none" => Ok(false),
        "previous" => Ok(true),
        _ => Err(ApiError::invalid(format!("unrecognized rollback option {text}"))),
    }
}

fn kept_registry_auth(text: &str) -> Result<RegistryAuth, ApiError> {
    match text {
        "" | "spec" => Ok(RegistryAuth::FromSpec),
        "previous-spec" => Ok(RegistryAuth::FromPreviousSpec),
        _ => Err(ApiError::invalid("unsupported registryAuthFrom value")),
    }
}

fn is_shown(filters: &Filters, service: &Service) -> bool {
    let Service { id, spec, state, .. } = service;
    let mode = match (spec.is_global(), spec.is_job()) {
        (false, false) => "replicated",
        (true, false) => "global",
        (false, true) => "replicated-job",
        (true, true) => "global-job",
    };
    !state.is_removed
        && filters.admits_prefix("id", id.as_str())
        && filters.admits_prefix("name", &spec.name)
        && filters.admits_labels("label", &spec.labels)
        && filters.admits("mode", mode)
        && filters.admits("runtime", "container")
}
