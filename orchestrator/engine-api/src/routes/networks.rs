//! The networks of the node: those that it has by itself, and those that operators make.

use axum::extract::{Request, State};
use axum::response::Response;
use engine::{ContainerView, EndpointSettings, Engine, Network, NetworkFilter, NetworkMode, NetworkRequest};
use http::StatusCode;
use jiff::Timestamp;
use model::NodeNetwork;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::body::read_json;
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
/// How far one that it has by itself reaches to a swarm, which may name it in its services.
const SWARM: &str = "swarm";

/// `GET /networks`
pub(super) async fn list(State(api): State<Api>, query: Query) -> Result<Response, ApiError> {
    let filters = Filters::read(&query, FILTERS)?;
    check_types(&filters)?;
    let is_dangling = filters.boolean("dangling")?;
    let containers = api.engine.containers().list();
    let mut documents = Vec::new();
    for network in api.engine.containers().networks().list() {
        let is_unused = matches!(network, Network::Local(_)) && !containers.iter().any(|view| is_in(view, &network));
        if is_shown(&filters, &network) && is_dangling.is_none_or(|is_dangling| is_dangling == is_unused) {
            documents.push(document(&api.engine, &network, LOCAL).await?);
        }
    }
    Ok(json(StatusCode::OK, &documents))
}

/// `GET /networks/{id}`
pub(super) async fn inspect(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    let network = api.engine.containers().networks().find(&id)?;
    let scope = match (query.text("scope"), &network) {
        ("" | LOCAL, _) => LOCAL,
        (SWARM, Network::Node(_)) => SWARM,
        _ => return Err(ApiError::new(StatusCode::NOT_FOUND, format!("network {id} not found"))),
    };
    let mut document = document(&api.engine, &network, scope).await?;
    for container in api.engine.containers().list() {
        if is_in(&container, &network) {
            document.add(&container);
        }
    }
    Ok(json(StatusCode::OK, &document))
}

/// `POST /networks/create`
pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    /// Docker's `NetworkCreateResponse`.
    #[derive(Debug, Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Created {
        id: String,
        warning: &'static str,
    }
    let request: NetworkRequest = read_json(request).await?;
    let network = api.engine.containers().create_network(request).await?;
    Ok(json(StatusCode::CREATED, &Created { id: network.id, warning: "" }))
}

/// `DELETE /networks/{id}`
pub(super) async fn remove(State(api): State<Api>, Named(id): Named) -> Result<StatusCode, ApiError> {
    api.engine.containers().remove_network(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /networks/prune`
pub(super) async fn prune(State(api): State<Api>, query: Query) -> Result<Response, ApiError> {
    /// Docker's `NetworksPruneReport`; Go writes a list of nothing as `null`.
    #[derive(Debug, Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Pruned {
        networks_deleted: Option<Vec<String>>,
    }
    let filters = Filters::read(&query, PRUNE_FILTERS)?;
    let filter = NetworkFilter {
        until: filters.until(Timestamp::now())?,
        labels: filters.labels("label"),
        not_labels: filters.labels("label!"),
    };
    let pruned = api.engine.containers().prune_networks(filter).await?;
    let networks_deleted = Some(pruned).filter(|pruned| !pruned.is_empty());
    Ok(json(StatusCode::OK, &Pruned { networks_deleted }))
}

/// `POST /networks/{id}/connect`
pub(super) async fn connect(
    State(api): State<Api>,
    Named(id): Named,
    request: Request,
) -> Result<StatusCode, ApiError> {
    /// Docker's `NetworkConnectRequest`.
    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Body {
        container: String,
        endpoint_config: EndpointSettings,
    }
    let body: Body = read_json(request).await?;
    let containers = api.engine.containers();
    Box::pin(containers.join_network(&id, &body.container, &body.endpoint_config)).await?;
    Ok(StatusCode::OK)
}

/// `POST /networks/{id}/disconnect`. Force has nothing to add: nobody is in a network but containers of this node.
pub(super) async fn disconnect(
    State(api): State<Api>,
    Named(id): Named,
    request: Request,
) -> Result<StatusCode, ApiError> {
    /// Docker's `NetworkDisconnectRequest`.
    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Body {
        container: String,
    }
    let body: Body = read_json(request).await?;
    Box::pin(api.engine.containers().leave_network(&id, &body.container)).await?;
    Ok(StatusCode::OK)
}

async fn document(engine: &Engine, network: &Network, scope: &'static str) -> Result<NetworkDocument, ApiError> {
    match network {
        Network::Node(network @ NodeNetwork::Bridge) => {
            let subnet = engine.containers().bridge_subnet().await?;
            Ok(NetworkDocument::of_node(*network, scope, Some(subnet)))
        }
        Network::Node(network @ (NodeNetwork::Host | NodeNetwork::None)) => {
            Ok(NetworkDocument::of_node(*network, scope, None))
        }
        Network::Local(network) => Ok(NetworkDocument::local(network)),
    }
}

/// Whether a container that runs is in a network.
fn is_in(container: &ContainerView, network: &Network) -> bool {
    let record = &container.record;
    container.state.status.has_process()
        && match network {
            Network::Node(network @ (NodeNetwork::Host | NodeNetwork::None)) => {
                NetworkMode::of(&record.config, &record.host_config) == Ok(NetworkMode::Node(*network))
            }
            Network::Node(NodeNetwork::Bridge) | Network::Local(_) => {
                container.state.endpoints.contains_key(network.id())
            }
        }
}

/// Refuses a type of networks that there is none of, in Docker's words.
fn check_types(filters: &Filters) -> Result<(), ApiError> {
    match filters.values("type").find(|kind| !matches!(*kind, "builtin" | "custom")) {
        Some(kind) => Err(ApiError::invalid(format!("invalid filter: 'type'='{kind}'"))),
        None => Ok(()),
    }
}

/// Ids and names are matched by any part of them, as Docker matches those of networks.
fn is_shown(filters: &Filters, network: &Network) -> bool {
    let has_part = |key: &str, text: &str| {
        let mut values = filters.values(key).peekable();
        values.peek().is_none() || values.any(|value| text.contains(value))
    };
    let is_labelled = match network {
        Network::Node(_) => filters.is_open("label"),
        Network::Local(network) => filters.admits_labels("label", &network.labels),
    };
    let kind = if matches!(network, Network::Node(_)) { "builtin" } else { "custom" };
    has_part("id", network.id())
        && has_part("name", network.name())
        && filters.admits("driver", network.driver())
        && filters.admits("scope", LOCAL)
        && filters.admits("type", kind)
        && is_labelled
}
