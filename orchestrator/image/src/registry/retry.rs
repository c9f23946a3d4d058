//! Asking a registry again.

use std::time::Duration;

use super::RegistryError;

/// The wait after the first failure; it doubles.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait of our own.
const LONGEST: Duration = Duration::from_secs(5);
/// The longest wait that a registry may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(30);

/// How many more failures are borne.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    attempts: u32,
    left: u32,
    wait: Duration,
}

impl Patience {
    /// For so many failures in a row, at least one.
    pub(super) fn new(attempts: u32) -> Self {
        Self { attempts, left: attempts, wait: FIRST }
    }

    /// Something came forward: all begins anew.
    pub(super) fn restore(&mut self) {
        *self = Self::new(self.attempts);
    }

    /// Waits before another try, or gives the failure back where none is worth it.
    pub(super) async fn bear(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || !error.is_transient() {
            return Err(error);
        }
        let wait = error.retry_after().map_or(self.wait, |asked| asked.min(LONGEST_ASKED));
        self.wait = (self.wait * 2).min(LONGEST);
        tracing::debug!(error = %model::with_causes(&error), left = self.left, "asking the registry again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
