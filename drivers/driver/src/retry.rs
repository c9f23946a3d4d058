//! Trying a provider's call again: the one place that decides whether and when.
//!
//! Only failures that [`DriverError::is_transient`] says may mend are tried again, a bounded number of times. The pauses
//! grow and are drawn at random from zero to their limit ("full jitter"), so that callers that failed together do not
//! come back together; a provider that names a time is not called before it.

use std::time::Duration;

use rand::{Rng, RngExt};
use tracing::debug;

use crate::DriverError;

/// How often and how patiently a call is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// How many times in all.
    pub attempts: u32,
    /// The longest pause before the second attempt; it doubles from there.
    pub first: Duration,
    /// The longest pause ever, and the longest that a provider may ask for.
    pub ceiling: Duration,
}

impl Default for Backoff {
    /// Some two minutes at worst: longer than a provider's rate limits, shorter than a user's patience.
    fn default() -> Self {
        Self { attempts: 8, first: Duration::from_millis(500), ceiling: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// The pause after a failed attempt, counted from 1; `None` where the failure is final.
    pub fn pause(&self, attempt: u32, failure: &DriverError, rng: &mut (impl Rng + ?Sized)) -> Option<Duration> {
        if !failure.is_transient() || attempt >= self.attempts {
            return None;
        }
        let doubled = 2_u32.saturating_pow(attempt - 1);
        let limit = self.first.saturating_mul(doubled).min(self.ceiling);
        let jitter = limit.mul_f64(rng.random_range(0.0..=1.0));
        match failure.retry_after() {
            Some(asked) if asked > self.ceiling => None,
            Some(asked) => Some(asked + jitter.min(self.first)),
            None => Some(jitter),
        }
    }
}

/// Calls until it succeeds, fails for good, or has failed too often; returns the last failure then.
///
/// The call must be repeatable: one whose answer was lost may have been executed.
pub async fn retry<T, F>(
    backoff: &Backoff,
    rng: &mut (impl Rng + ?Sized),
    mut call: impl FnMut() -> F,
) -> Result<T, DriverError>
where
    F: Future<Output = Result<T, DriverError>>,
{
    let mut attempt = 1;
    loop {
        let failure = match call().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let Some(pause) = backoff.pause(attempt, &failure, rng) else { return Err(failure) };
        debug!(attempt, pause_ms = pause.as_millis(), error = %failure, "trying the provider again");
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tokio::time::Instant;

    use super::*;

    const BACKOFF: Backoff =
        Backoff { attempts: 4, first: Duration::from_millis(100), ceiling: Duration::from_secs(1) };

    fn hiccup() -> DriverError {
        DriverError::transient("start instance `a`", "connection reset")
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_mend_is_tried_until_it_does() {
        let mut calls = 0;

        let result = retry(&BACKOFF, &mut StdRng::seed_from_u64(1), || {
            calls += 1;
            ready(if calls < 3 { Err(hiccup()) } else { Ok(calls) })
        })
        .await;

        assert_eq!(result.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_bounded() {
        let mut calls = 0;

        let result: Result<(), _> = retry(&BACKOFF, &mut StdRng::seed_from_u64(1), || {
            calls += 1;
            ready(Err(hiccup()))
        })
        .await;

        assert_eq!(result.unwrap_err().to_string(), "failed to start instance `a`");
        assert_eq!(calls, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_final_is_tried_once() {
        let mut calls = 0;

        let result: Result<(), _> = retry(&BACKOFF, &mut StdRng::seed_from_u64(1), || {
            calls += 1;
            ready(Err(DriverError::NoSuchMachine { id: "a".to_owned() }))
        })
        .await;

        assert!(matches!(result, Err(DriverError::NoSuchMachine { .. })));
        assert_eq!(calls, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_names_a_time_is_not_called_before_it() {
        let asked = Duration::from_millis(900);
        let begin = Instant::now();
        let mut calls = 0;

        let result = retry(&BACKOFF, &mut StdRng::seed_from_u64(1), || {
            calls += 1;
            let throttled = DriverError::Throttled { provider: "fake", retry_after: Some(asked) };
            ready(if calls == 1 { Err(throttled) } else { Ok(()) })
        })
        .await;

        assert!(result.is_ok());
        assert!(begin.elapsed() >= asked && begin.elapsed() <= asked + BACKOFF.first);
    }

    #[test]
    fn a_driver_may_retry_with_what_it_borrows() {
        fn is_send(_future: &(impl Future + Send)) {}
        let name = String::from("a");
        let mut rng = StdRng::seed_from_u64(1);

        let future = retry(&BACKOFF, &mut rng, || async { Ok(name.len()) });

        is_send(&future);
    }

    #[test]
    fn a_provider_that_asks_for_more_than_our_patience_is_not_waited_for() {
        let throttled = DriverError::Throttled { provider: "fake", retry_after: Some(Duration::from_secs(2)) };

        assert_eq!(BACKOFF.pause(1, &throttled, &mut StdRng::seed_from_u64(1)), None);
    }

    #[test]
    fn pauses_grow_to_the_ceiling_and_differ() {
        let patient = Backoff { attempts: u32::MAX, ..BACKOFF };
        let mut rng = StdRng::seed_from_u64(1);

        let mut longest = |attempt| (0..200).filter_map(|_| patient.pause(attempt, &hiccup(), &mut rng)).max().unwrap();

        assert!(longest(1) <= Duration::from_millis(100));
        assert!(longest(2) > Duration::from_millis(100) && longest(2) <= Duration::from_millis(200));
        assert!(longest(60) > Duration::from_millis(500) && longest(60) <= Duration::from_secs(1));
    }
}
