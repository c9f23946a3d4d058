//! How late this process is woken: on a machine that is busy, limits of time must stretch, or a healthy group
//! would hold elections.

use std::time::Duration;

use tokio::time::Instant;

/// Delays are remembered for one to two of these.
const WINDOW: Duration = Duration::from_secs(15);
/// So many delays in a window are put down to something else than a busy machine: a process that was stopped, a
/// machine that was paused or migrated. One wake-up in twenty, at the ten in a second that a member has.
const OUTLIERS: usize = 7;
/// A delay of the timers is met on both ends of a call and by the disk in between.
const FACTOR: u32 = 3;

/// The greatest delays of late.
#[derive(Debug)]
pub(crate) struct DelayMeter {
    window_start: Instant,
    current: Greatest,
    previous: Greatest,
    max_stretch: Duration,
}

/// The greatest delays of a window, greatest first.
type Greatest = [Duration; OUTLIERS + 1];

impl DelayMeter {
    pub(crate) fn new(now: Instant, max_stretch: Duration) -> Self {
        Self { window_start: now, current: Greatest::default(), previous: Greatest::default(), max_stretch }
    }

    /// Notes that something due at `due` happened at `now`.
    pub(crate) fn observe(&mut self, due: Instant, now: Instant) {
        if now.saturating_duration_since(self.window_start) >= WINDOW {
            self.previous = std::mem::take(&mut self.current);
            self.window_start = now;
        }
        let delay = now.saturating_duration_since(due);
        let [.., least] = &mut self.current;
        *least = delay.max(*least);
        self.current.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// What limits are stretched by.
    pub(crate) fn stretch(&self) -> Duration {
        let ([.., current], [.., previous]) = (self.current, self.previous);
        (current.max(previous) * FACTOR).min(self.max_stretch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    /// As many delays as it takes for one to count.
    fn observe_often(meter: &mut DelayMeter, due: Instant, delay: Duration) {
        for _ in 0..=OUTLIERS {
            meter.observe(due, due + delay);
        }
    }

    #[test]
    fn a_punctual_process_stretches_nothing() {
        let start = Instant::now();
        let mut meter = DelayMeter::new(start, milliseconds(1500));

        observe_often(&mut meter, start, Duration::ZERO);

        assert_eq!(meter.stretch(), Duration::ZERO);
    }

    #[test]
    fn the_greatest_delays_count_and_are_capped() {
        let start = Instant::now();
        let mut meter = DelayMeter::new(start, milliseconds(1500));

        observe_often(&mut meter, start, milliseconds(40));
        observe_often(&mut meter, start, milliseconds(10));
        assert_eq!(meter.stretch(), milliseconds(120));

        observe_often(&mut meter, start, milliseconds(5000));
        assert_eq!(meter.stretch(), milliseconds(1500));
    }

    #[test]
    fn a_process_that_was_stopped_a_few_times_is_not_busy() {
        let start = Instant::now();
        let mut meter = DelayMeter::new(start, milliseconds(1500));
        observe_often(&mut meter, start, milliseconds(2));

        for _ in 0..OUTLIERS {
            meter.observe(start, start + milliseconds(3000));
        }

        assert_eq!(meter.stretch(), milliseconds(6));
    }

    #[test]
    fn a_delay_is_forgotten_after_two_windows() {
        let start = Instant::now();
        let mut meter = DelayMeter::new(start, milliseconds(1500));
        observe_often(&mut meter, start, milliseconds(40));

        meter.observe(start + WINDOW, start + WINDOW);
        assert_eq!(meter.stretch(), milliseconds(120));

        meter.observe(start + 2 * WINDOW, start + 2 * WINDOW);
        assert_eq!(meter.stretch(), Duration::ZERO);
    }
}
