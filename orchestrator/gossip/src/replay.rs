//! Each datagram counts once, and only while it is fresh.
//!
//! For every sender: the life it is in, the highest number seen, and which of the numbers just below it were seen.
//! A receiver that has just started remembers nothing; there the date stands guard.

use std::collections::HashMap;

use model::NodeId;

use crate::datagram::{Refused, Stamp};

/// How far a sender's clock may be from ours (ten minutes, in milliseconds): hosts without time service must still
/// take part, and what a replay within this time could do is undone by the next probe.
const MAX_CLOCK_DIFFERENCE: u64 = 600_000;
/// Numbers remembered below the highest one: datagrams overtake each other by far less.
const WINDOW: u64 = 128;

/// What was received from whom.
#[derive(Debug, Default)]
pub(crate) struct ReplayGuard(HashMap<NodeId, Seen>);

#[derive(Debug)]
struct Seen {
    life: u64,
    highest: u64,
    /// Bit n: the number `highest - n` was seen.
    below: u128,
}

impl ReplayGuard {
    /// Admits a datagram, or tells why not.
    pub(crate) fn admit(&mut self, sender: &NodeId, stamp: Stamp, now: u64) -> Result<(), Refused> {
        if stamp.date.abs_diff(now) > MAX_CLOCK_DIFFERENCE {
            return Err(Refused::Stale);
        }
        match self.0.get_mut(sender) {
            Some(seen) if stamp.life < seen.life => Err(Refused::Replayed),
            Some(seen) if stamp.life == seen.life => seen.admit(stamp.number),
            _ => {
                self.0.insert(sender.clone(), Seen { life: stamp.life, highest: stamp.number, below: 1 });
                Ok(())
            }
        }
    }

    /// Forgets senders that are no longer members.
    pub(crate) fn retain(&mut self, is_member: impl Fn(&NodeId) -> bool) {
        self.0.retain(|sender, _| is_member(sender));
    }
}

impl Seen {
    fn admit(&mut self, number: u64) -> Result<(), Refused> {
        if number > self.highest {
            let step = number - self.highest;
            self.below = if step < WINDOW { self.below << step | 1 } else { 1 };
            self.highest = number;
            return Ok(());
        }
        let age = self.highest - number;
        if age >= WINDOW || self.below & (1 << age) != 0 {
            return Err(Refused::Replayed);
        }
        self.below |= 1 << age;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn sender() -> NodeId {
        "sender0sender0sender0send".parse().expect("an id")
    }

    fn stamp(life: u64, number: u64) -> Stamp {
        Stamp { life, number, date: NOW }
    }

    proptest! {
        #[test]
        fn no_number_is_admitted_twice_and_close_ones_are_admitted_once(
            numbers in proptest::collection::vec(1_u64..400, 1..200),
        ) {
            let mut guard = ReplayGuard::default();
            let mut admitted = HashSet::new();
            let mut highest = 0;
            for number in numbers {
                let is_admitted = guard.admit(&sender(), stamp(1, number), NOW).is_ok();
                let is_close = number + WINDOW > highest;
                prop_assert_eq!(is_admitted, is_close && !admitted.contains(&number));
                if is_admitted {
                    admitted.insert(number);
                    highest = highest.max(number);
                }
            }
        }
    }

    #[test]
    fn a_later_life_starts_anew_and_an_earlier_one_is_over() {
        let mut guard = ReplayGuard::default();

        assert_eq!(guard.admit(&sender(), stamp(2, 7), NOW), Ok(()));
        assert_eq!(guard.admit(&sender(), stamp(1, 8), NOW), Err(Refused::Replayed));
        assert_eq!(guard.admit(&sender(), stamp(3, 1), NOW), Ok(()));
        assert_eq!(guard.admit(&sender(), stamp(2, 8), NOW), Err(Refused::Replayed));
    }

    #[test]
    fn a_date_far_from_our_clock_is_refused() {
        let check = |date: u64, expected: Result<(), Refused>| {
            let stamp = Stamp { life: 1, number: 1, date };
            assert_eq!(ReplayGuard::default().admit(&sender(), stamp, NOW), expected, "{date}");
        };
        check(NOW, Ok(()));
        check(NOW - MAX_CLOCK_DIFFERENCE, Ok(()));
        check(NOW + MAX_CLOCK_DIFFERENCE, Ok(()));
        check(NOW - MAX_CLOCK_DIFFERENCE - 1, Err(Refused::Stale));
        check(NOW + MAX_CLOCK_DIFFERENCE + 1, Err(Refused::Stale));
        check(0, Err(Refused::Stale));
        check(u64::MAX, Err(Refused::Stale));
    }

    #[test]
    fn who_is_no_longer_a_member_is_forgotten() {
        let mut guard = ReplayGuard::default();
        guard.admit(&sender(), stamp(2, 7), NOW).expect("the first one");

        guard.retain(|_| false);

        assert!(guard.0.is_empty());
    }
}
