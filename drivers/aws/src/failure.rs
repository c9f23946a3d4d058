//! What a failed call means: EC2's codes and the SDK's failures, as errors of the contract.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use driver::{DriverError, clock_is_off};
use jiff::Timestamp;

use crate::NAME;

/// How to log in.
const LOG_IN: &str = "log in with `aws sso login` or `aws configure`, choose another profile with AWS_PROFILE, or set \
                      AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

/// The answer to a dry run that would have succeeded.
pub(crate) const DRY_RUN: &str = "DryRunOperation";
/// Something else hangs on what is to be deleted.
pub(crate) const IN_USE: &[&str] =
    &["DependencyViolation", "InvalidGroup.InUse", "InvalidNetworkInterface.InUse", "VolumeInUse", "IncorrectState"];
/// The machine does not exist.
pub(crate) const NO_MACHINE: &[&str] = &["InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"];
/// What a client token stood for exists no more.
pub(crate) const TOKEN_SPENT: &str = "IdempotentInstanceTerminated";
/// A client token stands for a call with other parameters.
pub(crate) const TOKEN_OF_ANOTHER_CALL: &str = "IdempotentParameterMismatch";
/// A subnet has no address left.
pub(crate) const NO_ADDRESS: &str = "InsufficientFreeAddressesInSubnet";
/// This type cannot be had in this zone, now or ever.
const NO_CAPACITY: &[&str] = &[
    "InsufficientInstanceCapacity",
    "InsufficientCapacity",
    "InsufficientHostCapacity",
    "UnfulfillableCapacity",
    "SpotMaxPriceTooLow",
    "Unsupported",
];

const THROTTLED: &[&str] = &[
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "EC2ThrottledException",
    "BandwidthLimitExceeded",
    "TooManyRequestsException",
];
const NOT_LOGGED_IN: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "MissingAuthenticationToken",
    "IncompleteSignature",
    "InvalidSecurityToken",
    "RequestTimeTooSkewed",
];
const NOT_ALLOWED: &[&str] = &["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "OptInRequired"];
const EXHAUSTED: &[&str] = &[
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "MaxSpotInstanceCountExceeded",
    "SpotInstanceCountExceeded",
    "VolumeLimitExceeded",
    "MaxIOPSLimitExceeded",
    "NetworkInterfaceLimitExceeded",
    "AddressLimitExceeded",
    "SecurityGroupLimitExceeded",
    "RulesPerSecurityGroupLimitExceeded",
    "SecurityGroupsPerInterfaceLimitExceeded",
    "VpcLimitExceeded",
    "SubnetLimitExceeded",
    "InternetGatewayLimitExceeded",
    "RouteLimitExceeded",
    "TagLimitExceeded",
];
const PASSING: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServerInternal",
    "ServiceUnavailable",
    "Unavailable",
    "RequestTimeout",
    "RequestTimeoutException",
];

/// What EC2 said where it refused a call.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    code: String,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return formatter.write_str(&self.code);
        }
        write!(formatter, "{} ({})", self.message.trim_end_matches('.'), self.code)
    }
}

impl Error for Refusal {}

/// The code with which EC2 refused the call, where it did.
pub(crate) fn code(failure: &DriverError) -> Option<&str> {
    let DriverError::Provider { source, .. } = failure else { return None };
    source.downcast_ref::<Refusal>().map(|refusal| refusal.code.as_str())
}

/// Whether EC2 refused the call with one of these codes.
pub(crate) fn is_one_of(failure: &DriverError, codes: &[&str]) -> bool {
    code(failure).is_some_and(|code| codes.contains(&code))
}

/// Whether this type cannot be had in this zone, so that another may do.
pub(crate) fn is_no_capacity(failure: &DriverError) -> bool {
    is_one_of(failure, NO_CAPACITY)
}

/// The same failure, which may mend: what was created a moment ago is not known everywhere yet.
pub(crate) fn into_passing(failure: DriverError) -> DriverError {
    match failure {
        DriverError::Provider { action, source, .. } => DriverError::Provider { action, is_transient: true, source },
        other @ (DriverError::InvalidOption { .. }
        | DriverError::Unmet { .. }
        | DriverError::QuotaExhausted { .. }
        | DriverError::Throttled { .. }
        | DriverError::NoSuchMachine { .. }
        | DriverError::Unsupported { .. }
        | DriverError::Interrupted { .. }
        | DriverError::TimedOut { .. }) => other,
    }
}

/// What a failed call means.
pub(crate) fn of<E>(action: &str, region: &str, error: &SdkError<E>) -> DriverError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let refusal = error
        .code()
        .map(|code| Refusal { code: code.to_owned(), message: error.message().unwrap_or_default().to_owned() });
    let response = error.raw_response();
    let status = response.map(|response| response.status().as_u16());
    if let Some(refusal) = refusal {
        let date = response.and_then(|response| response.headers().get("date"));
        if let Some(date) = date.filter(|_| NOT_LOGGED_IN.contains(&refusal.code.as_str()))
            && let Some(off) = clock_is_off(NAME, date, Timestamp::now(), &refusal.to_string())
        {
            return off;
        }
        return of_refusal(action, region, refusal, status, response.and_then(retry_after));
    }
    if let Some(status @ (429 | 500..)) = status {
        return of_status(action, status, response.and_then(retry_after));
    }
    if let Some(missing) = of_credentials(error) {
        return missing;
    }
    match error {
        // The request may have been sent and executed: whoever calls may repeat it.
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            DriverError::transient(action, DisplayErrorContext(error).to_string())
        }
        SdkError::ConstructionFailure(_) | SdkError::ServiceError(_) | _ => {
            DriverError::provider(action, DisplayErrorContext(error).to_string())
        }
    }
}

