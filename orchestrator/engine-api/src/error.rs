//! A refusal as an HTTP client sees it: a status, and `{"message": …}`.

mod container;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use image::{ImageError, Reference, RegistryError};
use model::{ErrorKind, SwarmError, with_causes};

use crate::respond::json;

/// Why a request was refused. The message is what the user of `docker` reads after "Error response from daemon:".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request is wrong (400).
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Docker offers it, this engine does not (501).
    pub(crate) fn not_offered(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// There is no such path, or not with this method (404, in Docker's words).
    pub(crate) fn page_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }
}

impl From<SwarmError> for ApiError {
    fn from(error: SwarmError) -> Self {
        let status = match error.kind {
            ErrorKind::InvalidArgument | ErrorKind::FailedPrecondition => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::AlreadyExists => StatusCode::CONFLICT,
            ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, message: error.message }
    }
}

impl From<ImageError> for ApiError {
    fn from(error: ImageError) -> Self {
        let status = match &error {
            ImageError::NoSuchImage(name) => return no_such_image(name),
            ImageError::Ambiguous(_) => StatusCode::NOT_FOUND,
            ImageError::Conflict(_) => StatusCode::CONFLICT,
            // Docker's 404, as registries do not tell who is not let in whether there is anything.
            ImageError::Registry(error) => registry_status(error, StatusCode::NOT_FOUND),
            ImageError::InvalidReference(_)
            | ImageError::WrongContent { .. }
            | ImageError::TooLarge { .. }
            | ImageError::Manifest { .. }
            | ImageError::NotWhole(_)
            | ImageError::Layer { .. }
            | ImageError::Archive(_) => StatusCode::BAD_REQUEST,
            ImageError::NoSpace(_) | ImageError::Locked(_) | ImageError::Damaged { .. } | ImageError::Io { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, with_causes(&error))
    }
}

/// The status of what a registry refused; `denied` is the one for who is not let in.
pub(crate) fn registry_status(error: &RegistryError, denied: StatusCode) -> StatusCode {
    match error {
        RegistryError::Denied { .. } => denied,
        RegistryError::NotFound(_) | RegistryError::OtherPlatform { .. } => StatusCode::NOT_FOUND,
        RegistryError::Unreachable { .. }
        | RegistryError::Stalled { .. }
        | RegistryError::Truncated { .. }
        | RegistryError::Busy { .. }
        | RegistryError::Lies { .. }
        | RegistryError::Refused { .. }
        | RegistryError::Nonsense { .. }
        | RegistryError::Tls(_)
        | RegistryError::Client(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Docker's words, by which clients know that they may pull it.
fn no_such_image(name: &str) -> ApiError {
    let name = name.parse().map_or_else(|_| name.to_owned(), |reference: Reference| reference.familiar());
    ApiError::new(StatusCode::NOT_FOUND, format!("No such image: {name}"))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Refusal {
            message: String,
        }
        json(self.status, &Refusal { message: self.message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_status() {
        let check = |kind, expected: u16| {
            assert_eq!(ApiError::from(SwarmError::new(kind, "x")).status.as_u16(), expected, "{kind:?}");
        };
        check(ErrorKind::InvalidArgument, 400);
        check(ErrorKind::FailedPrecondition, 400);
        check(ErrorKind::Unauthenticated, 401);
        check(ErrorKind::PermissionDenied, 403);
        check(ErrorKind::NotFound, 404);
        check(ErrorKind::AlreadyExists, 409);
        check(ErrorKind::Internal, 500);
        check(ErrorKind::Unimplemented, 501);
        check(ErrorKind::Unavailable, 503);
    }

    #[test]
    fn who_is_not_let_in_at_a_registry_is_told_what_the_request_says() {
        let denied = RegistryError::Denied { action: "pull", name: "r/a".to_owned(), reason: "no".to_owned() };
        let missing = RegistryError::NotFound("r/a:1".to_owned());

        assert_eq!(registry_status(&denied, StatusCode::FORBIDDEN), StatusCode::FORBIDDEN);
        assert_eq!(registry_status(&missing, StatusCode::FORBIDDEN), StatusCode::NOT_FOUND);
        assert_eq!(ApiError::from(ImageError::Registry(denied)).status, StatusCode::NOT_FOUND);
    }
}
