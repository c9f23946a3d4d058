//! How late this process is woken: on a machine that is busy, limits of time must stretch, or a healthy group
//! would hold elections.

use std::time::Duration;

use tokio::time::Instant;

/// Delays are remembered for one to two of these.
const WINDOW: Duration = Duration::from_secs(15);
/// A delay of the timers is met on both ends of a call and by the disk in between.
const FACTOR: u32 = 3;

/// The greatest delay of late.
#[derive(Debug)]
pub(crate) struct DelayMeter {
    window_start: Instant,
    current: Duration,
    previous: Duration,
    max_stretch: Duration,
}

impl DelayMeter {
    pub(crate) fn new(now: Instant, max_stretch: Duration) -> Self {
        Self { window_start: now, current: Duration::ZERO, previous: Duration::ZERO, max_stretch }
    }

    /// Notes that something due at `due` happened at `now`.
    pub(crate) fn observe(&mut self, due: Instant, now: Instant) {
        if now.saturating_duration_since(self.window_start) >= WINDOW {
            self.previous = self.current;
            self.current = Duration::ZERO;
            self.window_start = now;
        }
        self.current = self.current.max(now.saturating_duration_since(due));
    }

    /// What limits are stretched by.
    pub(crate) fn stretch(&self) -> Duration {
        (self.current.max(self.previous) * FACTOR).min(self.max_stretch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn a_punctual_process_stretches_nothing() {
        let start = Instant::now();
        let mut meter = DelayMeter::new(start, milliseconds(1500));

        meter.observe(start, start);

        assert_eq!(meter.stretch(), Duration::ZERO);
    }

    #[test]
    fn the_greatest_delay_counts_and_is_capped() {
        let start = Instant::now();
        let mut meter = DelayMeter::new(start, milliseconds(1500));

        meter.observe(start, start + milliseconds(40));
        meter.observe(start, start + milliseconds(10));
        assert_eq!(meter.stretch(), milliseconds(120));

        meter.observe(start, start + milliseconds(5000));
        assert_eq!(meter.stretch(), milliseconds(1500));
    }

    #[test]
    fn a_delay_is_forgotten_after_two_windows() {
        let start = Instant::now();
        let mut meter = DelayMeter::new(start, milliseconds(1500));
        meter.observe(start, start + milliseconds(40));

        meter.observe(start + WINDOW, start + WINDOW);
        assert_eq!(meter.stretch(), milliseconds(120));

        meter.observe(start + 2 * WINDOW, start + 2 * WINDOW);
        assert_eq!(meter.stretch(), Duration::ZERO);
    }
}
