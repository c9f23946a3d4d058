//! What Compute Engine's refusals mean to the rest of swarmup.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use driver::{DriverError, clock_is_off};
use google_cloud_compute_v1::model::Operation;
use google_cloud_gax::error::{CredentialsError, Error as CallError, rpc::StatusDetails};
use jiff::Timestamp;

use crate::NAME;

/// How to log in, for hints.
pub(crate) const LOG_IN: &str =
    "log in with `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS";
/// What an account needs, for hints.
const ROLES: &str =
    "the account needs the roles `roles/compute.instanceAdmin.v1` and `roles/compute.securityAdmin` in the project";
/// The reason where somebody may not give machines a service account.
const ACCOUNT_DENIED: &str = "SERVICE_ACCOUNT_ACCESS_DENIED";
/// What is needed for that, for hints.
const ACTING: &str =
    "ask for the role `roles/iam.serviceAccountUser` on that service account, or leave out --service-account";
/// The reasons of calls that come too fast.
const TOO_FAST: [&str; 3] = ["rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"];
/// The reasons of quotas that are used up.
const USED_UP: [&str; 3] = ["quotaExceeded", "QUOTA_EXCEEDED", "limitExceeded"];
/// The reasons of what mends itself once something else is done.
const NOT_YET: [&str; 5] = [
    "resourceNotReady",
    "RESOURCE_NOT_READY",
    "resourceInUseByAnotherResource",
    "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
    "RESOURCE_OPERATION_RATE_EXCEEDED",
];

/// What a refusal amounts to, where the driver treats it in a way of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It does not exist.
    Absent,
    /// It exists already.
    Exists,
    /// The zone has no capacity for it.
    NoCapacity,
    /// It has changed since it was read.
    Changed,
    /// Anything else.
    Other,
}

