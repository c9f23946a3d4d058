//! Tells a refusal because of this workstation's clock from one because of its credentials: providers name the time in
//! every answer, and take signatures and tokens of their own time only.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

use crate::DriverError;

/// By how much a clock may be off before it is taken for the cause: less than any provider forgives.
const FORGIVEN: SignedDuration = SignedDuration::from_mins(3);

/// What a refusal of credentials comes from, where it is this workstation's clock: `date` is the header `Date` of the
/// answer, `refusal` what the provider said.
pub fn clock_is_off(provider: &str, date: &str, now: Timestamp, refusal: &str) -> Option<DriverError> {
    let theirs = rfc2822::DateTimeParser::new().parse_timestamp(date.trim()).ok()?;
    let ahead = now.duration_since(theirs);
    if ahead.abs() < FORGIVEN {
        return None;
    }
    let side = if ahead.is_positive() { "ahead of" } else { "behind" };
    let by = SignedDuration::from_secs(ahead.abs().as_secs());
    let what =
        format!("{provider} refuses what this workstation signs: its clock is {by:#} {side} {provider}'s ({refusal})");
    let hint = "set this workstation's clock, such as with `timedatectl set-ntp true`".to_owned();
    Some(DriverError::Unmet { what, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(now: &str, expected: Option<&str>) {
        let off = clock_is_off("aws", "Thu, 26 Nov 2026 09:00:00 GMT", now.parse().unwrap(), "AuthFailure");

        let expected = expected
            .map(|clock| format!("aws refuses what this workstation signs: its clock is {clock} aws's (AuthFailure)"));
        assert_eq!(off.map(|error| error.to_string()), expected);
    }

    #[test]
    fn a_clock_that_is_off_by_minutes_is_named_with_the_side_it_is_on() {
        check("2026-11-26T09:00:00Z", None);
        check("2026-11-26T09:02:59Z", None);
        check("2026-11-26T09:06:00Z", Some("6m ahead of"));
        check("2026-11-26T08:50:00.5Z", Some("9m 59s behind"));
        check("2026-11-27T09:00:00Z", Some("24h ahead of"));
    }

    #[test]
    fn an_answer_without_a_time_tells_nothing() {
        assert!(clock_is_off("aws", "soon", Timestamp::UNIX_EPOCH, "AuthFailure").is_none());
    }
}
