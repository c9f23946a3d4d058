//! How fast a command is fed: no more is on its way than the host takes at once.
//!
//! A host that reads faster from the network than the command reads from it keeps the rest in memory. OpenSSH makes
//! that memory anew with every packet, and then spends many times what the transfer itself costs. So little is under
//! way, until waiting shows that the line is long, or that the host takes its time; then more is, up to SSH's window.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time;

/// What is under way at first: a fast line is busy with it, and a host has no trouble.
const FIRST_LIMIT: u64 = 256 * 1024;
/// How long the host may take to say that it took something before more is sent.
const PATIENCE: Duration = Duration::from_millis(50);

/// How much is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    /// What was sent and not taken yet.
    under_way: u64,
    /// What may be.
    limit: u64,
    /// The widest window that the host has opened: how far it is closed is what the host has not taken.
    widest: u32,
}

impl Load {
    fn sent(&mut self, bytes: usize) {
        self.under_way = self.under_way.saturating_add(bytes as u64);
    }

    fn window_is(&mut self, window: u32) {
        self.widest = self.widest.max(window);
        self.under_way = u64::from(self.widest - window);
    }

    fn waited_in_vain(&mut self) {
        self.limit = self.limit.saturating_mul(2);
    }

    fn is_full(&self) -> bool {
        self.under_way >= self.limit
    }
}

/// The pace at which one command is fed.
#[derive(Debug)]
pub(super) struct Pace {
    load: Load,
    window: watch::Receiver<u32>,
}

impl Pace {
    /// The pace of a command, and where its host's windows are told.
    pub(super) fn new() -> (Self, watch::Sender<u32>) {
        let (sender, window) = watch::channel(0);
        (Self { load: Load { under_way: 0, limit: FIRST_LIMIT, widest: 0 }, window }, sender)
    }

    /// Waits until so much may be sent.
    pub(super) async fn send(&mut self, bytes: usize) {
        if self.window.has_changed().unwrap_or_default() {
            self.load.window_is(*self.window.borrow_and_update());
        }
        while self.load.is_full() {
            match time::timeout(PATIENCE, self.window.changed()).await {
                Ok(Ok(())) => self.load.window_is(*self.window.borrow_and_update()),
                // Nobody listens any more, or windows were lost: SSH's own limit holds.
                Ok(Err(_)) => break,
                Err(_) => self.load.waited_in_vain(),
            }
        }
        self.load.sent(bytes);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const PIECE: usize = 32 * 1024;
    const WINDOW: u32 = 2 * 1024 * 1024;

    async fn fill(pace: &mut Pace) {
        for _ in 0..FIRST_LIMIT / PIECE as u64 {
            pace.send(PIECE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_host_takes_makes_room_at_once() {
        let (mut pace, windows) = Pace::new();
        let begun = Instant::now();
        fill(&mut pace).await;

        windows.send_replace(WINDOW);
        pace.send(PIECE).await;

        assert_eq!((begun.elapsed(), pace.load.under_way), (Duration::ZERO, PIECE as u64));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_takes_nothing_is_waited_for_and_then_sent_twice_as_much() {
        let (mut pace, _windows) = Pace::new();
        let begun = Instant::now();
        fill(&mut pace).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);

        fill(&mut pace).await;

        assert_eq!((begun.elapsed(), pace.load.limit), (PATIENCE, 2 * FIRST_LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_stays_narrow_keeps_the_pace_down() {
        let (mut pace, windows) = Pace::new();
        windows.send_replace(WINDOW);
        pace.send(PIECE).await;
        windows.send_replace(WINDOW - u32::try_from(FIRST_LIMIT).unwrap());
        let begun = Instant::now();

        pace.send(PIECE).await;

        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_is_not_listened_to_is_fed_all_the_same() {
        let (mut pace, windows) = Pace::new();
        drop(windows);

        fill(&mut pace).await;
        pace.send(PIECE).await;

        assert!(pace.load.is_full());
    }
}
