//! The log: openraft's storage over one sealed file.
//!
//! ```text
//! append, vote, … ──> tail (readable at once) ──> queue ──> one commit for all that waits ──> callbacks
//! ```
//! - A write is acknowledged when it is on disk; what queued up while the disk was busy shares the next commit.
//! - Writes happen on a blocking thread, one commit at a time, in the order they came.
//! - The mark of what is committed rides along with the next write: losing it costs a little replay, no data.
//! - A write that fails ends the member: nothing is written behind it.

mod bounds;
mod disk;
#[cfg(test)]
pub(crate) mod medium;
mod queue;
mod storage;
mod tail;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

pub use bounds::LogSize;
pub(crate) use disk::{Contents, Disk, DiskError, Write};
use queue::Queue;
use tail::{Located, Tail};

use crate::OpenError;
use crate::seal::Sealer;
use crate::sync::lock;
use crate::types::{Entry, LogId, SnapshotMeta, Vote};

/// Bytes of entries in one message to a follower; a single larger entry goes alone.
const BATCH_BYTES: u64 = 1 << 20;

/// The log of one member. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Disk,
    tail: Mutex<Tail>,
    queue: Queue,
}

impl Log {
    /// Opens the log in `dir` and reads it through. Blocking.
    pub(crate) fn open(dir: &Path, sealer: Sealer) -> Result<Self, OpenError> {
        Disk::open(dir, sealer).map(Self::new)
    }

    /// Opens a log on a medium of the caller's. Blocking.
    #[cfg(test)]
    fn open_on(medium: impl redb::StorageBackend, sealer: Sealer) -> Result<Self, OpenError> {
        Disk::open_on(medium, sealer).map(Self::new)
    }

    fn new((disk, contents): (Disk, Contents)) -> Self {
        let shared = Shared { disk, tail: Mutex::new(Tail::new(contents)), queue: Queue::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Replaces the snapshot, and returns when it is on disk.
    pub(crate) async fn save_snapshot(&self, meta: SnapshotMeta, content: Vec<u8>) -> Result<(), DiskError> {
        self.write(Write::Snapshot(meta, content)).await
    }

    /// Reads the snapshot.
    pub(crate) async fn snapshot(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>, DiskError> {
        self.read(Disk::snapshot).await
    }

    /// Reads the snapshot. Blocking.
    pub(crate) fn snapshot_now(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>, DiskError> {
        self.shared.disk.snapshot()
    }

    /// The last entry, on disk or on its way there.
    pub(crate) fn last(&self) -> Option<LogId> {
        lock(&self.shared.tail).last()
    }

    /// Waits for what is queued, writes the last mark, and closes the file.
    pub(crate) async fn close(&self) {
        let committed = lock(&self.shared.tail).committed;
        if let Some(committed) = committed {
            // Losing the mark costs a little replay; a failed disk has been reported by the write that it failed.
            let _ = self.write(Write::Committed(committed)).await;
        }
        self.shared.disk.close();
    }

    /// Forgets that `member` led when it stopped: it takes part again as one that has only voted for itself.
    ///
    /// A leader knows what is committed by an entry of its own term that it has committed since it was elected.
    /// One that merely went on after a restart would not, and would answer reads from before its last writes.
    pub(crate) fn resign(&self, member: u64) {
        let mut tail = lock(&self.shared.tail);
        if let Some(vote) = &mut tail.vote {
            vote.committed &= vote.leader_id.node_id != member;
        }
    }

    /// Closes the file as a kill does: the last mark is not written.
    #[cfg(test)]
    pub(crate) fn abandon(&self) {
        self.shared.disk.close();
    }

    fn append_entries(&self, entries: Vec<Entry>, done: impl FnOnce(Result<(), DiskError>) + Send + 'static) {
        lock(&self.shared.tail).append(entries.clone());
        self.enqueue(Write::Append(entries), done);
    }

    fn set_committed(&self, committed: LogId) {
        lock(&self.shared.tail).committed = Some(committed);
        self.shared.queue.attach(Write::Committed(committed));
    }

    async fn set_vote(&self, vote: Vote) -> Result<(), DiskError> {
        lock(&self.shared.tail).vote = Some(vote);
        self.write(Write::Vote(vote)).await
    }

    async fn truncate_from(&self, index: u64) -> Result<(), DiskError> {
        lock(&self.shared.tail).truncate(index);
        self.write(Write::Truncate(index)).await
    }

    async fn purge_to(&self, upto: LogId) -> Result<(), DiskError> {
        lock(&self.shared.tail).purge(upto);
        self.write(Write::Purge(upto)).await
    }

    async fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, DiskError> {
        let Located { on_disk, in_memory } = lock(&self.shared.tail).locate(range);
        if on_disk.is_empty() {
            return Ok(in_memory);
        }
        let mut entries = self.read(move |disk| disk.entries(on_disk)).await?;
        entries.extend(in_memory);
        Ok(entries)
    }

    /// Queues a write and waits until it is on disk.
    async fn write(&self, write: Write) -> Result<(), DiskError> {
        let (done, written) = oneshot::channel();
        self.enqueue(write, |result| drop(done.send(result)));
        written.await.unwrap_or_else(|_| Err(DiskError::stopped()))
    }

    fn enqueue(&self, write: Write, done: impl FnOnce(Result<(), DiskError>) + Send + 'static) {
        if self.shared.queue.push(write, Box::new(done)) {
            let shared = Arc::clone(&self.shared);
            drop(tokio::task::spawn_blocking(move || shared.write_all()));
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Disk) -> Result<T, DiskError> + Send + 'static,
    ) -> Result<T, DiskError> {
        let shared = Arc::clone(&self.shared);
        let read = tokio::task::spawn_blocking(move || read(&shared.disk));
        read.await.unwrap_or_else(|_| Err(DiskError::stopped()))
    }
}

impl Shared {
    /// Commits what is queued until nothing is. Runs on a blocking thread; the queue sees to it that one does.
    fn write_all(&self) {
        while let Some(batch) = self.queue.take() {
            let result = match self.queue.failure() {
                Some(failure) => Err(failure),
                None => self.disk.commit(batch.writes()),
            };
            match &result {
                Ok(()) => lock(&self.tail).flushed(batch.next_index()),
                Err(failure) => self.queue.fail(failure),
            }
            batch.answer(&result);
        }
    }
}
