//! Finds the object that a path names: full id, then exact name, then a prefix of the id that only one has.

use std::sync::Arc;

use model::{Node, SwarmError};
use node::SwarmRead;

/// Finds a node by id, host name or the beginning of its id.
///
/// # Errors
/// There is none (404) or more than one (400), in Docker's words.
pub(crate) fn find_node(read: &SwarmRead, input: &str) -> Result<Arc<Node>, SwarmError> {
    let exact = input.parse().ok().and_then(|id| read.nodes.get(&id));
    if let Some(node) = exact {
        return Ok(Arc::clone(node));
    }
    let mut matches: Vec<_> = read.nodes.values().filter(|node| is_named(node, input)).collect();
    if matches.is_empty() {
        matches = read.nodes.values().filter(|node| node.id.as_str().starts_with(input)).collect();
    }
    match matches.as_slice() {
        [] => Err(SwarmError::not_found(format!("node {input} not found"))),
        [node] => Ok(Arc::clone(node)),
        [_, _, ..] => Err(SwarmError::invalid(format!("node {input} is ambiguous ({} matches found)", matches.len()))),
    }
}

fn is_named(node: &Node, input: &str) -> bool {
    let hostname = node.state.description.as_ref().map(|description| description.hostname.as_str());
    hostname == Some(input) || node.spec.name == input
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{Cluster, ClusterState, JoinSecrets, Meta, NodeDescription, NodeSpec, NodeState, RootCa, SwarmSpec};
    use store::{Clock, Store};

    use super::*;

    const FIRST: &str = "aaaaaaaaaaaaaaaaaaaaaaaa1";
    const SECOND: &str = "aaaaaaaaaaaaaaaaaaaaaaaa2";
    const THIRD: &str = "bbbbbbbbbbbbbbbbbbbbbbbb3";

    fn node(id: &str, hostname: &str) -> Arc<Node> {
        let description = Some(NodeDescription { hostname: hostname.to_owned(), ..NodeDescription::default() });
        Arc::new(Node {
            id: id.parse().unwrap(),
            meta: Meta::default(),
            spec: NodeSpec::default(),
            state: NodeState { description, ..NodeState::default() },
        })
    }

    fn read() -> SwarmRead {
        let nodes = [node(FIRST, "node-1"), node(SECOND, "twin"), node(THIRD, "twin")];
        let root_ca = RootCa::new("", model::Secret::default());
        let join_secrets = JoinSecrets { worker: model::Secret::default(), manager: model::Secret::default() };
        let state = ClusterState {
            root_ca,
            join_secrets,
            unlock_key: None,
            gossip_keys: Vec::new(),
            client_ca: None,
            removed_nodes: Vec::new(),
            removed_raft_ids: Vec::new(),
            data_path_port: 4789,
            default_addr_pool: Vec::new(),
            subnet_size: 24,
        };
        let id = "cccccccccccccccccccccccc1".parse().unwrap();
        let cluster = Cluster { id, meta: Meta::default(), spec: SwarmSpec::default(), state };
        SwarmRead {
            cluster: Arc::new(cluster),
            nodes: nodes.into_iter().map(|node| (node.id.clone(), node)).collect(),
            managers: BTreeMap::new(),
            snapshot: Store::new(Clock::system()).view(),
        }
    }

    #[test]
    fn a_node_is_found_by_id_name_and_prefix_in_that_order() {
        let read = read();
        let check = |input: &str, expected: Result<&str, &str>| {
            let found = find_node(&read, input).map(|node| node.id.to_string()).map_err(|error| error.message);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{input}");
        };
        check(SECOND, Ok(SECOND));
        check("node-1", Ok(FIRST));
        check("b", Ok(THIRD));
        check(&FIRST[..24], Err("node aaaaaaaaaaaaaaaaaaaaaaaa is ambiguous (2 matches found)"));
        check("twin", Err("node twin is ambiguous (2 matches found)"));
        check("node", Err("node node not found"));
        check("zz", Err("node zz not found"));
    }
}
