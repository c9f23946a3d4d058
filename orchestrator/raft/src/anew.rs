//! Begins a group anew with one voter: the way on where a quorum is lost for good.
//!
//! ```text
//! all entries, committed or not │ one more, of a term above all that the log knows: "the one voter is this member"
//! ```
//! - **Nothing in the log is dropped.** What a quorum acknowledged may not be marked as committed here, so all of it
//!   counts. (SwarmKit drops what it does not know to be committed.)
//! - **One commit of the file**: a crash leaves the old log or the new one, and writing it again changes nothing.
//! - **The member takes a fresh id**, and all former ones, its own included, count as removed from the moment this entry
//!   is applied. Nothing that a member of the former group sends is for a member of this one, so two of them that still
//!   have a quorum of the former group cannot touch the new log; they are told that they were removed instead.
//!
//! The log must be at rest: its member is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openraft::{CommittedLeaderId, EntryPayload};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::log::{Contents, Disk, Write};
use crate::seal::Sealer;
use crate::types::{Entry, LogId, Member, Membership, SnapshotMeta, Vote};
use crate::{DataKey, KeySeal, LOG_FILE, OpenError, Peer};

/// A log whose member is stopped.
#[derive(Debug)]
pub struct RestingLog {
    disk: Disk,
    contents: Contents,
    snapshot: Option<SnapshotMeta>,
}

impl RestingLog {
    /// Opens the log in `dir`, whose key `seal` opens where it is sealed, and reads it through. Blocking.
    ///
    /// # Errors
    /// As [`Raft::open`](crate::Raft::open): it is damaged, sealed with another key, or in use.
    pub fn open(dir: &Path, seal: Option<&KeySeal>, rng: &mut StdRng) -> Result<Self, OpenError> {
        let key = DataKey::load_or_create(dir, seal, rng)?;
        Self::read(Disk::open(dir, Sealer::new(&key, StdRng::from_rng(rng)))?)
    }

    pub(crate) fn read((disk, contents): (Disk, Contents)) -> Result<Self, OpenError> {
        let snapshot = disk.snapshot().map_err(|error| OpenError::Start(error.to_string()))?;
        Ok(Self { disk, contents, snapshot: snapshot.map(|(meta, _)| meta) })
    }

    /// Whether its member was never part of a group: then there is nothing to begin anew with.
    pub fn is_empty(&self) -> bool {
        self.last().is_none()
    }

    /// Makes `me` the only voter, unless it has been made so before. `me` must have a raft id of its own. Blocking.
    ///
    /// # Errors
    /// The file cannot be written; it is as it was then.
    pub fn begin_anew(&self, me: &Peer) -> Result<(), OpenError> {
        let id = me.raft_id.0;
        if self.memberships().any(|membership| membership.get_node(&id).is_some()) {
            return Ok(());
        }
        let last = self.last();
        let term =
            1 + self.contents.vote.map_or(0, |vote| vote.leader_id.term).max(last.map_or(0, |id| id.leader_id.term));
        let entry = Entry {
            log_id: LogId::new(CommittedLeaderId::new(term, id), last.map_or(0, |id| id.index + 1)),
            payload: EntryPayload::Membership(Membership::new(
                vec![BTreeSet::from([id])],
                BTreeMap::from([(id, Member(Some(me.clone())))]),
            )),
        };
        let mut writes = vec![Write::Append(vec![entry]), Write::Vote(Vote::new(term, id))];
        // A snapshot that was received and the log behind which was not cut yet: the new entry follows the snapshot.
        writes.splice(0..0, self.snapshot_ahead().map(Write::Purge));
        let written = self.disk.commit(&writes);
        written.map_err(|error| OpenError::io("write", Path::new(LOG_FILE), error))?;
        tracing::warn!(peer = %me.raft_id, term, "the raft log begins anew with this member as the only voter");
        Ok(())
    }

    /// The last entry, or what stands for it.
    fn last(&self) -> Option<LogId> {
        self.last_in_log().max(self.in_snapshot())
    }

    fn last_in_log(&self) -> Option<LogId> {
        self.contents.entries.last().map(|entry| entry.log_id).max(self.contents.purged)
    }

    fn in_snapshot(&self) -> Option<LogId> {
        self.snapshot.as_ref().and_then(|snapshot| snapshot.last_log_id)
    }

    fn snapshot_ahead(&self) -> Option<LogId> {
        self.in_snapshot().filter(|snapshot| Some(*snapshot) > self.last_in_log())
    }

    fn memberships(&self) -> impl Iterator<Item = &Membership> {
        let in_entries = self.contents.entries.iter().filter_map(|entry| match &entry.payload {
            EntryPayload::Membership(membership) => Some(membership),
            EntryPayload::Blank | EntryPayload::Normal(_) => None,
        });
        in_entries.chain(self.snapshot.iter().map(|snapshot| snapshot.last_membership.membership()))
    }
}

#[cfg(test)]
mod tests;
