//! An error that crosses the API or the wire: a kind that decides the HTTP status, and Docker's words.

use serde::{Deserialize, Serialize};

/// What kind of refusal an error is; decides the HTTP status and whether a caller may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request is wrong (400).
    InvalidArgument,
    /// The request is right, but not in this state of the swarm (400).
    FailedPrecondition,
    /// There is no such object (404).
    NotFound,
    /// There is such an object already (409).
    AlreadyExists,
    /// The caller may not (403).
    PermissionDenied,
    /// The caller could not prove who it is (401).
    Unauthenticated,
    /// Not now, or not on this node (503).
    Unavailable,
    /// Not offered here (501).
    Unimplemented,
    /// Anything else (500).
    Internal,
}

/// An error in Docker's words. The message is shown to the user as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct SwarmError {
    /// The kind.
    pub kind: ErrorKind,
    /// What the user reads.
    pub message: String,
}

impl SwarmError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// Not in this state of the swarm.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::FailedPrecondition, message)
    }

    /// No such object.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Not now, or not here.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Anything else.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The client's version of an object is not the current one (Docker's words, status 500).
    pub fn out_of_sequence() -> Self {
        Self::internal("rpc error: code = Unknown desc = update out of sequence")
    }

    /// Another object has the name (Docker's words, status 409).
    pub fn name_conflict(name: &str) -> Self {
        let words = "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service";
        Self::new(ErrorKind::AlreadyExists, format!("{words} {name} already exists"))
    }

    /// No quorum, no leader (Docker's words).
    pub fn no_leader() -> Self {
        Self::unavailable(
            "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers \
             are online. Make sure more than half of the managers are online.",
        )
    }
}

/// An error with its causes, on one line: for a message or an answer that has room for no more.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer one")]
    struct Outer(#[source] SwarmError);

    #[test]
    fn an_error_is_shown_with_what_caused_it() {
        let error = Outer(SwarmError::internal("the inner one"));

        assert_eq!(with_causes(&error), "the outer one: the inner one");
        assert_eq!(with_causes(&error.0), "the inner one");
    }
}
