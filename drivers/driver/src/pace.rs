//! Keeps all of a workstation's commands together below a provider's published rate.
//!
//! A provider counts calls by account, not by process: ten `swarmup create` at once share one bucket, and whoever is
//! refused only adds to the load by trying again. So each call takes its place first, in a file that all processes of
//! the workstation share, and waits for it outside of the file's lock. What is kept is the moment at which the bucket
//! is full again (a "theoretical arrival time"), so there is nothing to refill and nothing to clean up.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{DriverError, keep};

/// A bucket as a provider publishes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Its name in the file: provider, account's part, kind of call.
    pub bucket: &'static str,
    /// How many calls it holds when full.
    pub burst: f64,
    /// How many come back each second.
    pub per_second: f64,
}

/// The places that a workstation's processes have taken at one provider.
#[derive(Debug, Clone)]
pub struct Pace {
    folder: PathBuf,
}

impl Pace {
    /// The places that are kept in a folder, which is made when one is taken.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Takes a place and waits until it has come.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub async fn take(&self, rate: Rate, cost: u32) -> Result<(), DriverError> {
        let folder = self.folder.clone();
        let wait = tokio::task::spawn_blocking(move || take_place(&folder, rate, cost))
            .await
            .expect("taking a place does not panic")
            .map_err(|error| {
                DriverError::provider(format!("keep the pace of calls in `{}`", self.folder.display()), error)
            })?;
        if !wait.is_zero() {
            tracing::debug!(bucket = rate.bucket, wait_ms = wait.as_millis(), "waiting for a place among the calls");
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

/// Takes a place in the file; how long to wait for it. The lock ends with the file.
fn take_place(folder: &Path, rate: Rate, cost: u32) -> io::Result<Duration> {
    keep::create_private_dir(folder)?;
    let mut file = keep::open_private(&folder.join("pace.json"), false)?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // A file that was cut short only forgets who waited.
    let mut full_at: BTreeMap<String, f64> = serde_json::from_str(&text).unwrap_or_default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let (next, wait) = reserve(full_at.get(rate.bucket).copied().unwrap_or_default(), now, rate, cost);
    full_at.insert(rate.bucket.to_owned(), next);
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(&full_at)?)?;
    Ok(wait)
}

/// When the bucket is full again after this call, and how long the call has to wait. Times are seconds.
fn reserve(full_at: f64, now: f64, rate: Rate, cost: u32) -> (f64, Duration) {
    // Nobody waits longer than a queue of a thousand calls: beyond that the clock has jumped.
    let horizon = now + (rate.burst + 1000.0) / rate.per_second;
    let full_at = if full_at > horizon { now } else { full_at.max(now) };
    let next = full_at + f64::from(cost) / rate.per_second;
    let wait = next - rate.burst / rate.per_second - now;
    (next, Duration::try_from_secs_f64(wait).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { bucket: "run", burst: 5.0, per_second: 2.0 };

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut full_at = 0.0;

        let waits: Vec<_> = (0..8)
            .map(|_| {
                let (next, wait) = reserve(full_at, 1000.0, RATE, 1);
                full_at = next;
                wait.as_secs_f64()
            })
            .collect();

        assert_eq!(waits, [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.5]);
    }

    #[test]
    fn what_has_come_back_meanwhile_counts_and_no_more_than_the_bucket_holds() {
        let (full_at, _) = reserve(0.0, 1000.0, RATE, 5);

        assert_eq!(reserve(full_at, 1001.0, RATE, 2).1, Duration::ZERO);
        assert_eq!(reserve(full_at, 5000.0, RATE, 6).1, Duration::from_millis(500));
    }

    #[test]
    fn a_clock_that_jumped_back_makes_nobody_wait_for_it() {
        let (full_at, _) = reserve(0.0, 1_000_000.0, RATE, 5);

        assert_eq!(reserve(full_at, 1000.0, RATE, 1).1, Duration::ZERO);
    }

    #[tokio::test]
    async fn commands_that_run_at_once_share_the_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let rate = Rate { bucket: "run", burst: 2.0, per_second: 50.0 };
        let begin = tokio::time::Instant::now();

        let takes = (0..7).map(|_| {
            let pace = Pace::new(&folder.path().join("pace"));
            async move { pace.take(rate, 1).await }
        });
        futures_util::future::try_join_all(takes).await.unwrap();

        assert!(begin.elapsed() >= Duration::from_millis(95), "five of seven wait, the last for 100 ms");
    }
}
