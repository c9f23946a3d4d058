//! What may be changed: the rules across objects, in Docker's words. Pure.

use std::time::Duration;

use jiff::Timestamp;
use model::{
    ErrorKind, Node, NodeHealth, NodeId, NodeSpec, RemovedNode, Role, Rotation, Secret, SwarmError, SwarmSpec,
    validate_swarm_spec,
};

use crate::words::{not_found, precondition, refusal};

/// What the rules must know of raft at the moment of the change.
pub(crate) trait Members: Send + Sync {
    /// Whether the node is a member.
    fn is_member(&self, node: &NodeId) -> bool;
    /// Whether the others would have no quorum without it.
    fn would_lose_quorum_without(&self, node: &NodeId) -> bool;
}

/// How long a removed node's name is kept beyond the longest life of its certificate (SwarmKit's week).
const REMOVED_MARGIN: Duration = Duration::from_hours(7 * 24);
/// A certificate that was issued under an earlier setting may live this long (Docker's default expiry).
const LONGEST_USUAL_LIFE: Duration = Duration::from_hours(90 * 24);

/// A node that is not there.
pub(crate) fn no_such_node(id: &NodeId) -> SwarmError {
    not_found(&format!("node {id} not found"))
}

/// Checks a change of what is wanted of a node.
pub(crate) fn check_node_update<'a>(
    node: &Node,
    spec: &NodeSpec,
    mut others: impl Iterator<Item = &'a Node>,
    members: &dyn Members,
) -> Result<(), SwarmError> {
    let is_demotion = node.spec.role == Role::Manager && spec.role == Role::Worker;
    if !is_demotion {
        return Ok(());
    }
    if !others.any(|other| other.id != node.id && other.spec.role == Role::Manager) {
        return Err(precondition("attempting to demote the last manager of the swarm"));
    }
    if members.is_member(&node.id) && members.would_lose_quorum_without(&node.id) {
        return Err(precondition("can't remove member from the raft: this would result in a loss of quorum"));
    }
    Ok(())
}

/// Checks the removal of a node.
pub(crate) fn check_node_removal(node: &Node, force: bool, members: &dyn Members) -> Result<(), SwarmError> {
    if members.is_member(&node.id) {
        return Err(precondition(&format!(
            "node {} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before \
             removal",
            node.id
        )));
    }
    if !force && node.state.status.state == NodeHealth::Ready {
        return Err(precondition(&format!("node {} is not down and can't be removed", node.id)));
    }
    Ok(())
}

/// Checks a change of the swarm's settings against those it has.
pub(crate) fn check_swarm_update(current: &SwarmSpec, wanted: &SwarmSpec) -> Result<(), SwarmError> {
    validate_swarm_spec(wanted)?;
    let not_offered = |what: &str| Err(refusal(ErrorKind::Unimplemented, &format!("{what} is not supported")));
    let (now, then) = (&current.ca_config, &wanted.ca_config);
    if !then.external_cas.is_empty() && then.external_cas != now.external_cas {
        return not_offered("an external certificate authority");
    }
    Ok(())
}

/// The unlock key after a change of the settings: none while managers do not lock themselves, and `fresh` where there is
/// none yet or another one is asked for.
pub(crate) fn next_unlock_key(
    current: Option<Secret>,
    wanted: &SwarmSpec,
    rotation: Rotation,
    fresh: Secret,
) -> Option<Secret> {
    if !wanted.encryption_config.auto_lock_managers {
        return None;
    }
    Some(current.filter(|_| !rotation.unlock_key).unwrap_or(fresh))
}

/// The list of removed nodes with one more, and without those whose certificates have certainly expired.
pub(crate) fn with_removed(
    removed: &[RemovedNode],
    node: &NodeId,
    certificate_life: Duration,
    now: Timestamp,
) -> Vec<RemovedNode> {
    let life = certificate_life.max(LONGEST_USUAL_LIFE) + REMOVED_MARGIN;
    let until = now.saturating_add(life).unwrap_or(Timestamp::MAX);
    let mut list: Vec<RemovedNode> =
        removed.iter().filter(|entry| entry.until > now && entry.id != *node).cloned().collect();
    list.push(RemovedNode { id: node.clone(), until });
    list
}

#[cfg(test)]
mod tests {
    use model::{CaConfig, ExternalCa, Meta, NodeState, NodeStatus};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[derive(Debug, Default)]
    struct FixedMembers {
        members: Vec<NodeId>,
        is_quorum_short: bool,
    }

    impl Members for FixedMembers {
        fn is_member(&self, node: &NodeId) -> bool {
            self.members.contains(node)
        }

        fn would_lose_quorum_without(&self, _node: &NodeId) -> bool {
            self.is_quorum_short
        }
    }

    fn node(seed: u64, role: Role, state: NodeHealth) -> Node {
        Node {
            id: NodeId::generate(&mut StdRng::seed_from_u64(seed)),
            meta: Meta::default(),
            spec: NodeSpec { role, ..NodeSpec::default() },
            state: NodeState { role, status: NodeStatus { state, ..NodeStatus::default() }, ..NodeState::default() },
        }
    }

    fn message(outcome: Result<(), SwarmError>) -> String {
        outcome.map_or_else(|error| error.message, |()| "allowed".to_owned())
    }