fn of_refusal(
    action: &str,
    region: &str,
    refusal: Refusal,
    status: Option<u16>,
    retry_after: Option<Duration>,
) -> DriverError {
    let is = |codes: &[&str]| codes.contains(&refusal.code.as_str());
    if is(THROTTLED) {
        return DriverError::Throttled { provider: NAME, retry_after };
    }
    if is(NOT_LOGGED_IN) {
        let what = format!("{NAME} does not accept the credentials in {region}: {refusal}");
        let is_late =
            matches!(refusal.code.as_str(), "RequestExpired" | "RequestTimeTooSkewed" | "SignatureDoesNotMatch");
        let clock = if is_late { "check this workstation's clock, or " } else { "" };
        return DriverError::Unmet { what, hint: format!("{clock}{LOG_IN}") };
    }
    if is(NOT_ALLOWED) {
        let what = format!("the credentials may not {action} in {region}: {refusal}");
        let hint = "ask for the permission, or choose another profile with AWS_PROFILE".to_owned();
        return DriverError::Unmet { what, hint };
    }
    if is(EXHAUSTED) {
        return DriverError::QuotaExhausted { quota: quota(&refusal.code), region: region.to_owned() };
    }
    // A capacity error is answered with status 500; it is no fault of the server's.
    if is(NO_CAPACITY) {
        return DriverError::provider(action, refusal);
    }
    if is(PASSING) || status.is_some_and(|status| status == 429 || status >= 500) {
        return DriverError::transient(action, refusal);
    }
    DriverError::provider(action, refusal)
}

fn of_status(action: &str, status: u16, retry_after: Option<Duration>) -> DriverError {
    if status == 429 || retry_after.is_some() {
        return DriverError::Throttled { provider: NAME, retry_after };
    }
    DriverError::transient(action, format!("the answer has status {status}"))
}

/// Credentials that could not be had.
fn of_credentials(error: &(dyn Error + 'static)) -> Option<DriverError> {
    let mut cause = error;
    let cause = loop {
        match cause.downcast_ref::<CredentialsError>() {
            Some(found) => break found,
            None => cause = cause.source()?,
        }
    };
    if matches!(cause, CredentialsError::ProviderTimedOut(_)) {
        return Some(DriverError::transient("get credentials", DisplayErrorContext(cause).to_string()));
    }
    let is_none_named = matches!(cause, CredentialsError::CredentialsNotLoaded(_));
    let why = if is_none_named { String::new() } else { format!(": {}", DisplayErrorContext(cause)) };
    let what = format!("there are no credentials for {NAME}{why}");
    Some(DriverError::Unmet { what, hint: LOG_IN.to_owned() })
}

fn retry_after(response: &HttpResponse) -> Option<Duration> {
    response.headers().get("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

/// A quota as a user knows it, from the code that says it is exhausted.
fn quota(code: &str) -> String {
    match code {
        "VcpuLimitExceeded" => "vCPUs of running on-demand instances".to_owned(),
        "MaxSpotInstanceCountExceeded" | "SpotInstanceCountExceeded" => "vCPUs of spot instances".to_owned(),
        other => other.trim_end_matches("LimitExceeded").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, status: u16) -> DriverError {
        let refusal = Refusal { code: code.to_owned(), message: "No luck.".to_owned() };
        of_refusal("create machines", "eu-west-1", refusal, Some(status), None)
    }

    #[test]
    fn codes_mean_what_a_caller_treats_differently() {
        assert!(matches!(refused("RequestLimitExceeded", 503), DriverError::Throttled { .. }));
        assert!(
            matches!(refused("ExpiredToken", 400), DriverError::Unmet { ref hint, .. } if hint.contains("aws sso"))
        );
        assert!(matches!(refused("UnauthorizedOperation", 403), DriverError::Unmet { .. }));
        assert!(matches!(refused("VcpuLimitExceeded", 400), DriverError::QuotaExhausted { .. }));
        assert!(refused("InternalError", 500).is_transient());
        assert!(refused("SomethingNew", 503).is_transient());
        assert!(!refused("InvalidParameterValue", 400).is_transient());
    }

    #[test]
    fn a_lack_of_capacity_is_not_tried_again_although_its_status_is_a_servers_fault() {
        let failure = refused("InsufficientInstanceCapacity", 500);

        assert!(is_no_capacity(&failure) && !failure.is_transient());
        assert_eq!(code(&failure), Some("InsufficientInstanceCapacity"));
    }

    #[test]
    fn a_refusal_shows_what_was_said_and_its_code() {
        let failure = refused("InvalidAMIID.NotFound", 400);

        let cause = failure.source().unwrap().to_string();

        assert_eq!(cause, "No luck (InvalidAMIID.NotFound)");
    }
}
