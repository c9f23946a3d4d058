//! The store: the current state, its watchers, and the line of transactions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use model::SwarmError;
use raft::{ApplyError, RestoreError, SnapshotWriter, StateMachine};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::entry::Entry;
use crate::job::{Job, Update};
use crate::state::State;
use crate::watch::{Told, WATCH_CAPACITY};
use crate::writer::{QUEUE_LENGTH, Writer};
use crate::{Clock, Proposer, Snapshot, Transaction, Watch};

/// The replicated state of the swarm. Cheap to clone; every clone is the same store.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    current: Mutex<Current>,
    /// Where transactions get in line; absent after the writer has stopped.
    line: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    /// The line's end, until the first writer takes it: transactions may wait for it.
    unserved: Mutex<Option<mpsc::Receiver<Box<dyn Job>>>>,
}

/// The state and its watchers, under one lock: that is what makes a watch gapless.
#[derive(Debug)]
struct Current {
    state: Arc<State>,
    watchers: broadcast::Sender<Told>,
}

impl Store {
    /// An empty store. Objects get their times from `clock` while this manager leads.
    pub fn new(clock: Clock) -> Self {
        let current = Current { state: Arc::default(), watchers: broadcast::Sender::new(WATCH_CAPACITY) };
        let (line, unserved) = mpsc::channel(QUEUE_LENGTH);
        let shared = Shared {
            clock,
            current: Mutex::new(current),
            line: Mutex::new(Some(line)),
            unserved: Mutex::new(Some(unserved)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What raft applies committed entries to.
    pub fn state_machine(&self) -> Arc<dyn StateMachine> {
        Arc::new(self.clone())
    }

    /// The state now.
    pub fn view(&self) -> Snapshot {
        Snapshot(self.state())
    }

    /// The state now, and every change from then on.
    pub fn view_and_watch(&self) -> (Snapshot, Watch) {
        let current = self.current();
        (Snapshot(Arc::clone(&current.state)), Watch::new(current.watchers.subscribe()))
    }

    /// Runs transactions until cancelled; [`update`](Self::update) needs it, on every manager. One at a time.
    ///
    /// Transactions wait for the first run; between the end of a run and the next they are refused.
    pub async fn run(&self, proposer: Arc<dyn Proposer>, cancel: CancellationToken) {
        let (jobs, open) = OpenLine::new(self);
        let writer = Writer { store: self.clone(), proposer, jobs, term: None };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = writer.run() => {}
        }
        drop(open);
    }

    /// Runs a transaction on the leader and returns when it is committed and applied here.
    ///
    /// The closure runs once, must not block, and may read and change through the transaction only. What it returns
    /// is what the caller gets, unless the entry is not committed.
    ///
    /// # Errors
    /// What the closure refused, all of it undone. [`Unavailable`](model::ErrorKind::Unavailable): this manager does
    /// not lead or reaches no quorum, nothing was done, and asking the leader is safe.
    /// [`Internal`](model::ErrorKind::Internal): leadership was lost on the way; the change may still take effect.
    pub async fn update<T, F>(&self, change: F) -> Result<T, SwarmError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction) -> Result<T, SwarmError> + Send + 'static,
    {
        let line = lock(&self.shared.line).clone();
        let (caller, result) = oneshot::channel();
        let job = Box::new(Update { change, caller });
        match line {
            Some(line) if line.send(job).await.is_ok() => result.await.unwrap_or_else(|_| Err(interrupted())),
            Some(_) | None => Err(SwarmError::unavailable("this manager does not take changes now")),
        }
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.current().state)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        lock(&self.shared.current)
    }
}

impl StateMachine for Store {
    fn apply(&self, index: u64, payload: &[u8]) -> Result<bool, ApplyError> {
        let entry = Entry::decode(payload).map_err(|error| ApplyError { index, source: error.into() })?;
        let mut current = self.current();
        let Some((state, events)) = current.state.apply(index, entry) else {
            tracing::debug!(index, "an entry was made for another state and is void");
            return Ok(false);
        };
        current.state = Arc::new(state);
        // No watcher, nobody to tell.
        drop(current.watchers.send(Told::Events(events.into())));
        Ok(true)
    }

    fn snapshot(&self) -> SnapshotWriter {
        let state = self.state();
        Box::new(move || state.encode())
    }

    fn restore(&self, snapshot: &[u8]) -> Result<(), RestoreError> {
        let state = State::decode(snapshot).map_err(|error| RestoreError { source: error.into() })?;
        let mut current = self.current();
        current.state = Arc::new(state);
        drop(current.watchers.send(Told::Replaced));
        Ok(())
    }
}

/// Transactions can get in line until it is dropped.
struct OpenLine<'s>(&'s Store);

impl<'s> OpenLine<'s> {
    fn new(store: &'s Store) -> (mpsc::Receiver<Box<dyn Job>>, Self) {
        let unserved = lock(&store.shared.unserved).take();
        let jobs = unserved.unwrap_or_else(|| {
            let (line, jobs) = mpsc::channel(QUEUE_LENGTH);
            *lock(&store.shared.line) = Some(line);
            jobs
        });
        (jobs, Self(store))
    }
}

impl Drop for OpenLine<'_> {
    fn drop(&mut self) {
        *lock(&self.0.shared.line) = None;
    }
}

/// The writer was stopped with the transaction in its hands.
fn interrupted() -> SwarmError {
    SwarmError::internal("this manager stopped before the change was committed; it may still take effect")
}

/// Takes a lock; what it guards is replaced whole or not at all, so a panic elsewhere leaves it valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
