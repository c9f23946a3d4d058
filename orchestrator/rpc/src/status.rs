//! [`SwarmError`] to [`Status`] and back without loss, and the leader's address beside a refusal.
//!
//! A status that a peer gave on purpose carries the error whole in its details; a status that a broken connection
//! left behind does not. So a caller can tell "refused" from "unknown whether it was done".

use std::net::SocketAddr;

use model::{ErrorKind, SwarmError};
use tonic::{Code, Status};

/// Names the leader's address in the metadata of a refusal.
const LEADER_KEY: &str = "swarm-leader";
/// The longest message that is sent. It travels in headers twice, once with three bytes for one, and a client takes
/// 16 KiB of headers.
pub(crate) const MAX_MESSAGE_LENGTH: usize = 2 * 1024;

/// Turns an error into a status that [`from_status`] turns back into the same error.
///
/// Only a message of more than 2 KiB is cut.
pub fn to_status(error: SwarmError) -> Status {
    let error = SwarmError { message: truncate(error.message), ..error };
    let mut details = Vec::new();
    ciborium::into_writer(&error, &mut details).expect("a kind and a text can always be encoded");
    Status::with_details(code_of(error.kind), error.message, details.into())
}

/// Turns a status into an error: the one that the peer gave, or the nearest one where a connection broke.
pub fn from_status(status: &Status) -> SwarmError {
    answer(status).unwrap_or_else(|| SwarmError::new(kind_of(status.code()), status.message()))
}

/// Whether the peer itself gave this status. Otherwise the connection failed, and the call may or may not have run.
pub fn is_answer(status: &Status) -> bool {
    answer(status).is_some()
}

/// The refusal of a manager that does not lead, with the address of the one that does, where it is known.
pub fn not_leader(leader: Option<SocketAddr>) -> Status {
    let mut status = to_status(SwarmError::no_leader());
    if let Some(leader) = leader {
        let text = leader.to_string().parse().expect("a socket address is plain ASCII");
        status.metadata_mut().insert(LEADER_KEY, text);
    }
    status
}

/// The address of the leader beside a refusal.
pub fn leader_of(status: &Status) -> Option<SocketAddr> {
    status.metadata().get(LEADER_KEY)?.to_str().ok()?.parse().ok()
}

fn answer(status: &Status) -> Option<SwarmError> {
    ciborium::from_reader(status.details()).ok()
}

fn truncate(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_LENGTH {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_LENGTH));
    }
    message
}

fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::FailedPrecondition => Code::FailedPrecondition,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Unimplemented => Code::Unimplemented,
        ErrorKind::Internal => Code::Internal,
    }
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidArgument,
        Code::FailedPrecondition => ErrorKind::FailedPrecondition,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied => ErrorKind::PermissionDenied,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => ErrorKind::Unavailable,
        Code::Unimplemented => ErrorKind::Unimplemented,
        Code::Ok | Code::Unknown | Code::ResourceExhausted | Code::Aborted | Code::Internal | Code::DataLoss => {
            ErrorKind::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [ErrorKind; 9] = [
        ErrorKind::InvalidArgument,
        ErrorKind::FailedPrecondition,
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::PermissionDenied,
        ErrorKind::Unauthenticated,
        ErrorKind::Unavailable,
        ErrorKind::Unimplemented,
        ErrorKind::Internal,
    ];

    proptest! {
        #[test]
        fn an_error_comes_back_as_it_was(kind in 0..KINDS.len(), message in ".{0,200}") {
            let error = SwarmError::new(KINDS[kind], message);

            let status = to_status(error.clone());

            prop_assert!(is_answer(&status));
            prop_assert_eq!(from_status(&status), error);
        }
    }

    #[test]
    fn an_endless_message_is_cut_at_a_character() {
        let error = SwarmError::internal("é".repeat(MAX_MESSAGE_LENGTH));

        let message = from_status(&to_status(error)).message;

        assert_eq!(message.len(), MAX_MESSAGE_LENGTH);
        assert!(message.chars().all(|character| character == 'é'));
    }

    #[test]
    fn a_broken_connection_is_not_an_answer() {
        let status = Status::unavailable("connection reset");

        assert!(!is_answer(&status));
        assert_eq!(from_status(&status).kind, ErrorKind::Unavailable);
    }

    #[test]
    fn a_refusal_names_the_leader_where_it_is_known() {
        let leader = "10.0.0.1:2377".parse().expect("an address");

        assert_eq!(leader_of(&not_leader(Some(leader))), Some(leader));
        assert_eq!(leader_of(&not_leader(None)), None);
        assert_eq!(from_status(&not_leader(Some(leader))), SwarmError::no_leader());
    }

    #[test]
    fn a_hint_that_is_no_address_is_ignored() {
        let mut status = not_leader(None);
        status.metadata_mut().insert(LEADER_KEY, "example.org".parse().expect("a header value"));

        assert_eq!(leader_of(&status), None);
    }
}
