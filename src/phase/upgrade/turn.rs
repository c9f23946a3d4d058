//! Whose turn it is to be upgraded, and whether its managers can spare one. Pure.
//!
//! ```text
//! workers  ->  managers that are not well  ->  managers that follow  ->  the leader
//! ```
//! A manager that is not well comes first among managers: what it takes to be upgraded costs no quorum, and it may be
//! what an upgrade that failed has left. The leader comes last, so that it hands over once only.

use model::{NodeId, Role};

use crate::engine::SwarmNode;

/// A machine that has not had its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its number.
    pub(super) number: u32,
    /// The role that is wanted of it.
    pub(super) role: Role,
    /// Whether the swarm shows it well.
    pub(super) is_well: bool,
    /// Whether it leads.
    pub(super) is_leader: bool,
}

/// The number of the machine whose turn it is; `None` where none is left.
pub(super) fn next(left: &[Candidate]) -> Option<u32> {
    let rank = |candidate: &Candidate| match (candidate.role, candidate.is_well, candidate.is_leader) {
        (Role::Worker, _, _) => 0,
        (Role::Manager, false, _) => 1,
        (Role::Manager, true, false) => 2,
        (Role::Manager, true, true) => 3,
    };
    left.iter().min_by_key(|candidate| (rank(candidate), candidate.number)).map(|candidate| candidate.number)
}

/// The managers that would have to be well for this node to be missed for a moment; empty where it can be.
///
/// One or two managers have no quorum without each other, whatever is done: they can be spared while all are well.
pub(super) fn missing_for_quorum(nodes: &[SwarmNode], node: &NodeId) -> Vec<String> {
    let managers: Vec<_> = nodes.iter().filter(|node| node.role == Role::Manager).collect();
    let is_spared = managers.iter().find(|manager| manager.id == *node).is_none_or(|manager| !manager.is_well());
    let (well, unwell): (Vec<&SwarmNode>, Vec<_>) =
        managers.iter().copied().filter(|manager| manager.id != *node).partition(|manager| manager.is_well());
    let majority = managers.len() / 2 + 1;
    if is_spared || unwell.is_empty() || well.len() >= majority {
        return Vec::new();
    }
    unwell.into_iter().map(|manager| manager.hostname.clone()).collect()
}

#[cfg(test)]
mod tests {
    use model::Availability;

    use super::*;
    use crate::engine::ManagerStanding;

    fn candidate(number: u32, role: Role, is_well: bool, is_leader: bool) -> Candidate {
        Candidate { number, role, is_well, is_leader }
    }

    #[test]
    fn workers_come_first_and_the_leader_last() {
        let mut left = vec![
            candidate(1, Role::Manager, true, true),
            candidate(2, Role::Manager, true, false),
            candidate(3, Role::Manager, false, false),
            candidate(4, Role::Worker, false, false),
            candidate(5, Role::Worker, true, false),
        ];
        let mut turns = Vec::new();

        while let Some(number) = next(&left) {
            left.retain(|candidate| candidate.number != number);
            turns.push(number);
        }

        assert_eq!(turns, [4, 5, 3, 2, 1]);
    }

    fn id(number: u32) -> NodeId {
        format!("{number:025}").parse().unwrap()
    }

    fn managers(well: &[bool]) -> Vec<SwarmNode> {
        let node = |(index, is_well): (usize, &bool)| {
            let number = u32::try_from(index).unwrap() + 1;
            SwarmNode {
                id: id(number),
                hostname: format!("node-{number}"),
                role: Role::Manager,
                availability: Availability::Active,
                state: if *is_well { "ready" } else { "down" }.to_owned(),
                address: String::new(),
                manager: Some(ManagerStanding { is_leader: number == 1, reachability: "reachable".to_owned() }),
                engine_version: String::new(),
            }
        };
        well.iter().enumerate().map(node).collect()
    }

    #[test]
    fn a_manager_is_spared_only_while_the_others_are_enough() {
        let check = |well: &[bool], number: u32, expected: &[&str]| {
            assert_eq!(missing_for_quorum(&managers(well), &id(number)), expected, "{well:?} without {number}");
        };

        check(&[true, true, true], 2, &[]);
        check(&[true, true, false], 2, &["node-3"]);
        // What is down already can be restarted.
        check(&[true, true, false], 3, &[]);
        check(&[true, true, true, true, false], 1, &[]);
        check(&[true, true, true, false, false], 1, &["node-4", "node-5"]);
        check(&[true], 1, &[]);
        check(&[true, true], 1, &[]);
        check(&[true, false], 1, &["node-2"]);
        // A worker is no manager's loss.
        check(&[true, false, false], 9, &[]);
    }
}
