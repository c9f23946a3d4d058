//! Moments as `docker events --since` gives them: Unix seconds, RFC 3339, or how long ago.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::error::ApiError;

/// Reads a moment; an empty text is none.
///
/// # Errors
/// It is none of the three forms.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let moment = unix(text)
        .or_else(|| duration(text).and_then(|ago| now.checked_sub(ago).ok()))
        .or_else(|| text.parse().ok())
        .or_else(|| civil(text));
    moment.map(Some).ok_or_else(|| ApiError::invalid(format!("failed to parse value as time or duration: {text:?}")))
}

/// Seconds since 1970, with at most nine digits behind the point.
fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok()
}

/// A moment without a zone is in UTC; a day begins at midnight.
fn civil(text: &str) -> Option<Timestamp> {
    let moment: DateTime = text.parse().ok()?;
    moment.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Go's durations: numbers with units, such as `1h30m`, `1.5s`, `-10ms`.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total = SignedDuration::ZERO;
    while !rest.is_empty() {
        let unit_start = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(unit_start);
        let unit_end =
            tail.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total = total.checked_add(part(number, unit)?)?;
        rest = tail;
    }
    Some(if is_negative { -total } else { total })
}

fn part(number: &str, unit: &str) -> Option<SignedDuration> {
    let nanoseconds_per_unit: i64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: i64 = format!("{fraction:0<9.9}").parse().ok()?;
    let fraction = i128::from(fraction) * i128::from(nanoseconds_per_unit) / 1_000_000_000;
    let nanoseconds = whole.checked_mul(nanoseconds_per_unit)?.checked_add(i64::try_from(fraction).ok()?)?;
    Some(SignedDuration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let found = parse(text, now).ok().map(|moment| moment.map_or_else(String::new, |moment| moment.to_string()));
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-+.:TZ0-9a-zµ]{0,24}|\\PC{0,24}") {
            let _ = parse(&text, Timestamp::UNIX_EPOCH);
        }
    }

    #[test]
    fn no_text_is_no_moment() {
        check("", Some(""));
    }

    #[test]
    fn unix_seconds_may_have_a_fraction() {
        check("0", Some("1970-01-01T00:00:00Z"));
        check("1700000000", Some("2023-11-14T22:13:20Z"));
        check("1700000000.5", Some("2023-11-14T22:13:20.5Z"));
        check("1700000000.000000001", Some("2023-11-14T22:13:20.000000001Z"));
        check("1700000000.", None);
        check("1700000000.0000000001", None);
    }

    #[test]
    fn rfc_3339_may_lack_the_zone_and_the_time() {
        check("2025-12-24T18:00:00Z", Some("2025-12-24T18:00:00Z"));
        check("2025-12-24T18:00:00.25+01:00", Some("2025-12-24T17:00:00.25Z"));
        check("2025-12-24T18:00:00", Some("2025-12-24T18:00:00Z"));
        check("2025-12-24", Some("2025-12-24T00:00:00Z"));
        check("2025-13-24", None);
    }

    #[test]
    fn durations_reach_back_from_now() {
        check("10m", Some("2026-01-01T11:50:00Z"));
        check("1h30m", Some("2026-01-01T10:30:00Z"));
        check("1.5s", Some("2026-01-01T11:59:58.5Z"));
        check(".5h", Some("2026-01-01T11:30:00Z"));
        check("-1h", Some("2026-01-01T13:00:00Z"));
        check("250ms1us", Some("2026-01-01T11:59:59.749999Z"));
        for text in ["h", ".", "-", "1x", "1h30", "1..5s", "99999999999999999999h"] {
            check(text, None);
        }
    }
}
