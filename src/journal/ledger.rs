//! The journal while a command works on it: many machines write at once, few writes reach the disk.
//!
//! [`Ledger::record`] changes the journal in memory and returns once a write that contains the change is durable.
//! Whoever comes while a write is going on shares the next one, so that five machines that appear together cost one
//! or two writes, not five.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Journal, JournalError, file};

/// A journal, its folder, and what of it is on disk.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    state: Mutex<State>,
    /// The last change that is durable; held while writing.
    durable: tokio::sync::Mutex<u64>,
}

#[derive(Debug)]
struct State {
    journal: Arc<Journal>,
    /// Counts the changes.
    change: u64,
}

impl Ledger {
    /// Takes up a journal that may not be on disk yet: the first [`record`](Self::record) puts it there.
    pub fn new(folder: PathBuf, journal: Journal) -> Self {
        let state = State { journal: Arc::new(journal), change: 0 };
        Self { folder, state: Mutex::new(state), durable: tokio::sync::Mutex::new(0) }
    }

    /// The folder of the cluster.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The journal as it is now.
    pub fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).journal)
    }

    /// Changes the journal in memory only; the change goes to disk with the next [`record`](Self::record).
    ///
    /// For what an act brought about: losing it costs a repeated call. Intents go through `record`.
    pub fn note(&self, change: impl FnOnce(&mut Journal)) {
        self.change(change);
    }

    /// Changes the journal and waits until the change is durable.
    pub async fn record(&self, change: impl FnOnce(&mut Journal)) -> Result<(), JournalError> {
        let mine = self.change(change);
        let mut durable = self.durable.lock().await;
        if *durable >= mine {
            return Ok(());
        }
        let (journal, newest) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&state.journal), state.change)
        };
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || file::write(&folder, &journal))
            .await
            .expect("writing a journal does not panic")?;
        *durable = newest;
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Journal)) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut state.journal));
        state.change += 1;
        state.change
    }
}

#[cfg(test)]
mod tests {
    use driver::ClusterId;
    use jiff::Timestamp;
    use model::Role;

    use super::*;
    use crate::cluster::ClusterSpec;

    fn ledger(folder: &Path) -> Ledger {
        let spec = ClusterSpec {
            name: "lab".to_owned(),
            provider: "fake".to_owned(),
            managers: 1,
            workers: 0,
            allow_even_managers: false,
            ingress: crate::ingress::Ingress::default(),
            options: driver::Options::default(),
        };
        let journal = Journal::begin(ClusterId("x".to_owned()), spec, "me@here".to_owned(), Timestamp::UNIX_EPOCH);
        Ledger::new(folder.to_owned(), journal)
    }

    fn intend(journal: &mut Journal, role: Role) {
        journal.intend_machine(role, None);
    }

    #[tokio::test]
    async fn what_is_recorded_is_on_disk_on_return() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());

        let first = ledger.record(|journal| intend(journal, Role::Manager));
        let second = ledger.record(|journal| intend(journal, Role::Worker));
        tokio::try_join!(first, second).unwrap();

        assert_eq!(file::read(folder.path()).unwrap().unwrap().machines.len(), 2);
    }

    #[tokio::test]
    async fn what_is_noted_goes_to_disk_with_the_next_record() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        ledger.note(|journal| intend(journal, Role::Manager));
        assert!(file::read(folder.path()).unwrap().is_none());

        ledger.record(|_| {}).await.unwrap();

        assert_eq!(file::read(folder.path()).unwrap().unwrap().machines.len(), 1);
    }
}
