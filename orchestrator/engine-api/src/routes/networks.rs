//! The networks of the node: list, look at. There are no others yet.

use axum::response::Response;
use http::StatusCode;

use model::NodeNetwork;

use crate::error::ApiError;
use crate::filters::Filters;
use crate::path::Named;
use crate::query::Query;
use crate::respond::json;
use crate::views::network::NetworkDocument;

/// The filters of a list of networks.
const FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];
/// How far a network of the node reaches.
const LOCAL: &str = "local";
/// How far it reaches to a swarm, which may name it in its services.
const SWARM: &str = "swarm";

/// `GET /networks`
pub(super) async fn list(query: Query) -> Result<Response, ApiError> {
    let filters = Filters::read(&query, FILTERS)?;
    let documents: Vec<_> = NodeNetwork::ALL
        .into_iter()
        .filter(|network| is_shown(&filters, *network))
        .map(|network| NetworkDocument::new(network, LOCAL))
        .collect();
    Ok(json(StatusCode::OK, &documents))
}

/// `GET /networks/{id}`
pub(super) async fn inspect(Named(id): Named, query: Query) -> Result<Response, ApiError> {
    let network = NodeNetwork::find(&id)
        .ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, format!("network {id} not found")))?;
    let scope = if query.text("scope") == SWARM { SWARM } else { LOCAL };
    Ok(json(StatusCode::OK, &NetworkDocument::new(network, scope)))
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
