//! The next step from a node's role to the one that is wanted: a pure function.
//!
//! ```text
//! promote:  worker ──grant──> manager certificate ──the node asks──> member of raft
//! demote:   member of raft ──remove──> no member ──withdraw──> worker certificate
//!             └─ the leader itself: hand over first, the next leader goes on
//! ```

use model::Role;

/// What the leader knows of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The role wanted; `None` where the node was removed from the swarm.
    pub(crate) wanted: Option<Role>,
    /// The role that its certificates get.
    pub(crate) granted: Role,
    /// Whether it is a member of raft.
    pub(crate) is_member: bool,
    /// Whether it is this leader.
    pub(crate) is_leader: bool,
    /// Whether raft would lose its quorum without it.
    pub(crate) would_lose_quorum: bool,
}

/// One step; each is safe to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// All is as wanted.
    Rest,
    /// Let its next certificate be a manager's.
    Grant,
    /// Let another manager lead; it goes on from there.
    HandOver,
    /// Take it out of raft.
    RemoveMember,
    /// Let its next certificate be a worker's.
    Withdraw,
    /// Nothing can be done now without losing the quorum: try again later.
    Wait,
}

/// Decides the next step for one node; does nothing itself.
pub(crate) fn next_step(standing: Standing) -> Step {
    match (standing.wanted, standing.granted) {
        (Some(Role::Manager), Role::Worker) => Step::Grant,
        (Some(Role::Worker) | None, _) if standing.is_member && standing.is_leader => {
            if standing.would_lose_quorum {
                Step::Wait
            } else {
                Step::HandOver
            }
        }
        (Some(Role::Worker) | None, _) if standing.is_member && standing.would_lose_quorum => Step::Wait,
        (Some(Role::Worker) | None, _) if standing.is_member => Step::RemoveMember,
        (Some(Role::Worker), Role::Manager) => Step::Withdraw,
        (Some(Role::Manager), Role::Manager) | (Some(Role::Worker), Role::Worker) | (None, _) => Step::Rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(wanted: Option<Role>, granted: Role, is_member: bool) -> Standing {
        Standing { wanted, granted, is_member, is_leader: false, would_lose_quorum: false }
    }

    #[test]
    fn a_promotion_grants_at_once_and_a_demotion_leaves_raft_first() {
        let check = |standing: Standing, expected: Step| assert_eq!(next_step(standing), expected, "{standing:?}");
        let (worker, manager) = (Some(Role::Worker), Some(Role::Manager));

        check(standing(worker, Role::Worker, false), Step::Rest);
        check(standing(manager, Role::Worker, false), Step::Grant);
        check(standing(manager, Role::Manager, false), Step::Rest);
        check(standing(manager, Role::Manager, true), Step::Rest);
        check(standing(worker, Role::Manager, true), Step::RemoveMember);
        check(standing(worker, Role::Manager, false), Step::Withdraw);
        check(standing(worker, Role::Worker, true), Step::RemoveMember);
        check(standing(None, Role::Manager, true), Step::RemoveMember);
        check(standing(None, Role::Manager, false), Step::Rest);
    }

    #[test]
    fn the_leader_hands_over_before_it_goes() {
        let leader = Standing { is_leader: true, ..standing(Some(Role::Worker), Role::Manager, true) };

        assert_eq!(next_step(leader), Step::HandOver);
    }

    #[test]
    fn nothing_is_done_that_would_lose_the_quorum() {
        let check = |standing: Standing| assert_eq!(next_step(standing), Step::Wait, "{standing:?}");
        let poor = Standing { would_lose_quorum: true, ..standing(Some(Role::Worker), Role::Manager, true) };

        check(poor);
        check(Standing { is_leader: true, ..poor });
        check(Standing { wanted: None, ..poor });
    }
}
