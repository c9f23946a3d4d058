//! What shall go wrong, as it is written in an option: `CALL[:N]=KIND`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A text that describes no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFault {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` {}", self.text, self.reason)
    }
}

impl std::error::Error for InvalidFault {}

macro_rules! calls {
    ($($variant:ident $name:literal $doc:literal),+ $(,)?) => {
        /// A call of the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Call {
            $(#[doc = $doc] $variant,)+
        }

        impl Call {
            const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in options.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

calls! {
    Preflight "preflight" "Checks before anything is made.",
    Estimate "estimate" "What a request takes.",
    EnsureNetwork "ensure-network" "Network and firewall.",
    Create "create" "Creating machines.",
    Start "start" "Starting machines.",
    Stop "stop" "Stopping machines.",
    Extend "extend" "Moving the expiry.",
    Console "console" "Reading a console.",
    Destroy "destroy" "Destroying machines.",
    RemoveNetwork "remove-network" "Removing the network.",
    Find "find" "Listing what is marked.",
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It fails for good; nothing is done.
    Fail,
    /// It fails in a way that trying again may mend; nothing is done.
    Transient,
    /// It is refused for now; nothing is done.
    Throttled {
        /// When to come back, where the provider says so.
        retry_after: Option<Duration>,
    },
    /// A quota is used up; nothing is done.
    Quota,
    /// It is done, and the answer is lost.
    Lost,
    /// It is done, later.
    Slow(Duration),
    /// So many machines are acted on, then it fails.
    Partial(usize),
}

/// One thing that shall go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// With which call; absent: with any.
    pub call: Option<Call>,
    /// With which repetition of it, from 1; absent: with every one.
    pub nth: Option<u32>,
    /// How.
    pub kind: FaultKind,
}

impl Fault {
    /// Whether it strikes the `nth` repetition of a call.
    pub(crate) fn strikes(&self, call: Call, nth: u32) -> bool {
        self.call.is_none_or(|own| own == call) && self.nth.is_none_or(|own| own == nth)
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let invalid = |reason| InvalidFault { text: text.to_owned(), reason };
        let (target, kind) = text.split_once('=').ok_or_else(|| invalid("is not CALL[:N]=KIND"))?;
        let (call, nth) = match target.split_once(':') {
            None => (target, None),
            Some((call, nth)) => {
                let nth = nth.parse().ok().filter(|nth| *nth > 0);
                (call, Some(nth.ok_or_else(|| invalid("counts no repetition from 1"))?))
            }
        };
        let call = match call {
            "any" => None,
            name => {
                let known = Call::ALL.iter().copied().find(|call| call.name() == name);
                Some(known.ok_or_else(|| invalid("names no call of a driver"))?)
            }
        };
        let kind = parse_kind(kind).ok_or_else(|| {
            invalid("ends in none of fail, transient, throttled[:MS], quota, lost, slow:MS, partial:MACHINES")
        })?;
        Ok(Self { call, nth, kind })
    }
}

fn parse_kind(text: &str) -> Option<FaultKind> {
    let (kind, value) = match text.split_once(':') {
        None => (text, None),
        Some((kind, value)) => (kind, Some(value.parse::<u32>().ok()?)),
    };
    let pause = value.map(|milliseconds| Duration::from_millis(milliseconds.into()));
    match (kind, value, pause) {
        ("fail", None, _) => Some(FaultKind::Fail),
        ("transient", None, _) => Some(FaultKind::Transient),
        ("quota", None, _) => Some(FaultKind::Quota),
        ("lost", None, _) => Some(FaultKind::Lost),
        ("throttled", _, retry_after) => Some(FaultKind::Throttled { retry_after }),
        ("slow", _, Some(pause)) => Some(FaultKind::Slow(pause)),
        ("partial", Some(machines), _) => Some(FaultKind::Partial(usize::try_from(machines).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, call: Option<Call>, nth: Option<u32>, kind: FaultKind) {
        assert_eq!(text.parse(), Ok(Fault { call, nth, kind }));
    }

    #[test]
    fn faults_are_read_as_they_are_written() {
        check("create:1=lost", Some(Call::Create), Some(1), FaultKind::Lost);
        check("create=partial:2", Some(Call::Create), None, FaultKind::Partial(2));
        check("any=slow:20", None, None, FaultKind::Slow(Duration::from_millis(20)));
        check("find:3=throttled", Some(Call::Find), Some(3), FaultKind::Throttled { retry_after: None });
        let retry_after = Some(Duration::from_millis(50));
        check("remove-network=throttled:50", Some(Call::RemoveNetwork), None, FaultKind::Throttled { retry_after });
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for text in ["", "create", "create:0=fail", "create:x=fail", "launch=fail", "create=slow", "create=fail:1"] {
            assert!(text.parse::<Fault>().is_err(), "`{text}` was accepted");
        }
    }

    #[test]
    fn a_fault_strikes_its_call_and_its_repetition_only() {
        let second: Fault = "create:2=fail".parse().unwrap();

        assert!(second.strikes(Call::Create, 2));
        assert!(!second.strikes(Call::Create, 1));
        assert!(!second.strikes(Call::Find, 2));
    }
}
