//! Nodes: by id, role, host name and raft id.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use model::{Meta, Node, NodeId, RaftId, Role, SwarmError, Version};

use crate::table::{Table, Whole, remove_from};
use crate::{Event, Snapshot, Transaction};

/// The nodes and their indexes.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeTable {
    nodes: OrdMap<NodeId, Arc<Node>>,
    by_role: OrdMap<Role, OrdSet<NodeId>>,
    by_hostname: OrdMap<String, OrdSet<NodeId>>,
    by_raft_id: OrdMap<RaftId, NodeId>,
}

impl Table for NodeTable {
    type Key = NodeId;
    type Object = Node;
    type Amendment = Whole;

    const KIND: &'static str = "node";

    fn key(node: &Node) -> NodeId {
        node.id.clone()
    }

    fn meta(node: &Node) -> &Meta {
        &node.meta
    }

    fn meta_mut(node: &mut Node) -> &mut Meta {
        &mut node.meta
    }

    fn get(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(id)
    }

    fn put(&mut self, node: Arc<Node>) {
        self.remove(&node.id);
        self.by_role.entry(node.state.role).or_default().insert(node.id.clone());
        if let Some(hostname) = hostname(&node) {
            self.by_hostname.entry(hostname.to_owned()).or_default().insert(node.id.clone());
        }
        if let Some(member) = &node.state.member {
            self.by_raft_id.insert(member.raft_id, node.id.clone());
        }
        self.nodes.insert(node.id.clone(), node);
    }

    fn remove(&mut self, id: &NodeId) -> Option<Arc<Node>> {
        let node = self.nodes.remove(id)?;
        remove_from(&mut self.by_role, &node.state.role, id);
        if let Some(hostname) = hostname(&node) {
            remove_from(&mut self.by_hostname, &hostname.to_owned(), id);
        }
        if let Some(member) = &node.state.member
            && self.by_raft_id.get(&member.raft_id) == Some(id)
        {
            self.by_raft_id.remove(&member.raft_id);
        }
        Some(node)
    }

    fn objects(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    fn changed(node: &Node, _known: Option<&Arc<Node>>) -> Event {
        Event::NodeChanged(node.id.clone())
    }

    fn removed(node: Arc<Node>) -> Event {
        Event::NodeRemoved(node)
    }
}

impl NodeTable {
    /// The nodes that are members of raft.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.by_raft_id.values().filter_map(|id| self.nodes.get(id))
    }
}

/// Looking nodes up.
impl Snapshot {
    /// A node by its id.
    pub fn node(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.tables().nodes.nodes.get(id)
    }

    /// All nodes, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.tables().nodes.nodes.values()
    }

    /// The nodes of a role: the one that they have, not the one that is wanted.
    pub fn nodes_by_role(&self, role: Role) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes_of(self.tables().nodes.by_role.get(&role))
    }

    /// The node that is this member of raft.
    pub fn node_by_raft_id(&self, id: RaftId) -> Option<&Arc<Node>> {
        self.node(self.tables().nodes.by_raft_id.get(&id)?)
    }

    /// The nodes that say that this is their host name; it need not be unique.
    pub fn nodes_by_hostname(&self, hostname: &str) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes_of(self.tables().nodes.by_hostname.get(hostname))
    }

    /// The nodes whose id begins with a text.
    pub fn nodes_by_id_prefix<'p>(&'p self, prefix: &'p str) -> impl Iterator<Item = &'p Arc<Node>> {
        self.nodes().filter(move |node| node.id.as_str().starts_with(prefix))
    }

    fn nodes_of<'s>(&'s self, ids: Option<&'s OrdSet<NodeId>>) -> impl Iterator<Item = &'s Arc<Node>> {
        ids.into_iter().flatten().filter_map(|id| self.node(id))
    }
}

/// Changing nodes.
impl Transaction {
    /// Adds a node. Version and times are set by the store.
    ///
    /// # Errors
    /// There is a node of this id.
    pub fn create_node(&mut self, node: Node) -> Result<(), SwarmError> {
        self.create::<NodeTable>(node)
    }

    /// Changes a node, if its version is still the one given. A change that changes nothing is none.
    ///
    /// # Errors
    /// There is no such node, or another version of it.
    pub fn update_node(
        &mut self,
        id: &NodeId,
        version: Option<Version>,
        change: impl FnOnce(&mut Node),
    ) -> Result<(), SwarmError> {
        self.update::<NodeTable>(id, version, change)
    }

    /// Removes a node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn remove_node(&mut self, id: &NodeId) -> Result<(), SwarmError> {
        self.remove::<NodeTable>(id)
    }
}

fn hostname(node: &Node) -> Option<&str> {
    node.state.description.as_ref().map(|description| description.hostname.as_str())
}
