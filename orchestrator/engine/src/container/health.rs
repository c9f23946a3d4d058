//! Whether a container is well: what its answers come to. Pure but for the words.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settings::Health;

/// How many answers are kept, as in Docker.
const RESULTS_KEPT: usize = 5;
/// How much of an answer is kept, in bytes, as in Docker.
pub(super) const OUTPUT_KEPT: usize = 4096;

/// Docker's words for how a container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It may still answer badly.
    #[default]
    Starting,
    /// It answered well.
    Healthy,
    /// It answered badly, often enough.
    Unhealthy,
}

impl HealthStatus {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// How a container is, and how that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthState {
    /// How it is.
    pub status: HealthStatus,
    /// Bad answers in a row.
    pub failing_streak: u32,
    /// The last answers, the oldest first.
    pub log: VecDeque<ProbeResult>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// When it was asked.
    pub start: Timestamp,
    /// When it had answered.
    pub end: Timestamp,
    /// 0 is well; -1 where there was no answer in time.
    pub exit_code: i32,
    /// What it said, as far as it is kept.
    pub output: String,
}

impl HealthState {
    /// How the container is after an answer. `since_start` is how long it had run when it was asked.
    pub(super) fn after(mut self, result: ProbeResult, health: &Health, since_start: Duration) -> Self {
        if result.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if self.status != HealthStatus::Starting || since_start >= health.start_period {
            self.failing_streak += 1;
            if self.failing_streak >= health.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        if self.log.len() == RESULTS_KEPT {
            self.log.pop_front();
        }
        self.log.push_back(result);
        self
    }

    /// How long to wait before the next question.
    pub(super) fn pause(&self, health: &Health, since_start: Duration) -> Duration {
        let is_starting = self.status == HealthStatus::Starting && since_start < health.start_period;
        if is_starting { health.start_interval.min(health.interval) } else { health.interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        Health {
            argv: Vec::new(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(1),
            start_period: Duration::from_secs(10),
            start_interval: Duration::from_secs(2),
            retries: 2,
        }
    }

    fn answers(codes: &[i32], since_start: u64) -> HealthState {
        codes.iter().fold(HealthState::default(), |state, &exit_code| {
            let (start, end) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
            let result = ProbeResult { start, end, exit_code, output: String::new() };
            state.after(result, &health(), Duration::from_secs(since_start))
        })
    }

    fn check(codes: &[i32], since_start: u64, status: HealthStatus, streak: u32) {
        let state = answers(codes, since_start);
        assert_eq!((state.status, state.failing_streak), (status, streak), "{codes:?} after {since_start} s");
    }

    #[test]
    fn bad_answers_count_once_the_start_is_over_and_one_good_one_makes_well() {
        check(&[], 0, HealthStatus::Starting, 0);
        check(&[1, 1, 1], 5, HealthStatus::Starting, 0);
        check(&[1], 10, HealthStatus::Starting, 1);
        check(&[1, 1], 10, HealthStatus::Unhealthy, 2);
        check(&[0], 5, HealthStatus::Healthy, 0);
        check(&[0, 1], 5, HealthStatus::Healthy, 1);
        check(&[0, 1, -1], 5, HealthStatus::Unhealthy, 2);
        check(&[1, 1, 0], 10, HealthStatus::Healthy, 0);
    }

    #[test]
    fn the_last_answers_are_kept() {
        assert_eq!(answers(&[0, 1, 0, 1, 0, 1, 0], 0).log.len(), RESULTS_KEPT);
    }

    #[test]
    fn questions_come_faster_while_the_container_starts() {
        let (fresh, well) = (HealthState::default(), answers(&[0], 5));

        assert_eq!(fresh.pause(&health(), Duration::ZERO), Duration::from_secs(2));
        assert_eq!(fresh.pause(&health(), Duration::from_secs(10)), Duration::from_secs(30));
        assert_eq!(well.pause(&health(), Duration::ZERO), Duration::from_secs(30));
    }
}
