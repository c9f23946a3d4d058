//! How the fake refuses: Google's shape of errors.

use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), message: message.into(), retry_after: None }
    }

    /// The request is wrong in itself.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid", message)
    }

    /// What is named does not exist.
    pub(crate) fn not_found(resource: &str) -> Self {
        Self::new(404, "notFound", format!("The resource '{resource}' was not found"))
    }

    /// What is to be made exists.
    pub(crate) fn exists(resource: &str) -> Self {
        Self::new(409, "alreadyExists", format!("The resource '{resource}' already exists"))
    }

    /// What is named is being made or removed.
    pub(crate) fn not_ready(resource: &str) -> Self {
        Self::new(400, "resourceNotReady", format!("The resource '{resource}' is not ready"))
    }

    /// What is to be removed is needed by something else.
    pub(crate) fn in_use(resource: &str, by: &str) -> Self {
        let message = format!("The resource '{resource}' is already being used by '{by}'");
        Self::new(400, "resourceInUseByAnotherResource", message)
    }

    /// The error as a body.
    pub(crate) fn body(&self) -> Value {
        json!({
            "error": {
                "code": self.status,
                "message": self.message,
                "errors": [{ "message": self.message, "domain": "global", "reason": self.reason }],
            }
        })
    }
}

/// A body, or why there is none.
pub(crate) type Answer = Result<Value, Refusal>;
