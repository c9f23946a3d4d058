//! Waiting for something at a provider that offers no way to be told.

use std::time::Duration;

use tokio::time::Instant;

use crate::DriverError;

/// How long to wait, and how often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The time after which it is given up.
    pub limit: Duration,
    /// The pause between two looks.
    pub interval: Duration,
}

/// Looks until there is something to return; `action` is a clause such as "see instance `a` running".
///
/// The look itself is bounded by the same limit. Its failures end the wait: a look that may fail in passing brings its
/// own [`retry`](crate::retry()).
pub async fn wait_until<T, F>(
    wait: &Wait,
    action: impl Into<String>,
    mut look: impl FnMut() -> F,
) -> Result<T, DriverError>
where
    F: Future<Output = Result<Option<T>, DriverError>>,
{
    let deadline = Instant::now() + wait.limit;
    let looking = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(wait.interval).await;
        }
    };
    match tokio::time::timeout_at(deadline, looking).await {
        Ok(result) => result,
        Err(_) => Err(DriverError::TimedOut { action: action.into(), after: wait.limit }),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const WAIT: Wait = Wait { limit: Duration::from_secs(10), interval: Duration::from_secs(1) };

    #[tokio::test(start_paused = true)]
    async fn what_appears_in_time_is_returned() {
        let mut looks = 0;

        let found = wait_until(&WAIT, "see instance `a` running", || {
            looks += 1;
            ready(Ok((looks == 4).then_some(looks)))
        })
        .await;

        assert_eq!(found.unwrap(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_appears_is_named_with_the_time_it_had() {
        let begin = Instant::now();

        let missing = wait_until::<(), _>(&WAIT, "see instance `a` running", || ready(Ok(None))).await;

        assert_eq!(missing.unwrap_err().to_string(), "failed to see instance `a` running within 10 s");
        assert_eq!(begin.elapsed(), WAIT.limit);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_is_given_up_too() {
        let missing = wait_until::<(), _>(&WAIT, "see it", pending).await;

        assert!(matches!(missing, Err(DriverError::TimedOut { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_fails_ends_the_wait() {
        let failed =
            wait_until::<(), _>(&WAIT, "see it", || ready(Err(DriverError::NoSuchMachine { id: "a".into() }))).await;

        assert!(matches!(failed, Err(DriverError::NoSuchMachine { .. })));
    }
}
