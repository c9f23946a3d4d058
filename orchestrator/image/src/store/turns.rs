//! One at a time for each piece of content: two pulls of one layer share one download.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Digest;

/// Who works on what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns {
    queues: Arc<Mutex<HashMap<Digest, Arc<Semaphore>>>>,
}

/// The right to work on one piece of content, until it is dropped. It may move to the thread that does the work.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    digest: Digest,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits until nobody else works on this. Whoever had it may have done what the caller wants: look again.
    pub(crate) async fn take(&self, digest: Digest) -> Turn {
        let queue = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(queues.entry(digest).or_insert_with(|| Arc::new(Semaphore::new(1))))
        };
        let permit = queue.acquire_owned().await.expect("queues are never closed");
        Turn { turns: self.clone(), digest, permit: Some(permit) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.turns.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // The permit keeps its queue: with the map's own and this one, nobody else waits.
        if queues.get(&self.digest).is_some_and(|queue| Arc::strong_count(queue) == 2) {
            queues.remove(&self.digest);
        }
        self.permit = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_nothing_is_left() {
        let turns = Turns::default();
        let digest = Digest::of(b"x");
        let first = turns.take(digest).await;
        let mut second = Box::pin(turns.take(digest));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(turns.take(Digest::of(b"another")).await);

        drop(first);
        drop(second.await);

        assert!(turns.queues.lock().unwrap().is_empty());
    }
}
