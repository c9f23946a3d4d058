//! What Azure answers where it does not grant a request, and what that means.

use std::time::Duration;

use driver::DriverError;
use serde::Deserialize;

use crate::NAME;

/// A request that was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status of the answer; 0 where an operation failed after its answer.
    pub(crate) status: u16,
    /// The code: of the cause, where the outer one says nothing.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
struct RefusalBody {
    error: RefusalError,
}

/// What is wrong, as bodies and operations say it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct RefusalError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Option<Vec<RefusalError>>,
}

/// Codes that say as much as "look at the details".
const EMPTY_CODES: [&str; 3] = ["RetryableError", "DeploymentFailed", "ResourceDeploymentFailure"];
/// Codes of what mends by itself.
const TRANSIENT_CODES: [&str; 10] = [
    "AnotherOperationInProgress",
    "Canceled",
    "CanceledAndSupersededDueToAnotherOperation",
    "InternalServerError",
    "OperationPreempted",
    "ReferencedResourceNotProvisioned",
    "RetryableError",
    "ServerBusy",
    "ServerTimeout",
    "ServiceUnavailable",
];
/// Codes of machines that cannot be had here and now.
const CAPACITY_CODES: [&str; 5] = [
    "AllocationFailed",
    "OverconstrainedAllocationRequest",
    "OverconstrainedZonalAllocationRequest",
    "SkuNotAvailable",
    "ZonalAllocationFailed",
];
/// Codes of quotas that are used up.
const QUOTA_CODES: [&str; 4] =
    ["PublicIPCountLimitReached", "QuotaExceeded", "ResourceQuotaExceeded", "SubscriptionQuotaReached"];

impl Refusal {
    /// Reads an answer that grants nothing.
    pub(crate) fn read(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let error = serde_json::from_slice::<RefusalBody>(body).map(|body| body.error).unwrap_or_default();
        Self { retry_after, ..Self::of_error(status, error) }
    }

    /// What an operation says that failed.
    pub(crate) fn of_error(status: u16, error: RefusalError) -> Self {
        let cause = error.details.into_iter().flatten().find(|cause| !cause.code.is_empty());
        let outer = (error.code, error.message);
        let (code, message) = match cause {
            Some(cause) if EMPTY_CODES.contains(&outer.0.as_str()) => (cause.code, cause.message),
            Some(_) | None => outer,
        };
        Self { status, code, message, retry_after: None }
    }

    /// Whether what was asked for does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        self.status == 404
    }

    /// Whether the token was not accepted.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.status == 401
    }

    /// Whether there is no capacity for a machine, so that another size or zone may do.
    pub(crate) fn is_lack_of_capacity(&self) -> bool {
        is_capacity_code(&self.code)
    }

    /// Whether trying again may help.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..=599) || TRANSIENT_CODES.contains(&self.code.as_str())
    }

    fn is_quota(&self) -> bool {
        let is_about_quota = self.code == "OperationNotAllowed" && self.message.contains("quota");
        is_about_quota || QUOTA_CODES.contains(&self.code.as_str())
    }

    /// As the failure of what was being done.
    pub(crate) fn into_error(self, action: &str, region: &str) -> DriverError {
        if self.is_quota() {
            let quota = quota_name(&self.message).unwrap_or(&self.code).to_owned();
            return DriverError::QuotaExhausted { quota, region: region.to_owned() };
        }
        let is_throttling = self.status == 429 && !TRANSIENT_CODES.contains(&self.code.as_str());
        if is_throttling {
            return DriverError::Throttled { provider: NAME, retry_after: self.retry_after };
        }
        match (self.status, self.code.as_str()) {
            (401, _) => DriverError::Unmet {
                what: format!("Azure does not accept the credentials ({})", self.code),
                hint: SIGN_IN.to_owned(),
            },
            (403, _) => DriverError::Unmet {
                what: format!("Azure does not permit to {action}: {}", self.message),
                hint: "ask for the role Contributor on the subscription, or sign in as somebody who has it".to_owned(),
            },
            (_, "MissingSubscriptionRegistration") => DriverError::Unmet {
                what: format!("the subscription cannot be used to {action} yet: {}", self.message),
                hint: "run: az provider register --namespace Microsoft.Compute; az provider register --namespace \
                       Microsoft.Network; az provider register --namespace Microsoft.ManagedIdentity"
                    .to_owned(),
            },
            (_, "SubscriptionNotFound" | "InvalidSubscriptionId") => DriverError::Unmet {
                what: self.message,
                hint: "name another by --subscription or AZURE_SUBSCRIPTION_ID; az account list shows yours".to_owned(),
            },
            _ if self.is_transient() => DriverError::transient(action, self.to_string()),
            _ => DriverError::provider(action, self.to_string()),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => write!(formatter, "Azure answered with status {}", self.status),
            (code, "") => formatter.write_str(code),
            (code, message) => write!(formatter, "{code}: {message}"),
        }
    }
}

/// What the user can do without credentials.
pub(crate) const SIGN_IN: &str =
    "log in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET";

/// Whether a code says that there is no capacity.
pub(crate) fn is_capacity_code(code: &str) -> bool {
    CAPACITY_CODES.contains(&code)
}

/// The quota's name in a message such as "... exceeding approved Total Regional Cores quota."
fn quota_name(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("exceeding approved ")?;
    rest.split_once(" quota").map(|(name, _)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        Refusal::read(status, body.as_bytes(), None)
    }

    #[test]
    fn the_cause_is_named_where_the_outer_code_says_nothing() {
        let body = r#"{"error":{"code":"RetryableError","message":"A retryable error occurred.","details":[
            {"code":"ReferencedResourceNotProvisioned","message":"Cannot proceed"}]}}"#;

        let refusal = refusal(429, body);

        assert_eq!((refusal.code.as_str(), refusal.is_transient()), ("ReferencedResourceNotProvisioned", true));
        assert!(matches!(refusal.into_error("make it", "r"), DriverError::Provider { is_transient: true, .. }));
    }

    #[test]
    fn a_quota_is_named_as_azure_names_it() {
        let message =
            "Operation results in exceeding approved standardBasv2Family Cores quota. Additional details - ...";
        let body = format!(r#"{{"error":{{"code":"OperationNotAllowed","message":"{message}"}}}}"#);

        let error = refusal(409, &body).into_error("create machine `a`", "eastus2");

        assert_eq!(error.to_string(), "quota `standardBasv2Family Cores` in eastus2 is exhausted");
    }

    #[test]
    fn throttling_says_when_to_come_back() {
        let refusal = Refusal::read(429, b"{}", Some(Duration::from_secs(7)));

        assert_eq!(refusal.into_error("look", "r").retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn what_the_user_can_do_is_said() {
        let body = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);

        for (status, code) in [
            (401, "InvalidAuthenticationToken"),
            (403, "AuthorizationFailed"),
            (409, "MissingSubscriptionRegistration"),
        ] {
            assert!(refusal(status, &body(code)).into_error("look", "r").hint().is_some(), "{code}");
        }
    }

    #[test]
    fn an_answer_that_is_no_json_is_told_by_its_status() {
        assert_eq!(refusal(502, "<html>").to_string(), "Azure answered with status 502");
    }
}
