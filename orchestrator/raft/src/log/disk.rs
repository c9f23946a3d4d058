//! The file: blocking calls to redb, every record sealed, every commit on disk when it returns.
//!
//! A new file is made under a temporary name and renamed when it is whole; a file that exists is opened as it is
//! and never made anew, so that damage is reported instead of overwritten.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, ReadableDatabase, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::seal::{Place, SealError, Sealer};
use crate::types::{Entry, LogId, SnapshotMeta, Vote};
use crate::{LOG_FILE, OpenError, codec};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const SNAPSHOT: &str = "snapshot";

/// The file failed, or holds what it should not. The member stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to {action} `{}`: {reason}", .path.display())]
pub(crate) struct DiskError {
    action: &'static str,
    path: PathBuf,
    reason: String,
}

impl DiskError {
    /// The write was never made: the member is stopping.
    pub(crate) fn stopped() -> Self {
        Self { action: "write", path: PathBuf::from(LOG_FILE), reason: "the member is stopping".to_owned() }
    }
}

/// One change of the file. Changes of one commit are on disk together or not at all.
#[derive(Debug)]
pub(crate) enum Write {
    /// Adds entries at the end.
    Append(Vec<Entry>),
    /// Removes the entries from this index on.
    Truncate(u64),
    /// Removes the entries up to this one.
    Purge(LogId),
    /// Replaces the vote.
    Vote(Vote),
    /// Replaces the mark of what is committed.
    Committed(LogId),
    /// Replaces the snapshot.
    Snapshot(SnapshotMeta, Vec<u8>),
}

/// What a file held when it was opened; the snapshot is read apart.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) entries: Vec<Entry>,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    sealer: Sealer,
    /// Taken out when the member stops, so that the file can be opened again.
    database: RwLock<Option<Database>>,
}

impl Disk {
    /// Opens the log in `dir`, or makes it, and reads it through.
    pub(crate) fn open(dir: &Path, sealer: Sealer) -> Result<(Self, Contents), OpenError> {
        let path = dir.join(LOG_FILE);
        if !path.try_exists().map_err(|error| OpenError::io("read", &path, error))? {
            create(dir).map_err(|error| OpenError::io("create", &path, error))?;
        }
        let database = Database::open(&path).map_err(|error| OpenError::io("open", &path, error))?;
        Self::read_through(path, database, sealer)
    }

    /// Opens a log on a medium of the caller's.
    #[cfg(test)]
    pub(crate) fn open_on(medium: impl redb::StorageBackend, sealer: Sealer) -> Result<(Self, Contents), OpenError> {
        let path = PathBuf::from("(medium)");
        let database =
            Database::builder().create_with_backend(medium).map_err(|error| OpenError::io("open", &path, error))?;
        prepare(&database).map_err(|error| OpenError::io("create", &path, error))?;
        Self::read_through(path, database, sealer)
    }

