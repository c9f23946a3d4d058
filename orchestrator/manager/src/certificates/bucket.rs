//! How many nodes may join at once: a bucket of permissions that fills again with time. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// So many join at once: a whole cluster.
const CAPACITY: u32 = 100;
/// One permission comes back in this time: ten a second.
const REFILL: Duration = Duration::from_millis(100);

/// A bucket of permissions.
#[derive(Debug)]
pub(super) struct Bucket {
    left: u32,
    counted: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self { left: CAPACITY, counted: now }
    }

    /// Takes a permission, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let refills = now.duration_since(self.counted).as_millis() / REFILL.as_millis();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX).min(CAPACITY);
        if refills > 0 {
            self.left = (self.left + refills).min(CAPACITY);
            self.counted = if self.left == CAPACITY { now } else { self.counted + REFILL * refills };
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_cluster_joins_at_once_and_then_ten_nodes_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);

        assert_eq!((0..200).filter(|_| bucket.take(start)).count(), 100);
        assert!(!bucket.take(start + Duration::from_millis(99)));
        assert!(bucket.take(start + Duration::from_millis(100)));
        assert!(!bucket.take(start + Duration::from_millis(150)));
        assert_eq!((0..200).filter(|_| bucket.take(start + Duration::from_secs(1))).count(), 9);
        assert_eq!((0..200).filter(|_| bucket.take(start + Duration::from_mins(1))).count(), 100);
    }
}
