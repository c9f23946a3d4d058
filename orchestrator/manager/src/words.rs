//! Refusals in the words that Docker's users know: gRPC's code stands before the description.

use model::{ErrorKind, NodeId, SwarmError};

/// A refusal as SwarmKit words it: `rpc error: code = … desc = …`.
pub(crate) fn refusal(kind: ErrorKind, description: &str) -> SwarmError {
    SwarmError::new(kind, format!("rpc error: code = {} desc = {description}", code(kind)))
}

/// The wrong request.
pub(crate) fn invalid(description: &str) -> SwarmError {
    refusal(ErrorKind::InvalidArgument, description)
}

/// The right request in the wrong state.
pub(crate) fn precondition(description: &str) -> SwarmError {
    refusal(ErrorKind::FailedPrecondition, description)
}

/// No such object.
pub(crate) fn not_found(description: &str) -> SwarmError {
    refusal(ErrorKind::NotFound, description)
}

/// Not allowed.
pub(crate) fn denied(description: &str) -> SwarmError {
    refusal(ErrorKind::PermissionDenied, description)
}

/// A node that the swarm has removed; agents know it by its kind and stop.
pub(crate) fn removed(node: &NodeId) -> SwarmError {
    denied(&format!("node {node} has been removed from the swarm"))
}

/// Not now, or not here.
pub(crate) fn unavailable(description: &str) -> SwarmError {
    refusal(ErrorKind::Unavailable, description)
}

fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidArgument => "InvalidArgument",
        ErrorKind::FailedPrecondition => "FailedPrecondition",
        ErrorKind::NotFound => "NotFound",
        ErrorKind::AlreadyExists => "AlreadyExists",
        ErrorKind::PermissionDenied => "PermissionDenied",
        ErrorKind::Unauthenticated => "Unauthenticated",
        ErrorKind::Unavailable => "Unavailable",
        ErrorKind::Unimplemented => "Unimplemented",
        ErrorKind::Internal => "Unknown",
    }
}