    #[test]
    fn the_last_manager_is_not_demoted() {
        let (only, worker) = (node(1, Role::Manager, NodeHealth::Ready), node(2, Role::Worker, NodeHealth::Ready));
        let others = [only.clone(), worker];

        let outcome = check_node_update(&only, &NodeSpec::default(), others.iter(), &FixedMembers::default());

        assert_eq!(
            message(outcome),
            "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm"
        );
    }

    #[test]
    fn a_demotion_that_would_lose_the_quorum_is_refused() {
        let (one, two) = (node(1, Role::Manager, NodeHealth::Ready), node(2, Role::Manager, NodeHealth::Down));
        let others = [one.clone(), two];
        let short = FixedMembers { members: vec![one.id.clone()], is_quorum_short: true };
        let rich = FixedMembers { is_quorum_short: false, ..FixedMembers { members: vec![one.id.clone()], ..short } };

        let check =
            |members: &FixedMembers| message(check_node_update(&one, &NodeSpec::default(), others.iter(), members));

        assert_eq!(check(&rich), "allowed");
        assert_eq!(
            check(&FixedMembers { is_quorum_short: true, ..rich }),
            "rpc error: code = FailedPrecondition desc = can't remove member from the raft: this would result in a \
             loss of quorum"
        );
    }

    #[test]
    fn labels_and_availability_change_freely() {
        let only = node(1, Role::Manager, NodeHealth::Ready);
        let spec = NodeSpec { availability: model::Availability::Drain, ..only.spec.clone() };

        let outcome = check_node_update(&only, &spec, [only.clone()].iter(), &FixedMembers::default());

        assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn a_node_is_removed_once_it_is_down_and_no_member_of_raft() {
        let check = |state: NodeHealth, force: bool, is_member: bool, expected: &str| {
            let node = node(1, Role::Worker, state);
            let members = FixedMembers {
                members: if is_member { vec![node.id.clone()] } else { vec![] },
                is_quorum_short: false,
            };
            let expected = expected.replace("ID", node.id.as_str());
            assert_eq!(message(check_node_removal(&node, force, &members)), expected, "{state:?} {force} {is_member}");
        };
        let not_down = "rpc error: code = FailedPrecondition desc = node ID is not down and can't be removed";
        let is_manager = "rpc error: code = FailedPrecondition desc = node ID is a cluster manager and is a member of \
                          the raft cluster. It must be demoted to worker before removal";

        check(NodeHealth::Down, false, false, "allowed");
        check(NodeHealth::Unknown, false, false, "allowed");
        check(NodeHealth::Ready, false, false, not_down);
        check(NodeHealth::Ready, true, false, "allowed");
        check(NodeHealth::Down, false, true, is_manager);
        check(NodeHealth::Down, true, true, is_manager);
    }

    #[test]
    fn what_is_not_offered_is_refused_and_what_stays_as_it_is_passes() {
        let check = |wanted: SwarmSpec, expected: &str| {
            assert_eq!(message(check_swarm_update(&SwarmSpec::default(), &wanted)), expected);
        };
        let ca = |ca_config: CaConfig| SwarmSpec { ca_config, ..SwarmSpec::default() };

        check(SwarmSpec::default(), "allowed");
        check(ca(CaConfig { force_rotate: 1, ..CaConfig::default() }), "allowed");
        let outside = ExternalCa { protocol: "cfssl".to_owned(), ..ExternalCa::default() };
        check(
            ca(CaConfig { external_cas: vec![outside], ..CaConfig::default() }),
            "rpc error: code = Unimplemented desc = an external certificate authority is not supported",
        );
        check(
            ca(CaConfig { node_cert_expiry: 1, ..CaConfig::default() }),
            "rpc error: code = InvalidArgument desc = minimum certificate expiry time is: 1h0m0s",
        );
    }

    #[test]
    fn there_is_an_unlock_key_while_managers_lock_themselves_and_it_changes_when_asked() {
        let check = |current: Option<&str>, is_on: bool, rotate: bool, expected: Option<&str>| {
            let mut wanted = SwarmSpec::default();
            wanted.encryption_config.auto_lock_managers = is_on;
            let rotation = Rotation { unlock_key: rotate, ..Rotation::default() };
            let next = next_unlock_key(current.map(Secret::new), &wanted, rotation, Secret::new("fresh"));
            assert_eq!(next, expected.map(Secret::new), "{current:?} {is_on} {rotate}");
        };

        check(None, false, false, None);
        check(None, false, true, None);
        check(None, true, false, Some("fresh"));
        check(Some("old"), true, false, Some("old"));
        check(Some("old"), true, true, Some("fresh"));
        check(Some("old"), false, false, None);
    }

    #[test]
    fn a_removed_node_stays_on_the_list_until_its_certificate_has_expired() {
        let now = Timestamp::UNIX_EPOCH;
        let (old, new) = (node(1, Role::Worker, NodeHealth::Down).id, node(2, Role::Worker, NodeHealth::Down).id);
        let first = with_removed(&[], &old, Duration::from_hours(1), now);
        let later = now + Duration::from_hours(98 * 24);

        assert_eq!(first[0].until, now + Duration::from_hours(97 * 24));
        assert_eq!(with_removed(&first, &new, Duration::from_hours(1), now).len(), 2);
        assert_eq!(with_removed(&first, &new, Duration::from_hours(1), later).len(), 1);
    }
}
