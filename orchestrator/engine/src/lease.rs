//! How long this machine stays: for ever, or for as long as somebody holds the swarm's lease.
//!
//! ```text
//!   who holds it ── renew, at any manager ──> this node: its full length from now
//!                                               │ heartbeats carry what is left to the leader, and from it to all nodes
//!   nobody any more ── its length passes ──> lapsed: the node ends its machine, whether or not it can reach another
//! ```
//!
//! Each node measures for itself, by a clock that no one sets, and takes the longest that it hears of. So nothing is
//! written, no two clocks are compared, a new leader goes on where the former one was, and a node that is cut off ends
//! with the others.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How many times its length a node waits for the first word of the lease: a swarm that comes up, and whoever holds its lease, may
/// need minutes until they find one another.
const LENGTHS_UNTIL_FIRST_WORD: u32 = 5;

/// The lease as one node sees it.
#[derive(Debug)]
pub struct Lease {
    needed: Option<Needed>,
}

#[derive(Debug)]
struct Needed {
    length: Duration,
    end: watch::Sender<End>,
}

/// When this node's time is up, unless it hears more.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Instant,
    /// Whether it is somebody's word; the allowance until the first one is passed on to nobody.
    is_word: bool,
}

impl Lease {
    /// The lease of a swarm that lasts this long after each renewal; `None` where nobody need hold it. It begins now.
    pub fn new(length: Option<Duration>) -> Self {
        let begin = |length: Duration| Needed {
            length,
            end: watch::Sender::new(End { at: Instant::now() + length * LENGTHS_UNTIL_FIRST_WORD, is_word: false }),
        };
        Self { needed: length.map(begin) }
    }

    /// Whether somebody must hold it for this machine to stay.
    pub fn is_needed(&self) -> bool {
        self.needed.is_some()
    }

    /// Renews it on this node and gives the time until it lapses; `None` where nobody need hold it.
    pub fn renew(&self) -> Option<Duration> {
        let length = self.needed.as_ref()?.length;
        self.hear(length);
        Some(length)
    }

    /// Takes over what another node has left, where that is more than this one has. Never more than its length.
    pub fn hear(&self, left: Duration) {
        let Some(needed) = &self.needed else { return };
        let at = Instant::now() + left.min(needed.length);
        needed.end.send_if_modified(|end| {
            let is_news = !end.is_word || at > end.at;
            if is_news {
                *end = End { at, is_word: true };
            }
            is_news
        });
    }

    /// What this node has left by somebody's word; `None` before the first, and where nobody need hold the lease.
    pub fn left(&self) -> Option<Duration> {
        let end = *self.needed.as_ref()?.end.borrow();
        end.is_word.then(|| end.at.saturating_duration_since(Instant::now()))
    }

    /// Returns once nobody holds it any more; never where nobody need.
    pub async fn lapsed(&self) {
        let Some(needed) = &self.needed else { return std::future::pending().await };
        let mut ends = needed.end.subscribe();
        loop {
            let end = *ends.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(end.at) => return,
                // The sender lives as long as this call.
                _ = ends.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_mins(2);

    /// How long it takes until a lease lapses.
    async fn until_lapsed(lease: &Lease) -> Duration {
        let begun = Instant::now();
        lease.lapsed().await;
        begun.elapsed()
    }

    fn is_about(found: Duration, expected: Duration) -> bool {
        found.abs_diff(expected) <= Duration::from_millis(2)
    }

    #[tokio::test(start_paused = true)]
    async fn it_lapses_its_length_after_the_last_renewal() {
        let lease = Lease::new(Some(LENGTH));
        assert_eq!(lease.renew(), Some(LENGTH));
        tokio::time::sleep(Duration::from_secs(100)).await;

        lease.renew();

        assert!(is_about(lease.left().unwrap(), LENGTH));
        assert!(is_about(until_lapsed(&lease).await, LENGTH));
        assert_eq!(lease.left(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_is_heard_by_whoever_waits_for_the_end() {
        let lease = Lease::new(Some(LENGTH));
        lease.renew();
        let renewing = async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            lease.renew();
        };

        let (lapsed, ()) = tokio::join!(until_lapsed(&lease), renewing);

        assert!(is_about(lapsed, Duration::from_secs(220)), "{lapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_words_the_longer_counts_but_never_more_than_its_length() {
        let lease = Lease::new(Some(LENGTH));
        lease.hear(Duration::from_mins(1));
        lease.hear(Duration::from_secs(30));
        assert!(is_about(lease.left().unwrap(), Duration::from_mins(1)));

        lease.hear(Duration::from_secs(100_000));

        assert!(is_about(lease.left().unwrap(), LENGTH));
    }

    #[tokio::test(start_paused = true)]
    async fn the_allowance_of_a_swarm_that_comes_up_is_nobodys_word() {
        let lease = Lease::new(Some(LENGTH));

        assert_eq!(lease.left(), None);
        let waited = until_lapsed(&lease).await;

        assert!(is_about(waited, 5 * LENGTH), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_need_hold_it_there_is_no_end() {
        let lease = Lease::new(None);
        lease.hear(LENGTH);

        assert_eq!((lease.renew(), lease.left()), (None, None));
        let lapsed = tokio::time::timeout(Duration::from_hours(1000), lease.lapsed()).await;

        assert!(lapsed.is_err());
    }
}
