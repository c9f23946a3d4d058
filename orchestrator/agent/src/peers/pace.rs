//! How fast a node sends images: so that its own containers, and raft, still have the network.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second that a node sends of images, to all others together: half of what a link of 1 Gbit/s carries.
const BYTES_PER_SECOND: u32 = 64 << 20;

/// The pace that all who send share.
#[derive(Debug)]
pub(super) struct Pace(Mutex<Instant>);

impl Pace {
    /// Nothing was sent yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// Waits until so many bytes may be sent.
    pub(super) async fn take(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let start = {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let start = (*next).max(Instant::now());
            *next = start + Duration::from_secs(1).mul_f64(f64::from(bytes) / f64::from(BYTES_PER_SECOND));
            start
        };
        tokio::time::sleep_until(start).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_who_send_share_the_pace() {
        let (pace, begun) = (Pace::new(), Instant::now());
        let send = async || {
            for _ in 0..64 {
                pace.take(1 << 20).await;
            }
        };

        tokio::join!(send(), send());

        let taken = begun.elapsed();
        assert!((Duration::from_millis(1900)..Duration::from_millis(2100)).contains(&taken), "{taken:?}");
    }
}
