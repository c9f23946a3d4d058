//! Writes that wait for the disk. At most one thread takes from it; whoever finds none starts it.
//!
//! The queue needs no bound of its own: openraft waits for each write before it makes the next, apart from
//! snapshots, of which it builds one at a time.

use std::sync::Mutex;

use super::disk::{DiskError, Write};
use crate::sync::lock;

type Done = Box<dyn FnOnce(Result<(), DiskError>) + Send>;

/// The queue.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Write, Done)>,
    /// A write that nobody waits for and that rides along with the next commit; the last one counts.
    attached: Option<Write>,
    is_writing: bool,
    failure: Option<DiskError>,
}

/// What one commit writes.
pub(crate) struct Batch {
    writes: Vec<Write>,
    done: Vec<Done>,
}

impl Queue {
    /// Adds a write. `true` asks the caller to start the thread that takes it.
    pub(crate) fn push(&self, write: Write, done: Done) -> bool {
        let mut state = lock(&self.state);
        state.waiting.push((write, done));
        !std::mem::replace(&mut state.is_writing, true)
    }

    /// Adds a write to the next commit, whenever that is.
    pub(crate) fn attach(&self, write: Write) {
        lock(&self.state).attached = Some(write);
    }

    /// Takes all that waits, or ends the thread's turn.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = lock(&self.state);
        if state.waiting.is_empty() {
            state.is_writing = false;
            return None;
        }
        let (mut writes, done): (Vec<_>, Vec<_>) = std::mem::take(&mut state.waiting).into_iter().unzip();
        writes.extend(state.attached.take());
        Some(Batch { writes, done })
    }

    /// The failure after which nothing is written any more.
    pub(crate) fn failure(&self) -> Option<DiskError> {
        lock(&self.state).failure.clone()
    }

    /// Lets nothing be written any more.
    pub(crate) fn fail(&self, failure: &DiskError) {
        lock(&self.state).failure.get_or_insert_with(|| failure.clone());
    }
}

impl Batch {
    /// The changes, in their order.
    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The index behind the last entry that the batch appends; zero if it appends none.
    pub(crate) fn next_index(&self) -> u64 {
        let next = |write: &Write| match write {
            Write::Append(entries) => entries.last().map_or(0, |entry| entry.log_id.index + 1),
            Write::Truncate(_) | Write::Purge(_) | Write::Vote(_) | Write::Committed(_) | Write::Snapshot(..) => 0,
        };
        self.writes.iter().map(next).max().unwrap_or(0)
    }

    /// Tells everybody who waits.
    pub(crate) fn answer(self, result: &Result<(), DiskError>) {
        for done in self.done {
            done(result.clone());
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = lock(&self.state);
        formatter.debug_struct("Queue").field("waiting", &state.waiting.len()).finish_non_exhaustive()
    }
}
