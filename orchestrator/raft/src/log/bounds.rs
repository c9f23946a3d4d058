//! When the log is too long, and where it may be cut.

use super::Log;
use crate::RaftSettings;
use crate::sync::lock;

/// How long the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSize {
    /// Entries.
    pub entries: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Log {
    /// How long the log is.
    pub(crate) fn size(&self) -> LogSize {
        let tail = lock(&self.shared.tail);
        LogSize { entries: tail.len(), bytes: tail.bytes() }
    }

    /// Whether a snapshot is due by bytes; by entries openraft knows itself.
    pub(crate) fn is_snapshot_due(&self, settings: &RaftSettings, snapshot: Option<u64>) -> bool {
        lock(&self.shared.tail).bytes_after(snapshot) > settings.max_log_bytes
    }

    /// Up to where the log may be cut behind a snapshot, if it is longer than it may be.
    pub(crate) fn purge_point(&self, settings: &RaftSettings, snapshot: u64) -> Option<u64> {
        lock(&self.shared.tail).purge_point(snapshot, settings.kept_entries, settings.kept_bytes)
    }
}
