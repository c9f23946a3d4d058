//! How long this driver waits for what.

use std::time::Duration;

use driver::{Backoff, Wait};

/// How long this driver waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often and how patiently a call is tried.
    pub backoff: Backoff,
    /// How long what was created a moment ago may be unknown to the next call.
    pub consistency: Duration,
    /// The wait for machines to have their addresses, to run, or to stop.
    pub machines: Wait,
    /// The wait for what vanishes, and for whatever hangs on it.
    pub vanishing: Wait,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            consistency: Duration::from_secs(10),
            machines: Wait { limit: Duration::from_mins(5), interval: Duration::from_secs(1) },
            vanishing: Wait { limit: Duration::from_mins(5), interval: Duration::from_secs(2) },
        }
    }
}
