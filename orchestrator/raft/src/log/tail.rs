//! What is known of the log without reading the file: its ends, its size, and its last entries.
//!
//! An entry is readable from the moment it is appended, hence the tail holds what is not on disk yet, and what was
//! written last as long as it fits: replication and the state machine read little else.

use std::collections::BTreeMap;
use std::ops::Range;

use openraft::EntryPayload;

use super::disk::Contents;
use crate::types::{Entry, LogId, Vote};

/// What an entry takes beside its proposal: its header, its id, and a small membership.
const ENTRY_OVERHEAD: u64 = 128;
/// Bytes of entries that stay in memory once they are on disk.
const CACHED_BYTES: u64 = 4 << 20;

/// The log as memory knows it.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// Entries in memory: a suffix of the log.
    entries: BTreeMap<u64, Entry>,
    cached_bytes: u64,
    /// The id and the size of every entry in the log.
    known: BTreeMap<u64, Known>,
    total_bytes: u64,
    /// Everything below this index is on disk.
    flushed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    id: LogId,
    size: u64,
}

/// Where the entries of a range are.
#[derive(Debug)]
pub(crate) struct Located {
    /// The first of them have to be read from the file.
    pub(crate) on_disk: Range<u64>,
    /// The others, from memory.
    pub(crate) in_memory: Vec<Entry>,
}

impl Tail {
    pub(crate) fn new(contents: Contents) -> Self {
        let mut tail =
            Self { vote: contents.vote, committed: contents.committed, purged: contents.purged, ..Self::default() };
        let next = contents.entries.last().map_or(0, |entry| entry.log_id.index + 1);
        tail.append(contents.entries);
        tail.flushed(next);
        tail
    }

    /// The last entry, or the last one purged where there is none.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.known.last_key_value().map(|(_, known)| known.id).max(self.purged)
    }

    /// Entries in the log.
    pub(crate) fn len(&self) -> u64 {
        self.known.len() as u64
    }

    /// Bytes in the log.
    pub(crate) fn bytes(&self) -> u64 {
        self.total_bytes
    }

    pub(crate) fn append(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let size = size_of_entry(&entry);
            self.total_bytes += size;
            self.cached_bytes += size;
            self.known.insert(entry.log_id.index, Known { id: entry.log_id, size });
            self.entries.insert(entry.log_id.index, entry);
        }
    }

    /// Notes that everything below `next` is on disk, and lets go of what need not stay in memory.
    pub(crate) fn flushed(&mut self, next: u64) {
        self.flushed = self.flushed.max(next);
        while self.cached_bytes > CACHED_BYTES {
            match self.entries.first_key_value() {
                Some((index, _)) if *index < self.flushed => self.forget_first(),
                Some(_) | None => break,
            }
        }
    }

    /// Cuts the end off, from this index on.
    pub(crate) fn truncate(&mut self, from: u64) {
        for known in self.known.split_off(&from).into_values() {
            self.total_bytes -= known.size;
        }
        for entry in self.entries.split_off(&from).into_values() {
            self.cached_bytes -= size_of_entry(&entry);
        }
        self.flushed = self.flushed.min(from);
    }

    /// Cuts the beginning off, up to this entry. The log may end before it: then it begins anew behind it.
    pub(crate) fn purge(&mut self, upto: LogId) {
        let kept = self.known.split_off(&(upto.index + 1));
        for known in std::mem::replace(&mut self.known, kept).into_values() {
            self.total_bytes -= known.size;
        }
        while self.entries.first_key_value().is_some_and(|(index, _)| *index <= upto.index) {
            self.forget_first();
        }
        self.purged = self.purged.max(Some(upto));
    }

    /// Where the entries of a range are.
    pub(crate) fn locate(&self, range: Range<u64>) -> Located {
        let first = self.known.first_key_value().map_or(0, |(index, _)| *index);
        let end = self.known.last_key_value().map_or(0, |(index, _)| *index + 1);
        let range = range.start.max(first)..range.end.min(end);
        if range.is_empty() {
            return Located { on_disk: 0..0, in_memory: Vec::new() };
        }
        let cached = self.entries.first_key_value().map_or(end, |(index, _)| *index).clamp(range.start, range.end);
        let in_memory = self.entries.range(cached..range.end).map(|(_, entry)| entry.clone()).collect();
        Located { on_disk: range.start..cached, in_memory }
    }

    /// The end of the longest range from `start` that fits `limit` bytes; one entry always does.
    pub(crate) fn fitting(&self, range: Range<u64>, limit: u64) -> u64 {
        let mut bytes = 0;
        for (index, known) in self.known.range(range.clone()) {
            bytes += known.size;
            if bytes > limit && *index > range.start {
                return *index;
            }
        }
        range.end
    }

    /// Up to where the log may be cut so that what stays behind `snapshot` fits the bounds; `None` if it does.
    pub(crate) fn purge_point(&self, snapshot: u64, kept_entries: u64, kept_bytes: u64) -> Option<u64> {
        let mut entries = 0;
        let mut bytes = 0;
        for (index, known) in self.known.range(..=snapshot).rev() {
            entries += 1;
            bytes += known.size;
            if entries > kept_entries || bytes > kept_bytes {
                return Some(*index);
            }
        }
        None
    }

    /// Bytes behind this entry.
    pub(crate) fn bytes_after(&self, index: Option<u64>) -> u64 {
        self.known.range(index.map_or(0, |index| index + 1)..).map(|(_, known)| known.size).sum()
    }

    fn forget_first(&mut self) {
        if let Some((_, entry)) = self.entries.pop_first() {
            self.cached_bytes -= size_of_entry(&entry);
        }
    }
}

fn size_of_entry(entry: &Entry) -> u64 {
    let payload = match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.0.len() as u64,
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    };
    payload + ENTRY_OVERHEAD
}
