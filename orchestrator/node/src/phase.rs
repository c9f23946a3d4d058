//! The life of a node as a machine: which phase follows which, and nothing of how.
//!
//! ```text
//!             ┌───────────────── left, failed ──────────────────┐
//!             ▼                                                 │
//!        ┌──────────┐  join   ┌─────────┐                       │
//!   ───> │ inactive │ ──────> │ joining │ ── failed ──> inactive │
//!        └──────────┘         └─────────┘                       │
//!          │ init, bootstrap,    │ certificate                  │
//!          │ restart             ▼                              │
//!          │            ┌────────┐  promoted  ┌─────────┐       │
//!          ├──────────> │ worker │ ─────────> │ manager │       │
//!          │            └────────┘ <───────── └─────────┘       │
//!          │              │         demoted     ▲  │            │
//!          │ restart  ┌───┼──────── unlocked ───┘  │            │
//!          └───────> locked ── leave, removed ─────┴─> leaving ─┘
//! ```
//!
//! A certificate's role decides between worker and manager; only leaving ends a membership.

use model::Role;

/// Where a node stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In no swarm.
    Inactive,
    /// Asking a manager for a certificate.
    Joining,
    /// A manager that waits for the unlock key.
    Locked,
    /// A member that runs tasks.
    Worker,
    /// A member that holds the replicated state as well.
    Manager,
    /// Stopping what the membership ran, and wiping its state.
    Leaving,
}

/// What happens to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// It was asked to join by token.
    Join,
    /// Joining was given up: nothing has begun.
    JoinFailed,
    /// It found its keys locked when it started.
    Locked,
    /// It holds a certificate: by `init`, by its bootstrap file, by joining, from disk, or by renewal.
    Certified(Role),
    /// It was asked to leave, or has been removed by the managers.
    Leave,
    /// All that the membership ran has ended, and its state is gone.
    Left,
}

/// The phase that follows, or `None` where the happening is not possible in this phase.
pub(crate) fn next_phase(phase: Phase, happening: Happening) -> Option<Phase> {
    match (phase, happening) {
        (Phase::Inactive, Happening::Join) => Some(Phase::Joining),
        (Phase::Inactive, Happening::Locked) => Some(Phase::Locked),
        (Phase::Joining, Happening::JoinFailed) | (Phase::Leaving, Happening::Left) => Some(Phase::Inactive),
        (
            Phase::Inactive | Phase::Joining | Phase::Locked | Phase::Worker | Phase::Manager,
            Happening::Certified(role),
        ) => Some(match role {
            Role::Worker => Phase::Worker,
            Role::Manager => Phase::Manager,
        }),
        (Phase::Joining | Phase::Locked | Phase::Worker | Phase::Manager, Happening::Leave) => Some(Phase::Leaving),
        (Phase::Inactive, Happening::JoinFailed | Happening::Leave | Happening::Left)
        | (Phase::Joining, Happening::Join | Happening::Locked | Happening::Left)
        | (
            Phase::Locked | Phase::Worker | Phase::Manager,
            Happening::Join | Happening::JoinFailed | Happening::Locked | Happening::Left,
        )
        | (
            Phase::Leaving,
            Happening::Join | Happening::JoinFailed | Happening::Locked | Happening::Certified(_) | Happening::Leave,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_walks_only_along_the_lines_of_the_drawing() {
        let check = |phase: Phase, happening: Happening, expected: Option<Phase>| {
            assert_eq!(next_phase(phase, happening), expected, "{phase:?}, {happening:?}");
        };
        let (worker, manager) = (Happening::Certified(Role::Worker), Happening::Certified(Role::Manager));

        check(Phase::Inactive, Happening::Join, Some(Phase::Joining));
        check(Phase::Inactive, manager, Some(Phase::Manager));
        check(Phase::Inactive, Happening::Leave, None);
        check(Phase::Joining, worker, Some(Phase::Worker));
        check(Phase::Joining, Happening::JoinFailed, Some(Phase::Inactive));
        check(Phase::Joining, Happening::Leave, Some(Phase::Leaving));
        check(Phase::Joining, Happening::Join, None);
        check(Phase::Inactive, Happening::Locked, Some(Phase::Locked));
        check(Phase::Locked, manager, Some(Phase::Manager));
        check(Phase::Locked, Happening::Leave, Some(Phase::Leaving));
        check(Phase::Locked, Happening::Join, None);
        check(Phase::Manager, Happening::Locked, None);
        check(Phase::Worker, manager, Some(Phase::Manager));
        check(Phase::Worker, Happening::Leave, Some(Phase::Leaving));
        check(Phase::Worker, Happening::Join, None);
        check(Phase::Manager, worker, Some(Phase::Worker));
        check(Phase::Manager, Happening::Leave, Some(Phase::Leaving));
        check(Phase::Leaving, Happening::Left, Some(Phase::Inactive));
        check(Phase::Leaving, manager, None);
        check(Phase::Leaving, Happening::Leave, None);
    }
}
