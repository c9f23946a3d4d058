//! Who was heard from, and when: the ground of elections, of quorum checks and of what is called unreachable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::quorum;
use crate::sync::lock;

/// When others were heard from last. Shared by the network, the timers and the handle.
#[derive(Debug)]
pub(crate) struct Contacts {
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    /// When a leader was heard from, or this member started.
    leader: Instant,
    /// When this member last voted for a candidate.
    voted: Option<Instant>,
    /// When each member last answered a call of ours; the time the call was made.
    answers: BTreeMap<u64, Instant>,
    /// Since when this member leads.
    leading_since: Option<Instant>,
    /// When a leader's message last went out: until the lease has run out after it, nobody votes.
    sent: Instant,
}

impl Contacts {
    pub(crate) fn new(now: Instant) -> Self {
        let times = Times { leader: now, voted: None, answers: BTreeMap::new(), leading_since: None, sent: now };
        Self { times: Mutex::new(times) }
    }

    /// A leader was heard from.
    pub(crate) fn heard_leader(&self, now: Instant) {
        lock(&self.times).leader = now;
    }

    /// For how long no leader was heard from.
    pub(crate) fn leader_silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(lock(&self.times).leader)
    }

    /// This member voted for a candidate.
    pub(crate) fn voted(&self, now: Instant) {
        lock(&self.times).voted = Some(now);
    }

    /// Whether this member voted for a candidate within `patience`.
    pub(crate) fn has_voted_within(&self, patience: Duration, now: Instant) -> bool {
        lock(&self.times).voted.is_some_and(|voted| now.saturating_duration_since(voted) < patience)
    }

    /// A leader's message goes out.
    pub(crate) fn sent(&self, now: Instant) {
        lock(&self.times).sent = now;
    }

    /// For how long no leader's message went out.
    pub(crate) fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(lock(&self.times).sent)
    }

    /// A member answered a call that was made at `asked`.
    pub(crate) fn answered(&self, member: u64, asked: Instant) {
        let mut times = lock(&self.times);
        let last = times.answers.entry(member).or_insert(asked);
        *last = (*last).max(asked);
    }

    /// This member leads, or does not. A new leader owes everyone the benefit of the doubt.
    pub(crate) fn set_leading(&self, is_leading: bool, now: Instant) {
        let mut times = lock(&self.times);
        if is_leading {
            times.leader = now;
        }
        times.leading_since = is_leading.then(|| times.leading_since.unwrap_or(now));
    }

    /// Whether those heard from within `patience` decide, this member included.
    pub(crate) fn has_quorum(
        &self,
        me: u64,
        configuration: &[BTreeSet<u64>],
        patience: Duration,
        now: Instant,
    ) -> bool {
        let times = lock(&self.times);
        quorum::is_quorum(configuration, |member| member == me || times.silence(member, now) <= patience)
    }

    /// The members not heard from within `patience`.
    pub(crate) fn silent<'m>(
        &self,
        me: u64,
        members: impl Iterator<Item = &'m u64>,
        patience: Duration,
        now: Instant,
    ) -> Vec<u64> {
        let times = lock(&self.times);
        members.copied().filter(|member| *member != me && times.silence(*member, now) > patience).collect()
    }
}

impl Times {
    fn silence(&self, member: u64, now: Instant) -> Duration {
        let answer = self.answers.get(&member).copied();
        match answer.max(self.leading_since) {
            Some(last) => now.saturating_duration_since(last),
            None => Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn a_new_leader_gives_everyone_the_benefit_of_the_doubt() {
        let start = Instant::now();
        let contacts = Contacts::new(start);
        let voters = [BTreeSet::from([1, 2, 3])];
        assert!(!contacts.has_quorum(1, &voters, PATIENCE, start));

        contacts.set_leading(true, start);

        assert!(contacts.has_quorum(1, &voters, PATIENCE, start + seconds(1)));
        assert!(!contacts.has_quorum(1, &voters, PATIENCE, start + seconds(2)));
    }

    #[test]
    fn one_answer_of_three_is_a_quorum_with_oneself() {
        let start = Instant::now();
        let contacts = Contacts::new(start);
        contacts.set_leading(true, start);

        contacts.answered(2, start + seconds(5));

        assert!(contacts.has_quorum(1, &[BTreeSet::from([1, 2, 3])], PATIENCE, start + seconds(6)));
        assert_eq!(contacts.silent(1, [1, 2, 3].iter(), PATIENCE, start + seconds(6)), [3]);
    }

    #[test]
    fn an_answer_to_an_old_call_does_not_count_as_new() {
        let start = Instant::now();
        let contacts = Contacts::new(start);
        contacts.answered(2, start + seconds(3));

        contacts.answered(2, start + seconds(1));

        assert!(contacts.silent(1, [2].iter(), PATIENCE, start + seconds(4)).is_empty());
    }
}
