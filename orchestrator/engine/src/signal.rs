//! The signals by their names, as operators write them.

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid signal: {0}")]
pub struct InvalidSignal(pub String);

/// Names and numbers, as Linux counts them on the processors that swarmup runs on.
const NAMES: [(&str, i32); 33] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The signal that asks a program to end.
pub(crate) const TERM: i32 = 15;
/// The signal that ends a program.
pub(crate) const KILL: i32 = 9;
/// The first and the last of the real-time signals, as the C library counts.
const REAL_TIME: (i32, i32) = (34, 64);

/// The number of a signal: `15`, `TERM`, `SIGTERM`, `RTMIN+3`, in any case.
pub(crate) fn parse(text: &str) -> Result<i32, InvalidSignal> {
    let invalid = || InvalidSignal(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return Some(number).filter(|number| (1..=REAL_TIME.1).contains(number)).ok_or_else(invalid);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    named.or_else(|| real_time(name)).ok_or_else(invalid)
}

fn real_time(name: &str) -> Option<i32> {
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        let offset = if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse().ok()? };
        REAL_TIME.0.checked_add(offset)
    } else {
        let rest = name.strip_prefix("RTMAX")?;
        let offset = if rest.is_empty() { 0 } else { rest.strip_prefix('-')?.parse().ok()? };
        REAL_TIME.1.checked_sub(offset)
    };
    number.filter(|number| (REAL_TIME.0..=REAL_TIME.1).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let check = |text: &str, expected: Option<i32>| assert_eq!(parse(text).ok(), expected, "{text}");

        check("15", Some(15));
        check("SIGTERM", Some(15));
        check("term", Some(15));
        check("USR1", Some(10));
        check("SIGRTMIN", Some(34));
        check("RTMIN+3", Some(37));
        check("RTMAX-1", Some(63));
        check("0", None);
        check("65", None);
        check("", None);
        check("TERMINATE", None);
        check("RTMIN+99", None);
        check("RTMAX--2", None);
        check("RTMIN+99999999999", None);
    }
}
