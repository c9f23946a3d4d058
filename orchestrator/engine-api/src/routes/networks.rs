//! The networks of the node: list, look at. There are no others yet, so none can be made, and none removed.

use axum::extract::State;
use axum::response::Response;
use engine::{ContainerView, Engine, NetworkMode};
use http::StatusCode;
use jiff::Timestamp;
use model::{NodeNetwork, with_causes};
use serde::Serialize;

use crate::api::Api;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::path::Named;
use crate::query::Query;
use crate::respond::json;
use crate::views::network::NetworkDocument;

/// The filters of a list of networks.
const FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];
/// The filters of a prune.
const PRUNE_FILTERS: &[&str] = &["label", "label!", "until"];
/// How far a network of the node reaches.
const LOCAL: &str = "local";
/// How far it reaches to a swarm, which may name it in its services.
const SWARM: &str = "swarm";

/// `GET /networks`
pub(super) async fn list(State(api): State<Api>, query: Query) -> Result<Response, ApiError> {
    let filters = Filters::read(&query, FILTERS)?;
    check_values(&filters)?;
    let mut documents = Vec::new();
    for network in NodeNetwork::ALL.into_iter().filter(|network| is_shown(&filters, *network)) {
        documents.push(document(&api.engine, network, LOCAL).await?);
    }
    Ok(json(StatusCode::OK, &documents))
}

/// `GET /networks/{id}`
pub(super) async fn inspect(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    let network = find(&id)?;
    let scope = if query.text("scope") == SWARM { SWARM } else { LOCAL };
    let mut document = document(&api.engine, network, scope).await?;
    for container in api.engine.containers().list() {
        if is_in(&container, network) {
            document.add(&container);
        }
    }
    Ok(json(StatusCode::OK, &document))
}

/// `POST /networks/create`
pub(super) async fn create() -> ApiError {
    ApiError::not_offered(
        "this engine does not make networks yet: containers and services use `bridge`, `host` or `none`",
    )
}

/// `DELETE /networks/{id}`
pub(super) async fn remove(Named(id): Named) -> Result<Response, ApiError> {
    let name = find(&id)?.name();
    Err(ApiError::new(StatusCode::FORBIDDEN, format!("{name} is a pre-defined network and cannot be removed")))
}

/// `POST /networks/prune`
pub(super) async fn prune(query: Query) -> Result<Response, ApiError> {
    /// Docker's `NetworksPruneReport`; Go writes a list of nothing as `null`.
    #[derive(Debug, Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Pruned {
        networks_deleted: Option<Vec<String>>,
    }
    Filters::read(&query, PRUNE_FILTERS)?.until(Timestamp::now())?;
    Ok(json(StatusCode::OK, &Pruned { networks_deleted: None }))
}

fn find(id: &str) -> Result<NodeNetwork, ApiError> {
    NodeNetwork::find(id).ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, format!("network {id} not found")))
}

async fn document(engine: &Engine, network: NodeNetwork, scope: &'static str) -> Result<NetworkDocument, ApiError> {
    let subnet = match network {
        NodeNetwork::Bridge => {
            let subnet = engine.containers().bridge_subnet().await;
            let failed = |error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, with_causes(&error));
            Some(subnet.map_err(failed)?)
        }
        NodeNetwork::Host | NodeNetwork::None => None,
    };
    Ok(NetworkDocument::new(network, scope, subnet))
}

fn is_in(container: &ContainerView, network: NodeNetwork) -> bool {
    let mode = NetworkMode::of(&container.record.config, &container.record.host_config);
    container.state.status.has_process() && mode == Ok(NetworkMode::Node(network))
}

/// Refuses values that say nothing, in Docker's words.
fn check_values(filters: &Filters) -> Result<(), ApiError> {
    filters.boolean("dangling")?;
    match filters.values("type").find(|kind| !matches!(*kind, "builtin" | "custom")) {
        Some(kind) => Err(ApiError::invalid(format!("invalid filter: 'type'='{kind}'"))),
        None => Ok(()),
    }
}

/// Ids and names are matched by any part of them, as Docker matches those of networks.
fn is_shown(filters: &Filters, network: NodeNetwork) -> bool {
    let has_part = |key: &str, text: &str| {
        let mut values = filters.values(key).peekable();
        values.peek().is_none() || values.any(|value| text.contains(value))
    };
    has_part("id", network.id())
        && has_part("name", network.name())
        && filters.admits("driver", network.driver())
        && filters.admits("scope", LOCAL)
        && filters.admits("type", "builtin")
        && filters.values("label").next().is_none()
        // Nobody can remove them, so none is unused in Docker's sense.
        && filters.values("dangling").all(|value| value == "false" || value == "0")
}