/// A refusal in Compute Engine's words.
#[derive(Debug)]
struct Refusal {
    meaning: Meaning,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// What a failure amounts to.
pub(crate) fn meaning(failure: &DriverError) -> Meaning {
    let refusal = failure.source().and_then(|source| source.downcast_ref::<Refusal>());
    refusal.map_or(Meaning::Other, |refusal| refusal.meaning)
}

/// A call that failed; `action` is a clause such as "list the machines".
pub(crate) fn of_call(action: &str, error: CallError) -> DriverError {
    if error.is_authentication() {
        return of_credentials(action, error);
    }
    let Some(status) = error.http_status_code() else {
        return DriverError::transient(action, error);
    };
    let reason = reason(&error);
    let message = error.status().map_or_else(|| error.to_string(), |status| status.message.clone());
    match status {
        401 => not_accepted(action, &error, &message),
        429 => throttled(&error),
        403 if TOO_FAST.contains(&reason.as_str()) => throttled(&error),
        403 if USED_UP.contains(&reason.as_str()) => quota(&message),
        400 | 403 if reason == ACCOUNT_DENIED => {
            DriverError::Unmet { what: format!("not permitted to {action}: {message}"), hint: ACTING.to_owned() }
        }
        403 => DriverError::Unmet { what: format!("not permitted to {action}: {message}"), hint: ROLES.to_owned() },
        404 => refused(action, Meaning::Absent, message),
        409 => refused(action, Meaning::Exists, message),
        412 => refused(action, Meaning::Changed, message),
        400 if NOT_YET.contains(&reason.as_str()) => DriverError::transient(action, error),
        500.. => DriverError::transient(action, error),
        _ => refused(action, Meaning::Other, message),
    }
}

/// The error inside an operation that has ended, where there is one.
pub(crate) fn of_operation(action: &str, operation: &Operation) -> Option<DriverError> {
    let errors = operation.error.as_ref().map(|error| error.errors.as_slice()).unwrap_or_default();
    let Some(first) = errors.first() else {
        let status = operation.http_error_status_code.filter(|status| *status >= 400)?;
        let message = operation.http_error_message.clone().unwrap_or_else(|| format!("status {status}"));
        return Some(refused(action, Meaning::Other, message));
    };
    let code = first.code.as_deref().unwrap_or_default();
    let message = first.message.clone().unwrap_or_else(|| code.to_owned());
    Some(match code {
        code if USED_UP.contains(&code) => quota(&message),
        code if NOT_YET.contains(&code) => DriverError::transient(action, message),
        code if code.contains("RESOURCE_POOL_EXHAUSTED") || code == "STOCKOUT" => {
            refused(action, Meaning::NoCapacity, format!("{code}: {message}"))
        }
        "RESOURCE_NOT_FOUND" => refused(action, Meaning::Absent, message),
        "RESOURCE_ALREADY_EXISTS" => refused(action, Meaning::Exists, message),
        _ => refused(action, Meaning::Other, format!("{code}: {message}")),
    })
}

fn not_accepted(action: &str, error: &CallError, message: &str) -> DriverError {
    let date = error.http_headers().and_then(|headers| headers.get("date")?.to_str().ok());
    let of_clock = date.and_then(|date| clock_is_off("Google", date, Timestamp::now(), message));
    of_clock.unwrap_or_else(|| DriverError::Unmet {
        what: format!("Google does not accept the credentials any more: cannot {action}"),
        hint: LOG_IN.to_owned(),
    })
}

fn of_credentials(action: &str, error: CallError) -> DriverError {
    let credentials = error.source().and_then(|source| source.downcast_ref::<CredentialsError>());
    if credentials.is_some_and(CredentialsError::is_transient) {
        return DriverError::transient(action, error);
    }
    DriverError::Unmet { what: format!("Google gives no token for the credentials: {error}"), hint: LOG_IN.to_owned() }
}

fn refused(action: &str, meaning: Meaning, message: String) -> DriverError {
    DriverError::provider(action, Refusal { meaning, message })
}

fn throttled(error: &CallError) -> DriverError {
    let header = error.http_headers().and_then(|headers| headers.get("retry-after"));
    let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
    DriverError::Throttled { provider: NAME, retry_after: seconds.map(Duration::from_secs) }
}

/// `Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.`
fn quota(message: &str) -> DriverError {
    let quota = message.split('\'').nth(1).unwrap_or(message).to_owned();
    let place = message.split(" in region ").nth(1).and_then(|rest| rest.split(['.', ' ']).next());
    DriverError::QuotaExhausted { quota, region: place.unwrap_or("the project").to_owned() }
}

/// The reason of a refusal, in whichever form it came.
fn reason(error: &CallError) -> String {
    let details = error.status().map(|status| status.details.as_slice()).unwrap_or_default();
    let mut reasons = details.iter().filter_map(|detail| {
        let StatusDetails::ErrorInfo(info) = detail else { return None };
        Some(info.reason.clone())
    });
    reasons.find(|reason| !reason.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use google_cloud_compute_v1::model::operation::Error;
    use google_cloud_compute_v1::model::operation::error::Errors;

    use super::*;

    fn ended(code: &str, message: &str) -> Option<DriverError> {
        let error = Error::new().set_errors([Errors::new().set_code(code).set_message(message)]);
        of_operation("create machines", &Operation::new().set_error(error))
    }

    #[test]
    fn a_quota_is_named_with_its_region() {
        let failure = ended("QUOTA_EXCEEDED", "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.").unwrap();

        assert_eq!(failure.to_string(), "quota `CPUS` in us-central1 is exhausted");
    }

    #[test]
    fn errors_inside_operations_are_told_apart() {
        for (code, wanted) in [
            ("ZONE_RESOURCE_POOL_EXHAUSTED", Meaning::NoCapacity),
            ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", Meaning::NoCapacity),
            ("RESOURCE_NOT_FOUND", Meaning::Absent),
            ("RESOURCE_ALREADY_EXISTS", Meaning::Exists),
            ("INTERNAL_ERROR", Meaning::Other),
        ] {
            assert_eq!(meaning(&ended(code, "no").unwrap()), wanted, "{code}");
        }
        assert!(ended("RESOURCE_NOT_READY", "no").unwrap().is_transient());
        assert!(of_operation("create machines", &Operation::new()).is_none());
    }
}
