//! openraft's storage traits, over [`Log`].

use std::fmt::Debug;
use std::ops::{Bound, Range, RangeBounds};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogState, OptionalSend, RaftLogReader, StorageIOError};

use super::{BATCH_BYTES, DiskError, Log};
use crate::sync::lock;
use crate::types::{Entry, LogId, StorageError, TypeConfig, Vote};

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, StorageError>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.entries(to_range(&range)).await.map_err(read_failed)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        let end = lock(&self.shared.tail).fitting(start..end, BATCH_BYTES);
        self.entries(start..end).await.map_err(read_failed)
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let tail = lock(&self.shared.tail);
        Ok(LogState { last_purged_log_id: tail.purged, last_log_id: tail.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.set_vote(*vote).await.map_err(|error| StorageIOError::write_vote(AnyError::new(&error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(lock(&self.shared.tail).vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        if let Some(committed) = committed {
            self.set_committed(committed);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(lock(&self.shared.tail).committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().collect();
        self.append_entries(entries, |result| callback.log_io_completed(result.map_err(std::io::Error::other)));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.truncate_from(log_id.index).await.map_err(write_failed)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.purge_to(log_id).await.map_err(write_failed)
    }
}

fn to_range(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn read_failed(error: DiskError) -> StorageError {
    StorageIOError::read_logs(AnyError::new(&error)).into()
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn write_failed(error: DiskError) -> StorageError {
    StorageIOError::write_logs(AnyError::new(&error)).into()
}
