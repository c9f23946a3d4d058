//! Finds the object that a path names: full id, then exact name, then a prefix of the id that only one has.

use model::{Node, Service, SwarmError, Task};
use node::SwarmRead;

/// Finds a node by id, host name or the beginning of its id.
///
/// # Errors
/// There is none (404) or more than one (400), in Docker's words.
pub(crate) fn find_node<'r>(read: &'r SwarmRead, input: &str) -> Result<&'r Node, SwarmError> {
    if let Some(node) = input.parse().ok().and_then(|id| read.nodes.get(&id)) {
        return Ok(node);
    }
    let nodes = || read.nodes.values().map(AsRef::as_ref);
    the_only("node", input, nodes().filter(|node| is_named(node, input)).collect(), || {
        nodes().filter(|node| node.id.as_str().starts_with(input)).collect()
    })
}

/// Finds a service by id, name or the beginning of its id; none that is removed.
///
/// # Errors
/// As of [`find_node`].
pub(crate) fn find_service<'r>(read: &'r SwarmRead, input: &str) -> Result<&'r Service, SwarmError> {
    let is_there = |service: &&Service| !service.state.is_removed;
    let exact = input.parse().ok().and_then(|id| read.snapshot.service(&id)).map(AsRef::as_ref).filter(is_there);
    if let Some(service) = exact {
        return Ok(service);
    }
    let named = read.snapshot.service_by_name(input).map(AsRef::as_ref);
    the_only("service", input, named.into_iter().collect(), || {
        let services = read.snapshot.services().map(AsRef::as_ref).filter(is_there);
        services.filter(|service| service.id.as_str().starts_with(input)).collect()
    })
}

/// Finds a task by id, the name of its container or the beginning of its id.
///
/// # Errors
/// As of [`find_node`].
pub(crate) fn find_task<'r>(read: &'r SwarmRead, input: &str) -> Result<&'r Task, SwarmError> {
    if let Some(task) = input.parse().ok().and_then(|id| read.snapshot.task(&id)) {
        return Ok(task);
    }
    let tasks = || read.snapshot.tasks().map(AsRef::as_ref);
    // The id stands at the end of the name.
    let named = input.rsplit('.').next().and_then(|id| id.parse().ok()).and_then(|id| read.snapshot.task(&id));
    let named = named.map(AsRef::as_ref).filter(|task: &&Task| task.container_name() == input);
    the_only("task", input, named.into_iter().collect(), || {
        tasks().filter(|task| task.id.as_str().starts_with(input)).collect()
    })
}

/// The only one of those that have the name or, where none has, of those whose id begins so.
fn the_only<'r, T>(
    kind: &str,
    input: &str,
    named: Vec<&'r T>,
    begin_so: impl FnOnce() -> Vec<&'r T>,
) -> Result<&'r T, SwarmError> {
    let matches = if named.is_empty() { begin_so() } else { named };
    match matches.as_slice() {
        [] => Err(SwarmError::not_found(format!("{kind} {input} not found"))),
        [object] => Ok(object),
        [_, _, ..] => {
            Err(SwarmError::invalid(format!("{kind} {input} is ambiguous ({} matches found)", matches.len())))
        }
    }
}

fn is_named(node: &Node, input: &str) -> bool {
    let hostname = node.state.description.as_ref().map(|description| description.hostname.as_str());
    hostname == Some(input) || node.spec.name == input
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

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
