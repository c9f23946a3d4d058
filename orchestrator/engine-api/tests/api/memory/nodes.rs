//! The nodes of the swarm in memory, and what may be changed of them.

use model::{Meta, NodeHealth, NodeId, NodeSpec, Role, SwarmError, Version};

use super::{State, member};

impl State {
    pub(super) fn update_node(&mut self, id: &NodeId, version: Version, spec: NodeSpec) -> Result<(), SwarmError> {
        let managers = self.nodes.values().filter(|node| node.spec.role == Role::Manager).count();
        let meta = self.stamp();
        let node = self.nodes.get_mut(id).ok_or_else(|| SwarmError::not_found(format!("node {id} not found")))?;
        if node.meta.version != version {
            return Err(SwarmError::out_of_sequence());
        }
        if node.spec.role == Role::Manager && spec.role == Role::Worker && managers == 1 {
            return Err(SwarmError::precondition(
                "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm",
            ));
        }
        let number = id.as_str()[..5].parse().unwrap();
        node.state.member = (spec.role == Role::Manager).then(|| member(number));
        node.state.role = spec.role;
        node.spec = spec;
        node.meta = Meta { created_at: node.meta.created_at, ..meta };
        Ok(())
    }

    pub(super) fn remove_node(&mut self, id: &NodeId, force: bool) -> Result<(), SwarmError> {
        let node = self.nodes.get(id).ok_or_else(|| SwarmError::not_found(format!("node {id} not found")))?;
        let refuse =
            |text: String| Err(SwarmError::precondition(format!("rpc error: code = FailedPrecondition desc = {text}")));
        if node.state.member.is_some() {
            return refuse(format!(
                "node {id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker \
                 before removal"
            ));
        }
        if node.state.status.state != NodeHealth::Down && !force {
            return refuse(format!("node {id} is not down and can't be removed"));
        }
        self.nodes.remove(id);
        Ok(())
    }
}
