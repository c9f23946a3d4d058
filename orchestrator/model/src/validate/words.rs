//! Refusals of a spec, as Docker's managers word them.

use crate::{ErrorKind, SwarmError};

/// The spec is wrong, and the managers say so.
pub(super) fn invalid(description: impl std::fmt::Display) -> SwarmError {
    SwarmError::invalid(format!("rpc error: code = InvalidArgument desc = {description}"))
}

/// The spec is right, but asks for what this engine does not do.
pub(super) fn not_offered(description: impl std::fmt::Display) -> SwarmError {
    SwarmError::new(ErrorKind::Unimplemented, format!("this engine does not {description}"))
}

/// Refuses where something is wrong.
pub(super) fn refuse_if(is_wrong: bool, refusal: impl FnOnce() -> SwarmError) -> Result<(), SwarmError> {
    if is_wrong { Err(refusal()) } else { Ok(()) }
}