    /// Writes changes and returns when they are on disk.
    pub(crate) fn commit<'w>(&self, writes: impl IntoIterator<Item = &'w Write>) -> Result<(), DiskError> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = guard.as_ref().ok_or_else(|| self.fault("write", "it is closed"))?;
        self.commit_to(database, writes).map_err(|error| self.fault("write", error))
    }

    /// Reads the entries of a range that are there.
    pub(crate) fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, DiskError> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = guard.as_ref().ok_or_else(|| self.fault("read", "it is closed"))?;
        let records = read_entries(database, range).map_err(|error| self.fault("read", error))?;
        records
            .into_iter()
            .map(|(index, record)| self.decode(Place::Entry(index), &record).map_err(|error| self.fault("read", error)))
            .collect()
    }

    /// Reads the snapshot.
    pub(crate) fn snapshot(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>, DiskError> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = guard.as_ref().ok_or_else(|| self.fault("read", "it is closed"))?;
        let record = read_state(database, SNAPSHOT).map_err(|error| self.fault("read", error))?;
        let Some(record) = record else { return Ok(None) };
        let (meta, content): (SnapshotMeta, bytes::Bytes) =
            self.decode(Place::State(SNAPSHOT), &record).map_err(|error| self.fault("read", error))?;
        Ok(Some((meta, content.into())))
    }

    /// Closes the file. What comes later fails.
    pub(crate) fn close(&self) {
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn read_through(path: PathBuf, database: Database, sealer: Sealer) -> Result<(Self, Contents), OpenError> {
        let disk = Self { path, sealer, database: RwLock::new(None) };
        let io = |error: redb::Error| OpenError::io("read", &disk.path, error);

        let mut contents = Contents {
            vote: disk.read_record(&database, VOTE)?,
            committed: disk.read_record(&database, COMMITTED)?,
            purged: disk.read_record(&database, PURGED)?,
            entries: Vec::new(),
        };
        let mut next = contents.purged.map(|id| id.index + 1);
        for (index, record) in read_entries(&database, 0..u64::MAX).map_err(io)? {
            let entry: Entry = disk.check(Place::Entry(index), &record)?;
            if entry.log_id.index != index || next.is_some_and(|next| next != index) {
                return Err(disk.damaged(Place::Entry(next.unwrap_or(index))));
            }
            next = Some(index + 1);
            contents.entries.push(entry);
        }
        let _: Option<(SnapshotMeta, bytes::Bytes)> = disk.read_record(&database, SNAPSHOT)?;

        *disk.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok((disk, contents))
    }

    fn read_record<T: DeserializeOwned>(
        &self,
        database: &Database,
        name: &'static str,
    ) -> Result<Option<T>, OpenError> {
        let record = read_state(database, name).map_err(|error| OpenError::io("read", &self.path, error))?;
        record.map(|record| self.check(Place::State(name), &record)).transpose()
    }

    /// Opens and decodes a record, telling the ways apart in which that fails.
    fn check<T: DeserializeOwned>(&self, place: Place, record: &[u8]) -> Result<T, OpenError> {
        let content = self.sealer.open(place, record).map_err(|error| match error {
            SealError::WrongKey(found) => {
                OpenError::WrongKey { path: self.path.clone(), found, expected: self.sealer.key_id() }
            }
            SealError::UnknownFormat(format) => {
                OpenError::UnknownFormat { path: self.path.clone(), record: place.to_string(), format }
            }
            SealError::Damaged => self.damaged(place),
        })?;
        codec::decode(&content).map_err(|_| self.damaged(place))
    }

    fn decode<T: DeserializeOwned>(&self, place: Place, record: &[u8]) -> Result<T, String> {
        let content = self.sealer.open(place, record).map_err(|error| format!("{place}: {error}"))?;
        codec::decode(&content).map_err(|error| format!("{place}: {error}"))
    }

    fn commit_to<'w>(
        &self,
        database: &Database,
        writes: impl IntoIterator<Item = &'w Write>,
    ) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut state = transaction.open_table(STATE)?;
            let mut put = |name: &'static str, record: Vec<u8>| state.insert(name, record.as_slice()).map(drop);
            for write in writes {
                match write {
                    Write::Append(appended) => {
                        for entry in appended {
                            let index = entry.log_id.index;
                            entries.insert(index, self.seal(Place::Entry(index), entry).as_slice())?;
                        }
                    }
                    Write::Truncate(from) => entries.retain_in(*from.., |_, _| false)?,
                    Write::Purge(upto) => {
                        entries.retain_in(..=upto.index, |_, _| false)?;
                        put(PURGED, self.seal(Place::State(PURGED), upto))?;
                    }
                    Write::Vote(vote) => put(VOTE, self.seal(Place::State(VOTE), vote))?,
                    Write::Committed(id) => put(COMMITTED, self.seal(Place::State(COMMITTED), id))?,
                    Write::Snapshot(meta, content) => {
                        let content = bytes::Bytes::copy_from_slice(content);
                        put(SNAPSHOT, self.seal(Place::State(SNAPSHOT), &(meta, content)))?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn seal(&self, place: Place, value: &impl Serialize) -> Vec<u8> {
        self.sealer.seal(place, &codec::encode(value))
    }

    fn damaged(&self, place: Place) -> OpenError {
        OpenError::Damaged { path: self.path.clone(), record: place.to_string() }
    }

    fn fault(&self, action: &'static str, reason: impl std::fmt::Display) -> DiskError {
        DiskError { action, path: self.path.clone(), reason: format!("{reason}") }
    }
}

/// Makes an empty log: whole before it has its name.
fn create(dir: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let temporary = dir.join("raft.redb.new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let database = Database::create(&temporary)?;
    prepare(&database)?;
    drop(database);
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, dir.join(LOG_FILE))?;
    File::open(dir)?.sync_all()?;
    Ok(())
}

/// Makes the tables, where they are not there yet.
fn prepare(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(STATE)?;
    transaction.commit()?;
    Ok(())
}

fn read_entries(database: &Database, range: Range<u64>) -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
    let entries = database.begin_read()?.open_table(ENTRIES)?;
    let mut records = Vec::new();
    for record in entries.range(range)? {
        let (index, record) = record?;
        records.push((index.value(), record.value().to_vec()));
    }
    Ok(records)
}

fn read_state(database: &Database, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    let state = database.begin_read()?.open_table(STATE)?;
    Ok(state.get(name)?.map(|record| record.value().to_vec()))
}
