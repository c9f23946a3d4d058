//! Why something was not done with a container, as an HTTP client sees it.

use engine::{ContainerError, LocalNetworkError, VolumeError};
use http::StatusCode;
use model::with_causes;
use runtime::{RuntimeError, StartFailure};

use super::ApiError;

/// By these words clients know what a shell would answer.
const NOT_FOUND: [&str; 2] = ["executable file not found", "no such file or directory"];
/// Likewise.
const NOT_EXECUTABLE: [&str; 2] = ["permission denied", "is a directory"];

impl From<ContainerError> for ApiError {
    fn from(error: ContainerError) -> Self {
        let status = match error {
            ContainerError::Image(error) => return error.into(),
            ContainerError::Volume(error) => return error.into(),
            ContainerError::LocalNetwork(error) => return error.into(),
            ContainerError::Runtime(error) => return error.into(),
            ContainerError::NoSuchContainer(_) | ContainerError::NoSuchExec(_) => StatusCode::NOT_FOUND,
            ContainerError::Ambiguous(_) | ContainerError::Invalid(_) => StatusCode::BAD_REQUEST,
            ContainerError::NameTaken { .. } | ContainerError::Conflict(_) => StatusCode::CONFLICT,
            ContainerError::File(_) | ContainerError::Network(_) | ContainerError::Resolver(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            ContainerError::Closed => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, with_causes(&error))
    }
}

impl From<LocalNetworkError> for ApiError {
    fn from(error: LocalNetworkError) -> Self {
        let status = match error {
            LocalNetworkError::NoSuchNetwork(_) | LocalNetworkError::NoSuchDriver(_) => StatusCode::NOT_FOUND,
            LocalNetworkError::Ambiguous(_) | LocalNetworkError::Invalid(_) => StatusCode::BAD_REQUEST,
            LocalNetworkError::Exists(_) => StatusCode::CONFLICT,
            LocalNetworkError::Refused(_) | LocalNetworkError::InUse { .. } | LocalNetworkError::Overlaps => {
                StatusCode::FORBIDDEN
            }
            LocalNetworkError::NotOffered(_) => StatusCode::NOT_IMPLEMENTED,
            LocalNetworkError::Host(_) | LocalNetworkError::File(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, with_causes(&error))
    }
}

impl From<VolumeError> for ApiError {
    fn from(error: VolumeError) -> Self {
        let status = match error {
            VolumeError::NoSuchVolume(_) | VolumeError::NoSuchDriver(_) => StatusCode::NOT_FOUND,
            VolumeError::InvalidName(_) | VolumeError::NotOffered(_) => StatusCode::BAD_REQUEST,
            VolumeError::InUse { .. } => StatusCode::CONFLICT,
            VolumeError::Mount { .. } | VolumeError::Unmount(_) | VolumeError::File(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, with_causes(&error))
    }
}

impl From<RuntimeError> for ApiError {
    fn from(error: RuntimeError) -> Self {
        let message = with_causes(&error);
        // The runtime may tell of more one day; until it is thought about, it is the engine's own affair.
        #[expect(clippy::wildcard_enum_match_arm, reason = "the enumeration may grow")]
        let status = match &error {
            RuntimeError::Start { failure, .. } => return not_started(*failure, message),
            RuntimeError::Invalid { .. } => StatusCode::BAD_REQUEST,
            RuntimeError::State { .. } => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, message)
    }
}

/// A program that did not begin is the request's fault. The message has the words by which clients tell why.
fn not_started(failure: StartFailure, message: String) -> ApiError {
    let words: &[&str] = match failure {
        StartFailure::NotFound => &NOT_FOUND,
        StartFailure::NotExecutable => &NOT_EXECUTABLE,
        StartFailure::Other => &[],
    };
    let says_why = words.is_empty() || words.iter().any(|word| message.contains(word));
    ApiError::invalid(if says_why { message } else { format!("{message}: {}", words[0]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_read_from_the_words_why_a_program_did_not_begin() {
        let check = |failure, reason: &str, expected: &str| {
            let (id, reason) = ("x".to_owned(), reason.to_owned());
            let error = ApiError::from(RuntimeError::Start { id, failure, reason });
            assert_eq!(error.status.as_u16(), 400);
            let message = error.message.strip_prefix("failed to start a process in container `x`: ");
            assert_eq!(message, Some(expected));
        };
        check(StartFailure::NotFound, "no such program", "no such program: executable file not found");
        check(StartFailure::NotFound, "a: no such file or directory", "a: no such file or directory");
        check(StartFailure::NotExecutable, "exec format error", "exec format error: permission denied");
        check(StartFailure::Other, "no such user", "no such user");
    }

    #[test]
    fn every_refusal_has_its_status() {
        let check = |error: ContainerError, status: u16| {
            let words = error.to_string();
            assert_eq!(ApiError::from(error).status.as_u16(), status, "{words}");
        };
        check(ContainerError::NoSuchContainer("x".to_owned()), 404);
        check(ContainerError::Ambiguous("x".to_owned()), 400);
        check(ContainerError::NameTaken { name: "x".to_owned(), holder: "y".to_owned() }, 409);
        check(ContainerError::Conflict("x".to_owned()), 409);
        check(ContainerError::Closed, 503);
        check(VolumeError::NoSuchVolume("x".to_owned()).into(), 404);
        check(LocalNetworkError::NoSuchNetwork("x".to_owned()).into(), 404);
        check(LocalNetworkError::Exists("x".to_owned()).into(), 409);
        check(LocalNetworkError::Refused("x".to_owned()).into(), 403);
        check(LocalNetworkError::Overlaps.into(), 403);
        check(LocalNetworkError::NotOffered("x".to_owned()).into(), 501);
        check(VolumeError::InUse { name: "x".to_owned(), holders: "y".to_owned() }.into(), 409);
        let state = RuntimeError::State { id: "x".to_owned(), state: "is not running".to_owned() };
        check(state.into(), 409);
        check(RuntimeError::ShimGone { id: "x".to_owned() }.into(), 500);
    }
}
