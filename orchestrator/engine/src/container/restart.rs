//! Whether a container that has ended is started again, and when. Pure.

use std::time::Duration;

use super::ContainerState;
use crate::config::RestartPolicy;

/// The first pause before a container is started again; each further one is twice as long. As in Docker.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A container that has run so long has recovered: the pauses begin anew.
const RECOVERED: Duration = Duration::from_secs(10);

/// Who or what has a container looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// It has ended.
    Ended,
    /// The engine was opened, and it does not run.
    Opened {
        /// Whether it ran when the engine before this one was there last.
        was_running: bool,
    },
}

/// Whether a container in this state, which has ended, is to be started again.
pub(super) fn is_restarted(policy: &RestartPolicy, state: &ContainerState, occasion: Occasion) -> bool {
    match (policy.name.as_str(), occasion) {
        ("always", Occasion::Ended) | ("unless-stopped", _) => !state.is_stopped && may_open(state, occasion),
        // Docker starts these again with its daemon, also where an operator has stopped them.
        ("always", Occasion::Opened { .. }) => may_open(state, occasion),
        ("on-failure", Occasion::Ended | Occasion::Opened { was_running: true }) => {
            let limit = policy.maximum_retry_count;
            let may_try = limit == 0 || i64::from(state.restart_count) < limit;
            !state.is_stopped && state.exit_code != 0 && may_try
        }
        _ => false,
    }
}

/// A container that was never started is not started by itself.
fn may_open(state: &ContainerState, occasion: Occasion) -> bool {
    occasion == Occasion::Ended || state.started_at.is_some()
}

/// The pause before the next start, after one of `last` and a run of this length.
pub(super) fn pause(last: Option<Duration>, ran_for: Duration) -> Duration {
    match last {
        Some(last) if ran_for < RECOVERED => (last * 2).min(LONGEST_PAUSE),
        Some(_) | None => FIRST_PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn check(policy: (&str, i64), state: &ContainerState, occasion: Occasion, expected: bool) {
        let policy = RestartPolicy { name: policy.0.to_owned(), maximum_retry_count: policy.1 };
        assert_eq!(is_restarted(&policy, state, occasion), expected, "{policy:?} {state:?} {occasion:?}");
    }

    fn ended(exit_code: i32, restart_count: u32, is_stopped: bool) -> ContainerState {
        let started_at = Some(Timestamp::UNIX_EPOCH);
        ContainerState { exit_code, started_at, restart_count, is_stopped, ..ContainerState::default() }
    }

    #[test]
    fn the_policy_decides_after_an_end() {
        let occasion = Occasion::Ended;
        check(("", 0), &ended(1, 0, false), occasion, false);
        check(("no", 0), &ended(1, 0, false), occasion, false);
        check(("always", 0), &ended(0, 7, false), occasion, true);
        check(("always", 0), &ended(0, 7, true), occasion, false);
        check(("unless-stopped", 0), &ended(0, 0, false), occasion, true);
        check(("unless-stopped", 0), &ended(0, 0, true), occasion, false);
        check(("on-failure", 0), &ended(0, 0, false), occasion, false);
        check(("on-failure", 0), &ended(1, 99, false), occasion, true);
        check(("on-failure", 3), &ended(1, 2, false), occasion, true);
        check(("on-failure", 3), &ended(1, 3, false), occasion, false);
        check(("on-failure", 3), &ended(137, 0, true), occasion, false);
    }

    #[test]
    fn the_policy_decides_when_the_engine_comes_back() {
        let (ran, rested) = (Occasion::Opened { was_running: true }, Occasion::Opened { was_running: false });
        check(("always", 0), &ended(0, 0, true), rested, true);
        check(("always", 0), &ContainerState::default(), rested, false);
        check(("unless-stopped", 0), &ended(0, 0, true), rested, false);
        check(("unless-stopped", 0), &ended(0, 0, false), rested, true);
        check(("on-failure", 0), &ended(255, 0, false), ran, true);
        check(("on-failure", 0), &ended(255, 0, false), rested, false);
        check(("no", 0), &ended(255, 0, false), ran, false);
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_a_good_run() {
        let short = Duration::from_secs(1);
        assert_eq!(pause(None, short), Duration::from_millis(100));
        assert_eq!(pause(Some(Duration::from_millis(100)), short), Duration::from_millis(200));
        assert_eq!(pause(Some(Duration::from_secs(50)), short), Duration::from_mins(1));
        assert_eq!(pause(Some(Duration::from_secs(50)), Duration::from_secs(11)), Duration::from_millis(100));
    }
}
