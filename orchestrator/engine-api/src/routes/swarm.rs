//! The swarm: create, join, leave, look at it, change it.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use ca::CertificateError;
use http::StatusCode;
use serde::Serialize;

use model::{ControlRequest, Rotation, Secret, SwarmError, SwarmSpec};

use crate::api::{Api, PeerOf};
use crate::body::read_json;
use crate::error::ApiError;
use crate::query::Query;
use crate::respond::{done, json};
use crate::spec::{self, InitBody, JoinBody, UnlockBody};
use crate::version::ApiVersion;
use crate::views::swarm::SwarmDocument;

/// `GET /swarm`
pub(super) async fn inspect(State(api): State<Api>) -> Result<Response, ApiError> {
    let read = api.node.manager()?.read().await?;
    let swarm = SwarmDocument::new(&read.cluster).map_err(|error| broken_root(&error))?;
    Ok(json(StatusCode::OK, &swarm))
}

/// `POST /swarm/init`: answers the id of the node.
pub(super) async fn init(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
    request: Request,
) -> Result<Response, ApiError> {
    let body: InitBody = read_json(request).await?;
    let id = api.node.init(body.into_request(version)?).await?;
    Ok(json(StatusCode::OK, &id))
}

/// `POST /swarm/join`
pub(super) async fn join(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let body: JoinBody = read_json(request).await?;
    api.node.join(body.into_request()?).await?;
    Ok(done())
}

/// `POST /swarm/leave`
pub(super) async fn leave(State(api): State<Api>, query: Query) -> Result<Response, ApiError> {
    api.node.leave(query.boolean("force")).await?;
    Ok(done())
}

/// `POST /swarm/update`
pub(super) async fn update(
    State(api): State<Api>,
    Extension(peer): PeerOf,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let wanted: SwarmSpec = read_json(request).await?;
    let version = query.version("swarm")?;
    let rotation = Rotation {
        worker_token: query.strict_boolean("rotateWorkerToken")?,
        manager_token: query.strict_boolean("rotateManagerToken")?,
        unlock_key: query.strict_boolean("rotateManagerUnlockKey")?,
    };
    let (manager, caller) = api.manager(peer)?;
    let spec = spec::complete(wanted)?;
    let read = manager.read().await?;
    refuse_external_authorities(&spec, &read.cluster.spec)?;
    manager.control(caller, ControlRequest::UpdateSwarm { version, spec, rotation }).await?;
    Ok(done())
}

/// Refuses what would need another authority's word, rather than to say that it was done.
fn refuse_external_authorities(wanted: &SwarmSpec, current: &SwarmSpec) -> Result<(), ApiError> {
    if wanted.ca_config.external_cas != current.ca_config.external_cas {
        return Err(ApiError::not_offered("this engine does not work with external certificate authorities yet"));
    }
    Ok(())
}

/// `GET /swarm/unlockkey`: without autolock there is none, which Docker answers with an empty key.
pub(super) async fn unlock_key(State(api): State<Api>) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct UnlockKeyDocument<'a> {
        unlock_key: &'a str,
    }
    let read = api.node.manager()?.read().await?;
    let unlock_key = read.cluster.state.unlock_key.as_ref().map_or("", Secret::expose);
    Ok(json(StatusCode::OK, &UnlockKeyDocument { unlock_key }))
}

/// `POST /swarm/unlock`
pub(super) async fn unlock(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    let body: UnlockBody = read_json(request).await?;
    api.node.unlock(&body.unlock_key).await?;
    Ok(done())
}

fn broken_root(error: &CertificateError) -> ApiError {
    SwarmError::internal(format!("failed to read the swarm's root: {error}")).into()
}
