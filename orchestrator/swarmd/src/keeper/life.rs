//! The life of a kept agent, as a state machine without clock, process or socket.
//!
//! ```text
//!            Start            Ready
//!    Down ---------> Starting ------> Serving
//!     ^  ^              |  \             |
//!     |  |        Ended |   \ Stop       | Ended             Ended: the next attempt waits 100 ms, 200 ms … 10 s;
//!     |  | Stop         v    \           v                   a minute of serving makes it 100 ms again
//!     |  +---------- Waiting  +----->  Ending --(grace over)--> kill
//!     |                 | Due            |
//!     |                 +--> Starting    | Ended
//!     +----------------------------------+   (Restart: on to Starting instead)
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// The first wait after the agent has ended by itself.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// An agent that has lived this long has proved itself: its end counts as the first again.
const HEALTHY_AFTER: Duration = Duration::from_mins(1);
/// How long the agent may take to drain before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Where the agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not wanted, not there.
    Down,
    /// There, not serving yet.
    Starting {
        /// Since when.
        since: Instant,
    },
    /// There, and has said that it serves.
    Serving {
        /// Since when it is there.
        since: Instant,
    },
    /// Asked to end; killed at the deadline.
    Ending {
        /// When patience ends.
        deadline: Instant,
        /// Whether a new one follows.
        then_start: bool,
    },
    /// Ended by itself; the next attempt is due later.
    Waiting {
        /// When the next attempt is due.
        until: Instant,
    },
}

/// What happens to the agent, or is asked of its keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// It shall run.
    Start,
    /// It shall not run.
    Stop,
    /// It shall run afresh.
    Restart,
    /// It says that it serves.
    Ready,
    /// Its process is gone.
    Ended,
    /// Time has passed.
    Due,
}

/// What the keeper must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// Start the process.
    Spawn,
    /// Ask it to end.
    Terminate,
    /// End it.
    Kill,
}

/// The life of one agent.
#[derive(Debug)]
pub(crate) struct Life {
    state: State,
    /// How often in a row it has ended without having proved itself.
    failures: u32,
}

impl Life {
    /// An agent that nobody has asked for yet.
    pub(crate) fn new() -> Self {
        Self { state: State::Down, failures: 0 }
    }

    /// Where the agent stands.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// How often in a row the agent has ended by itself without having lived for a minute.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// When [`Input::Due`] is due, if ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Ending { deadline, .. } => Some(deadline),
            State::Waiting { until } => Some(until),
            State::Down | State::Starting { .. } | State::Serving { .. } => None,
        }
    }

    /// Takes one step.
    pub(crate) fn step(&mut self, input: Input, now: Instant) -> Effect {
        let (state, effect) = match (self.state, input) {
            (State::Down | State::Waiting { .. }, Input::Start | Input::Restart)
            | (State::Ending { then_start: true, .. }, Input::Ended) => {
                self.failures = 0;
                (State::Starting { since: now }, Effect::Spawn)
            }
            (State::Waiting { until }, Input::Due) if now >= until => (State::Starting { since: now }, Effect::Spawn),
            (State::Waiting { .. }, Input::Stop) | (State::Ending { then_start: false, .. }, Input::Ended) => {
                (State::Down, Effect::None)
            }

            (State::Starting { since }, Input::Ready) => (State::Serving { since }, Effect::None),
            (State::Starting { .. } | State::Serving { .. }, Input::Stop) => (ending(now, false), Effect::Terminate),
            (State::Starting { .. } | State::Serving { .. }, Input::Restart) => (ending(now, true), Effect::Terminate),
            (State::Starting { since } | State::Serving { since }, Input::Ended) => {
                if now.duration_since(since) >= HEALTHY_AFTER {
                    self.failures = 0;
                }
                let until = now + backoff(self.failures);
                self.failures = self.failures.saturating_add(1);
                (State::Waiting { until }, Effect::None)
            }

            (State::Ending { deadline, then_start }, Input::Due) if now >= deadline => {
                // Killed again should the process outlive even that.
                (State::Ending { deadline: now + STOP_GRACE, then_start }, Effect::Kill)
            }
            (State::Ending { deadline, .. }, Input::Stop) => {
                (State::Ending { deadline, then_start: false }, Effect::None)
            }
            (State::Ending { deadline, .. }, Input::Start | Input::Restart) => {
                (State::Ending { deadline, then_start: true }, Effect::None)
            }

            (state, Input::Start | Input::Stop | Input::Ready | Input::Ended | Input::Due) => (state, Effect::None),
        };
        self.state = state;
        effect
    }
}

