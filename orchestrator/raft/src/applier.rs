//! Feeds committed entries into the state machine, and keeps what raft itself must remember of them.
//!
//! That is the last entry, the membership, and the ids of members that were removed: every member derives the same
//! list from the same log, so an id is never used twice, whoever leads. All of it is part of a snapshot.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, StorageIOError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::log::{DiskError, Log};
use crate::sync::lock;
use crate::types::{
    Applied, Entry, LogId, Membership, Snapshot, SnapshotMeta, StorageError, StoredMembership, TypeConfig,
};
use crate::{OpenError, SnapshotWriter, StateMachine, codec};

/// Feeds the state machine.
#[derive(Debug)]
pub(crate) struct Applier {
    machine: Arc<dyn StateMachine>,
    log: Log,
    state: AppliedState,
    removed: Arc<Mutex<BTreeSet<u64>>>,
    applied: watch::Sender<u64>,
}

#[derive(Debug, Clone, Default)]
struct AppliedState {
    last: Option<LogId>,
    membership: StoredMembership,
}

/// What a snapshot holds beside openraft's own description of it.
#[derive(Serialize, Deserialize)]
struct SnapshotContent {
    removed: BTreeSet<u64>,
    machine: Bytes,
}

impl Applier {
    /// Restores the state from the snapshot in the log, where there is one. Blocking.
    pub(crate) fn open(machine: Arc<dyn StateMachine>, log: Log) -> Result<Self, OpenError> {
        let snapshot = log.snapshot_now().map_err(|error| OpenError::Start(error.to_string()))?;
        let mut applier = Self {
            machine,
            log,
            state: AppliedState::default(),
            removed: Arc::default(),
            applied: watch::Sender::default(),
        };
        if let Some((meta, content)) = snapshot {
            applier.restore(&meta, &content).map_err(|error| OpenError::Start(error.to_string()))?;
        }
        Ok(applier)
    }

    /// The index of the last entry applied.
    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Ids of members that were removed.
    pub(crate) fn removed(&self) -> Arc<Mutex<BTreeSet<u64>>> {
        Arc::clone(&self.removed)
    }

    #[expect(clippy::result_large_err, reason = "the size of openraft's own error")]
    fn apply_entry(&mut self, entry: Entry) -> Result<Applied, StorageError> {
        let log_id = entry.log_id;
        let accepted = match entry.payload {
            EntryPayload::Blank => true,
            EntryPayload::Normal(proposal) => self
                .machine
                .apply(log_id.index, &proposal.0)
                .map_err(|error| StorageIOError::apply(log_id, AnyError::new(&error)))?,
            EntryPayload::Membership(membership) => {
                lock(&self.removed).extend(members_lost(self.state.membership.membership(), &membership));
                self.state.membership = StoredMembership::new(Some(log_id), membership);
                true
            }
        };
        self.state.last = Some(log_id);
        Ok(Applied { accepted })
    }

    fn restore(&mut self, meta: &SnapshotMeta, content: &[u8]) -> Result<(), AnyError> {
        let content: SnapshotContent = codec::decode(content).map_err(|error| AnyError::new(&error))?;
        self.machine.restore(&content.machine).map_err(|error| AnyError::new(&error))?;
        self.state = AppliedState { last: meta.last_log_id, membership: meta.last_membership.clone() };
        *lock(&self.removed) = content.removed;
        self.announce();
        Ok(())
    }

    fn announce(&self) {
        self.applied.send_replace(self.state.last.map_or(0, |id| id.index));
    }
}

/// The members that were in the group and are in it no more.
fn members_lost(before: &Membership, after: &Membership) -> Vec<u64> {
    before.nodes().map(|(id, _)| *id).filter(|id| after.get_node(id).is_none()).collect()
}

impl RaftStateMachine<TypeConfig> for Applier {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.state.last, self.state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = Vec::new();
        for entry in entries {
            applied.push(self.apply_entry(entry)?);
        }
        self.announce();
        Ok(applied)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            log: self.log.clone(),
            state: self.state.clone(),
            removed: lock(&self.removed).clone(),
            machine: Some(self.machine.snapshot()),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let content = snapshot.into_inner();
        self.restore(meta, &content).map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), error))?;
        self.log.save_snapshot(meta.clone(), content).await.map_err(|error| write_failed(meta, &error))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let snapshot =
            self.log.snapshot().await.map_err(|error| StorageIOError::read_snapshot(None, AnyError::new(&error)))?;
        Ok(snapshot.map(|(meta, content)| Snapshot { meta, snapshot: Box::new(Cursor::new(content)) }))
    }
}

/// Writes a snapshot out while the state moves on.
pub(crate) struct SnapshotBuilder {
    log: Log,
    state: AppliedState,
    removed: BTreeSet<u64>,
    /// Taken by the one call that openraft makes.
    machine: Option<SnapshotWriter>,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let snapshot_id = self.state.last.map_or_else(|| "empty".to_owned(), |id| id.to_string());
        let meta =
            SnapshotMeta { last_log_id: self.state.last, last_membership: self.state.membership.clone(), snapshot_id };
        let machine = self.machine.take().expect("openraft makes a builder for each snapshot");
        let removed = std::mem::take(&mut self.removed);

        let encode = move || codec::encode(&SnapshotContent { removed, machine: Bytes::from(machine()) });
        let content =
            tokio::task::spawn_blocking(encode).await.map_err(|_| write_failed(&meta, &DiskError::stopped()))?;
        self.log.save_snapshot(meta.clone(), content.clone()).await.map_err(|error| write_failed(&meta, &error))?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(content)) })
    }
}

fn write_failed(meta: &SnapshotMeta, error: &DiskError) -> StorageError {
    StorageIOError::write_snapshot(Some(meta.signature()), AnyError::new(error)).into()
}
