//! What failed on a node lately: a service that keeps failing there is tried elsewhere first.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use model::{ServiceId, TaskId};

/// How long a failure is remembered: 5 min (SwarmKit's `monitorFailures`).
const REMEMBERED: SignedDuration = SignedDuration::from_mins(5);
/// From how many on they count against a node (SwarmKit's `maxFailures`).
const FAULTY: u32 = 5;
/// How many of one spec are kept: more say no more, and a service may fail ten times a second.
const KEPT: usize = 100;

/// The recent failures on one node, by service and revision of its spec.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<(ServiceId, u64), HashMap<TaskId, Timestamp>>);

impl Failures {
    /// Notes that a task failed, or was rejected, at a time of the leader's clock. To note it again changes nothing.
    pub(super) fn note(&mut self, spec: (ServiceId, u64), task: TaskId, at: Timestamp, now: Timestamp) {
        self.0.retain(|_, tasks| {
            tasks.retain(|_, at| is_recent(*at, now));
            !tasks.is_empty()
        });
        if !is_recent(at, now) {
            return;
        }
        let tasks = self.0.entry(spec).or_default();
        if tasks.len() < KEPT {
            tasks.insert(task, at);
        }
    }

    /// How many count against the node: none while there are few.
    pub(super) fn counting(&self, spec: &(ServiceId, u64), now: Timestamp) -> u32 {
        let Some(tasks) = self.0.get(spec) else { return 0 };
        let number = tasks.values().filter(|at| is_recent(**at, now)).count();
        let number = u32::try_from(number).expect("no more are kept");
        if number < FAULTY { 0 } else { number }
    }

    /// Whether there are none, so that nobody need ask.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) < REMEMBERED
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn five_failures_within_five_minutes_count_and_fewer_do_not() {
        let mut rng = StdRng::seed_from_u64(1);
        let spec = (ServiceId::generate(&mut rng), 1);
        let mut failures = Failures::default();
        for second in 0..5 {
            assert_eq!(failures.counting(&spec, at(10)), 0);
            failures.note(spec.clone(), TaskId::generate(&mut rng), at(second), at(10));
        }

        assert_eq!(failures.counting(&spec, at(10)), 5);
        assert_eq!(failures.counting(&(spec.0.clone(), 2), at(10)), 0);
        assert_eq!(failures.counting(&spec, at(299)), 5);
        assert_eq!(failures.counting(&spec, at(300)), 0);
    }

    #[test]
    fn a_task_fails_once_and_only_so_many_are_kept() {
        let mut rng = StdRng::seed_from_u64(1);
        let spec = (ServiceId::generate(&mut rng), 1);
        let task = TaskId::generate(&mut rng);
        let mut failures = Failures::default();
        (0..9).for_each(|_| failures.note(spec.clone(), task.clone(), at(0), at(0)));
        assert_eq!(failures.counting(&spec, at(0)), 0);

        (0..999).for_each(|_| failures.note(spec.clone(), TaskId::generate(&mut rng), at(1), at(1)));

        assert_eq!(failures.counting(&spec, at(1)), 100);
        failures.note((spec.0.clone(), 2), task, at(400), at(400));
        assert_eq!((failures.0.len(), failures.is_empty()), (1, false));
    }
}
