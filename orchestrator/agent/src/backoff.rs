//! How long to wait before the next try: little at first, never long. Pure; the randomness is handed in.

use std::time::Duration;

use rand::{Rng, RngExt};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
const GROWTH: f64 = 1.4;

/// Waits that grow from 50 ms to 2 s, each shortened by up to a half so that nodes do not come in step.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    /// The beginning.
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// The next wait.
    pub(crate) fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let wait = self.0.mul_f64(rng.random_range(0.5..=1.0));
        self.0 = self.0.mul_f64(GROWTH).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn waits_grow_from_fifty_milliseconds_to_two_seconds_and_are_never_in_step() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::new();

        let waits: Vec<Duration> = (0..30).map(|_| backoff.next(&mut rng)).collect();

        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits[20..].iter().all(|wait| *wait >= LONGEST / 2 && *wait <= LONGEST));
        assert!(waits[20..].windows(2).any(|pair| pair[0] != pair[1]));
    }
}
