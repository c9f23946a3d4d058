//! The nodes of the swarm: list, look at, change, remove.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use model::{ControlRequest, Node, Role};

use crate::api::{Api, PeerOf};
use crate::body::read_json;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::lookup::find_node;
use crate::path::Named;
use crate::query::Query;
use crate::respond::{done, json};
use crate::spec::NodeSpecBody;
use crate::views::node::NodeDocument;

/// The filters of a list of nodes.
const FILTERS: &[&str] = &["id", "label", "membership", "name", "node.label", "role"];

/// `GET /nodes`
pub(super) async fn list(State(api): State<Api>, query: Query) -> Result<Response, ApiError> {
    let manager = api.node.manager()?;
    let filters = Filters::read(&query, FILTERS)?;
    check_values(&filters)?;
    let read = manager.read().await?;
    let nodes = read.nodes.values().filter(|node| is_shown(&filters, node));
    let documents: Vec<_> = nodes.map(|node| NodeDocument::new(node, read.managers.get(&node.id).copied())).collect();
    Ok(json(StatusCode::OK, &documents))
}

/// `GET /nodes/{id}`
pub(super) async fn inspect(State(api): State<Api>, Named(id): Named) -> Result<Response, ApiError> {
    let read = api.node.manager()?.read().await?;
    let node = find_node(&read, &id)?;
    Ok(json(StatusCode::OK, &NodeDocument::new(node, read.managers.get(&node.id).copied())))
}

/// `POST /nodes/{id}/update`
pub(super) async fn update(
    State(api): State<Api>,
    Extension(peer): PeerOf,
    Named(id): Named,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let body: NodeSpecBody = read_json(request).await?;
    let version = query.version("node")?;
    let (manager, caller) = api.manager(peer)?;
    let spec = body.into_spec()?;
    let id = find_node(&manager.read().await?, &id)?.id.clone();
    manager.control(caller, ControlRequest::UpdateNode { id, version, spec }).await?;
    Ok(done())
}

/// `DELETE /nodes/{id}`
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(peer): PeerOf,
    Named(id): Named,
    query: Query,
) -> Result<Response, ApiError> {
    let (manager, caller) = api.manager(peer)?;
    let id = find_node(&manager.read().await?, &id)?.id.clone();
    manager.control(caller, ControlRequest::RemoveNode { id, force: query.boolean("force") }).await?;
    Ok(done())
}

/// Refuses roles and memberships that there are not, in Docker's words.
fn check_values(filters: &Filters) -> Result<(), ApiError> {
    let refuse = |key: &str, known: [&str; 2]| {
        let unknown = filters.values(key).find(|value| !known.contains(&value.to_lowercase().as_str()));
        unknown.map_or(Ok(()), |value| Err(ApiError::invalid(format!("Invalid {key} filter: '{value}'"))))
    };
    refuse("role", [Role::Manager.as_str(), Role::Worker.as_str()])?;
    refuse("membership", ["accepted", "pending"])
}

/// Ids and names match by prefix; `label` means the engine's labels, `node.label` those of the node. A node that
/// has not told of itself has neither name nor engine.
fn is_shown(filters: &Filters, node: &Node) -> bool {
    let description = node.state.description.clone().unwrap_or_default();
    let is_one_of = |key: &str, word: &str| {
        filters.values(key).next().is_none() || filters.values(key).any(|value| value.eq_ignore_ascii_case(word))
    };
    filters.admits_prefix("id", node.id.as_str())
        && filters.admits_prefix("name", &description.hostname)
        && filters.admits_labels("label", &description.engine.labels)
        && filters.admits_labels("node.label", &node.spec.labels)
        && is_one_of("role", node.spec.role.as_str())
        // A node that holds a certificate has been accepted.
        && is_one_of("membership", "accepted")
}
