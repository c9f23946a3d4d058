//! How many calls Compute Engine lets through: Google counts by groups of methods, the project and the minute.
//!
//! Here each group has a token bucket that holds a minute's calls and fills in a minute. Google's own minutes begin by the
//! clock, which a bucket does not show.

use crate::answer::Refusal;
use crate::clock::Moment;

/// The calls of a minute, by group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Methods that change something.
    pub changes: f64,
    /// Methods that read one thing.
    pub reads: f64,
    /// Lists.
    pub lists: f64,
    /// Looks at operations, waiting for them included.
    pub operations: f64,
}

/// The groups, by the names that the log has.
const GROUPS: [&str; 4] = ["changes", "reads", "lists", "operations"];

impl Rates {
    /// What Google grants a project ("Compute Engine rate quotas").
    pub const PUBLISHED: Self = Self { changes: 1500.0, reads: 1500.0, lists: 750.0, operations: 1500.0 };

    /// The groups by their names: how many calls at once, and how many come back each second.
    pub fn by_name(&self) -> [(&'static str, (f64, f64)); 4] {
        let minutes = [self.changes, self.reads, self.lists, self.operations];
        std::array::from_fn(|index| (GROUPS[index], (minutes[index], minutes[index] / 60.0)))
    }
}

/// The group of a method, by its name in the discovery document.
pub(crate) fn group(kind: &str) -> &'static str {
    let (resource, method) = kind.split_once('.').unwrap_or_default();
    match method {
        _ if resource.ends_with("Operations") => "operations",
        "get" | "getSerialPortOutput" | "testIamPermissions" => "reads",
        "list" | "aggregatedList" => "lists",
        _ => "changes",
    }
}

/// How full the buckets are.
#[derive(Debug)]
pub(crate) struct Buckets {
    rates: Option<Rates>,
    /// By group: how many calls are left, and when that was reckoned.
    levels: [(f64, Moment); 4],
}

impl Buckets {
    /// Buckets with so many calls left; full where nothing is said, and without an end where there are no rates.
    pub(crate) fn new(rates: Option<Rates>, left: Option<f64>, now: Moment) -> Self {
        Self { rates, levels: [(left.unwrap_or(f64::INFINITY), now); 4] }
    }

    /// Takes a call of this kind from its bucket.
    pub(crate) fn take(&mut self, kind: &str, now: Moment) -> Result<(), Refusal> {
        let Some(rates) = self.rates else { return Ok(()) };
        let group = group(kind);
        for ((name, (burst, per_second)), (level, at)) in rates.by_name().into_iter().zip(&mut self.levels) {
            if name == group {
                *level = (*level + now.saturating_sub(*at).as_secs_f64() * per_second).min(burst);
                *at = now;
                if *level < 1.0 {
                    return Err(Refusal::new(403, "rateLimitExceeded", "Rate Limit Exceeded"));
                }
                *level -= 1.0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment = Duration::from_secs(1_000_000);

    #[test]
    fn a_group_is_told_by_the_method() {
        for (kind, wanted) in [
            ("instances.bulkInsert", "changes"),
            ("firewalls.patch", "changes"),
            ("projects.get", "reads"),
            ("instances.aggregatedList", "lists"),
            ("zoneOperations.wait", "operations"),
        ] {
            assert_eq!(group(kind), wanted, "{kind}");
        }
    }

    #[test]
    fn what_is_over_is_refused_until_it_has_come_back_and_other_groups_are_not_touched() {
        let mut buckets = Buckets::new(Some(Rates::PUBLISHED), Some(2.0), NOW);
        let mut take = |kind: &str, now: Moment| buckets.take(kind, now).is_ok();

        assert_eq!([1, 2, 3].map(|_| take("firewalls.insert", NOW)), [true, true, false]);
        assert!(take("firewalls.list", NOW));
        assert!(take("firewalls.insert", NOW + Duration::from_millis(40)));
    }

    #[test]
    fn no_more_comes_back_than_the_calls_of_a_minute() {
        let mut buckets = Buckets::new(Some(Rates { lists: 3.0, ..Rates::PUBLISHED }), None, NOW);
        let later = NOW + Duration::from_hours(1);

        let taken = (0..5).filter(|_| buckets.take("firewalls.list", later).is_ok()).count();

        assert_eq!(taken, 3);
    }
}