fn ending(now: Instant, then_start: bool) -> State {
    State::Ending { deadline: now + STOP_GRACE, then_start }
}

/// How long to wait after so many failures in a row.
fn backoff(failures: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A life that has seen these inputs, a millisecond apart.
    fn life_after(inputs: &[Input]) -> (Life, Instant, Effect) {
        let mut life = Life::new();
        let mut now = Instant::now();
        let mut effect = Effect::None;
        for input in inputs {
            now += Duration::from_millis(1);
            effect = life.step(*input, now);
        }
        (life, now, effect)
    }

    #[test]
    fn an_agent_that_is_asked_for_is_started() {
        let (life, now, effect) = life_after(&[Input::Start]);

        assert_eq!(effect, Effect::Spawn);
        assert_eq!(life.state(), State::Starting { since: now });
    }

    #[test]
    fn asking_twice_starts_one_agent() {
        let (_, _, effect) = life_after(&[Input::Start, Input::Ready, Input::Start]);

        assert_eq!(effect, Effect::None);
    }

    #[test]
    fn waits_grow_from_a_tenth_of_a_second_to_ten() {
        let waits: Vec<u128> = (0..9).map(|failures| backoff(failures).as_millis()).collect();

        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }

    #[test]
    fn an_agent_that_ended_by_itself_is_started_again_when_the_wait_is_over() {
        let (mut life, now, _) = life_after(&[Input::Start, Input::Ready, Input::Ended]);

        assert_eq!(life.deadline(), Some(now + FIRST_BACKOFF));
        assert_eq!(life.step(Input::Due, now + FIRST_BACKOFF - Duration::from_millis(1)), Effect::None);
        assert_eq!(life.step(Input::Due, now + FIRST_BACKOFF), Effect::Spawn);
    }

    #[test]
    fn a_minute_of_health_forgives_earlier_failures() {
        let (mut life, now, _) = life_after(&[Input::Start, Input::Ended]);
        life.step(Input::Due, now + FIRST_BACKOFF);
        let ended = now + FIRST_BACKOFF + HEALTHY_AFTER;

        life.step(Input::Ended, ended);

        assert_eq!(life.deadline(), Some(ended + FIRST_BACKOFF));
    }

    #[test]
    fn an_agent_that_is_stopped_while_it_waits_is_down_at_once() {
        let (life, _, effect) = life_after(&[Input::Start, Input::Ended, Input::Stop]);

        assert_eq!(effect, Effect::None);
        assert_eq!(life.state(), State::Down);
    }

    #[test]
    fn an_agent_that_does_not_drain_in_time_is_killed() {
        let (mut life, now, effect) = life_after(&[Input::Start, Input::Ready, Input::Stop]);

        assert_eq!(effect, Effect::Terminate);
        assert_eq!(life.step(Input::Due, now + STOP_GRACE), Effect::Kill);
        assert_eq!(life.step(Input::Ended, now + STOP_GRACE), Effect::None);
        assert_eq!(life.state(), State::Down);
    }

    #[test]
    fn a_restart_starts_the_next_agent_once_the_last_is_gone() {
        let (_, _, effect) = life_after(&[Input::Start, Input::Ready, Input::Restart, Input::Ended]);

        assert_eq!(effect, Effect::Spawn);
    }

    #[test]
    fn a_start_during_the_stop_wins_over_it() {
        let (_, _, effect) = life_after(&[Input::Start, Input::Ready, Input::Stop, Input::Start, Input::Ended]);

        assert_eq!(effect, Effect::Spawn);
    }
}
