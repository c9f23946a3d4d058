//! The state at one moment, and how an entry leads to the next: pure, and the same on every manager.

use std::sync::Arc;

use jiff::Timestamp;
use model::{LOG_FORMAT, Node, Version};
use serde::{Deserialize, Serialize};

use crate::Event;
use crate::codec::{self, DecodeError};
use crate::entry::{Entry, OLDEST_FORMAT};
use crate::tables::{Objects, ObjectsRef, Tables};

/// The only format of snapshots so far.
const SNAPSHOT_FORMAT: u8 = 1;

/// The state. Cloning shares everything.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// Index of the last entry that changed it.
    pub(crate) index: u64,
    /// The leader's time in that entry; it never goes back.
    pub(crate) time: Timestamp,
    pub(crate) tables: Tables,
}

impl Default for State {
    fn default() -> Self {
        Self { index: 0, time: Timestamp::UNIX_EPOCH, tables: Tables::default() }
    }
}

/// The state at one moment. It never changes; cloning it costs nothing.
#[derive(Debug, Clone)]
pub struct Snapshot(pub(crate) Arc<State>);

impl Snapshot {
    /// The index of the last entry that changed the state.
    pub fn index(&self) -> u64 {
        self.0.index
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.0.tables
    }
}

/// A snapshot as raft keeps it.
#[derive(Deserialize)]
struct SnapshotFile {
    format: u8,
    index: u64,
    time: Timestamp,
    objects: Objects,
}

/// The same, borrowed to be written.
#[derive(Serialize)]
struct SnapshotFileRef<'s> {
    format: u8,
    index: u64,
    time: Timestamp,
    objects: ObjectsRef<'s>,
}

impl State {
    /// The newest format of entries that all managers have said that they read. One that has said nothing reads the oldest;
    /// before there are any, whoever writes is alone.
    pub(crate) fn common_format(&self) -> u8 {
        let said = |node: &Node| node.state.description.as_ref().map_or(0, |description| description.log_format);
        let formats = self.tables.nodes.members().map(|node| said(node).max(OLDEST_FORMAT));
        formats.min().unwrap_or(LOG_FORMAT).min(LOG_FORMAT)
    }

    /// Applies an entry and tells what changed. `None` if it was made for another state than this: it is void.
    pub(crate) fn apply(&self, index: u64, entry: Entry) -> Option<(Self, Vec<Event>)> {
        if entry.base != self.index {
            return None;
        }
        let mut next = Self { index, time: entry.time, tables: self.tables.clone() };
        let apply = |change| next.tables.apply(change, Version(index), entry.time);
        let mut events: Vec<Event> = entry.changes.into_iter().filter_map(apply).collect();
        events.push(Event::Committed { index });
        Some((next, events))
    }

    /// Writes a snapshot.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { index, time, tables } = self;
        codec::encode(&SnapshotFileRef {
            format: SNAPSHOT_FORMAT,
            index: *index,
            time: *time,
            objects: tables.objects(),
        })
    }

    /// Reads a snapshot.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let known = SNAPSHOT_FORMAT..=SNAPSHOT_FORMAT;
        let SnapshotFile { index, time, objects, .. } =
            codec::decode_known(bytes, known, |file: &SnapshotFile| file.format)?;
        Ok(Self { index, time, tables: objects.into() })
    }
}
