//! What a node tells its user, in Docker's words.

use model::{ErrorKind, SwarmError};

/// Init or join on a member.
pub(crate) fn already_member() -> SwarmError {
    SwarmError::unavailable(
        "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another one.",
    )
}

/// Leave outside a swarm.
pub(crate) fn no_swarm() -> SwarmError {
    SwarmError::unavailable("This node is not part of a swarm")
}

/// A call for managers outside a swarm.
pub(crate) fn not_in_swarm() -> SwarmError {
    SwarmError::unavailable(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to \
         swarm and try again.",
    )
}

/// A call for managers on a worker.
pub(crate) fn worker() -> SwarmError {
    SwarmError::unavailable(
        "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this \
         command on a manager node or promote the current node to a manager.",
    )
}

/// Beginning anew on a manager that was never part of a group of managers.
pub(crate) fn nothing_to_begin_with() -> SwarmError {
    SwarmError::unavailable(
        "This manager has never been in touch with the other managers of its swarm: there is nothing to begin a new \
         cluster with. Use \"docker swarm leave --force\" and \"docker swarm init\" to start another swarm.",
    )
}

/// A call for managers on one that is not ready.
pub(crate) fn being_prepared() -> SwarmError {
    SwarmError::unavailable(
        "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster.",
    )
}

/// A call for managers on one whose keys are locked.
pub(crate) fn locked() -> SwarmError {
    SwarmError::unavailable(
        "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to \
         unlock it.",
    )
}

/// Leave without force on a locked manager.
pub(crate) fn leaving_locked() -> SwarmError {
    SwarmError::unavailable(
        "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.",
    )
}

/// Unlock with another key.
pub(crate) fn wrong_unlock_key() -> SwarmError {
    SwarmError::new(ErrorKind::Unauthenticated, "swarm could not be unlocked: invalid key provided")
}

/// Unlock on a manager that is not locked; a conflict in Docker.
pub(crate) fn not_locked() -> SwarmError {
    SwarmError::new(ErrorKind::AlreadyExists, "swarm is not locked")
}

/// An unlocked manager that cannot take part, yet.
pub(crate) fn not_started(error: &SwarmError) -> SwarmError {
    SwarmError::internal(format!("swarm component could not be started: {error}"))
}

/// A join that takes long.
pub(crate) fn join_timeout() -> SwarmError {
    SwarmError::unavailable(
        "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use \
         the \"docker info\" command to see the current swarm status of your node.",
    )
}

/// The agent is shutting down.
pub(crate) fn stopping() -> SwarmError {
    SwarmError::unavailable("the node is shutting down")
}

/// What a manager is told that leaves without force. `managers` are the reachable and the unreachable ones, where the
/// swarm could be asked.
pub(crate) fn leaving_manager(managers: Option<(usize, usize)>) -> SwarmError {
    let mut message = "You are attempting to leave the swarm on a node that is participating as a manager. ".to_owned();
    match managers {
        Some((1, 0)) => {
            message.push_str(
                "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ",
            );
            return SwarmError::unavailable(message);
        }
        Some((reachable, unreachable)) if reachable <= unreachable + 2 => {
            let (left, all) = (reachable.saturating_sub(1), reachable + unreachable);
            message = format!("{message}Removing this node leaves {left} managers out of {all}. ");
            message += "Without a Raft quorum your swarm will be inaccessible. ";
        }
        Some(_) => {}
        None => message.push_str("Doing so may lose the consensus of your cluster. "),
    }
    message.push_str(
        "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use \
         `--force` to suppress this message.",
    );
    SwarmError::unavailable(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "You are attempting to leave the swarm on a node that is participating as a manager. ";
    const END: &str = "The only way to restore a swarm that has lost consensus is to reinitialize it with \
                       `--force-new-cluster`. Use `--force` to suppress this message.";

    #[test]
    fn a_manager_that_leaves_is_told_what_it_would_do() {
        let check = |managers: Option<(usize, usize)>, expected: String| {
            assert_eq!(leaving_manager(managers).message, expected, "{managers:?}");
        };

        check(
            Some((1, 0)),
            format!(
                "{START}Removing the last manager erases all current state of the swarm. Use `--force` to ignore this \
                 message. "
            ),
        );
        check(
            Some((2, 1)),
            format!(
                "{START}Removing this node leaves 1 managers out of 3. Without a Raft quorum your swarm will be \
                 inaccessible. {END}"
            ),
        );
        check(Some((3, 0)), format!("{START}{END}"));
        check(None, format!("{START}Doing so may lose the consensus of your cluster. {END}"));
    }
}
