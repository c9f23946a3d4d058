//! The node's own time, which stands still while the node does not run, and the timers that live in it.
//!
//! A node that was starved or stopped for three seconds has not waited three seconds for an answer: it did not look.
//! So all deadlines move by the time in which it was not scheduled, and it blames nobody for its own absence.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use foca::Timer;
use tokio::time::Instant;

use crate::place::Place;

/// How often the node looks at the clock.
const TICK: Duration = Duration::from_millis(50);
/// A look that comes later than this is a delay of our own; less is the ordinary grain of timers.
const GRAIN: Duration = Duration::from_millis(20);
/// How long a delay counts as lately.
const MEMORY: Duration = Duration::from_secs(10);

/// Measures own delays and counts own time.
#[derive(Debug)]
pub(crate) struct OwnTime {
    started: Instant,
    next_look: Instant,
    absent: Duration,
    delays: VecDeque<(Instant, Duration)>,
}

impl OwnTime {
    pub(crate) fn new(now: Instant) -> Self {
        Self { started: now, next_look: now + TICK, absent: Duration::ZERO, delays: VecDeque::new() }
    }

    /// Looks at the clock: what lies beyond the look that was due is absence.
    pub(crate) fn look(&mut self, now: Instant) {
        let delay = now.saturating_duration_since(self.next_look);
        if delay > GRAIN {
            self.absent += delay;
            self.delays.push_back((now, delay));
        }
        self.delays.retain(|(at, _)| now.saturating_duration_since(*at) < MEMORY);
        if now >= self.next_look {
            self.next_look = now + TICK;
        }
    }

    /// When to look next.
    pub(crate) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// Own time since the start, as of the last look.
    pub(crate) fn now(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started).saturating_sub(self.absent)
    }

    /// The longest delay seen lately.
    pub(crate) fn worst_delay(&self) -> Duration {
        self.delays.iter().map(|(_, delay)| *delay).max().unwrap_or_default()
    }
}

/// Timers of SWIM, by own time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeMap<(Duration, u64), Timer<Place>>,
    count: u64,
}

impl Timers {
    pub(crate) fn add(&mut self, due: Duration, timer: Timer<Place>) {
        self.count += 1;
        self.queue.insert((due, self.count), timer);
    }

    /// Takes the next timer that is due.
    pub(crate) fn take_due(&mut self, own_now: Duration) -> Option<Timer<Place>> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 <= own_now { Some(entry.remove()) } else { None }
    }

    /// How long until the first one is due.
    pub(crate) fn until_next(&self, own_now: Duration) -> Option<Duration> {
        self.queue.first_key_value().map(|((due, _), _)| due.saturating_sub(own_now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn own_time_stands_still_while_the_node_is_not_scheduled() {
        let start = Instant::now();
        let mut time = OwnTime::new(start);

        time.look(start + TICK);
        time.look(start + TICK * 2 + Duration::from_secs(3));

        assert_eq!(time.now(start + TICK * 2 + Duration::from_secs(3)), TICK * 2);
        assert_eq!(time.worst_delay(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn the_grain_of_timers_is_no_delay_and_delays_are_forgotten() {
        let start = Instant::now();
        let mut time = OwnTime::new(start);

        time.look(start + TICK + GRAIN);
        assert_eq!(time.worst_delay(), Duration::ZERO);

        time.look(start + Duration::from_secs(1));
        assert!(time.worst_delay() > Duration::from_millis(800));

        let later = start + Duration::from_secs(1) + TICK;
        time.look(later);
        time.next_look = later + MEMORY;
        time.look(later + MEMORY);
        assert_eq!(time.worst_delay(), Duration::ZERO);
    }

    #[test]
    fn timers_come_in_order_and_only_when_due() {
        let mut timers = Timers::default();
        timers.add(Duration::from_secs(2), Timer::PeriodicGossip(2));
        timers.add(Duration::from_secs(1), Timer::PeriodicGossip(1));
        timers.add(Duration::from_secs(2), Timer::PeriodicGossip(3));

        assert_eq!(timers.until_next(Duration::ZERO), Some(Duration::from_secs(1)));
        assert_eq!(timers.take_due(Duration::ZERO), None);
        assert_eq!(timers.take_due(Duration::from_secs(2)), Some(Timer::PeriodicGossip(1)));
        assert_eq!(timers.take_due(Duration::from_secs(2)), Some(Timer::PeriodicGossip(2)));
        assert_eq!(timers.take_due(Duration::from_secs(2)), Some(Timer::PeriodicGossip(3)));
        assert_eq!(timers.take_due(Duration::from_secs(9)), None);
    }
}
