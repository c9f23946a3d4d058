//! Runs transactions: one at a time, and as many as are waiting in one entry.
//!
//! While an entry is on its way to a quorum the next transactions queue up; then they share the next one. One that
//! fails takes nothing with it but itself. When leadership is new, the writer first waits until all that was
//! committed before is applied here, so that no transaction sees an old state.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use model::SwarmError;
use raft::ProposeError;
use tokio::sync::mpsc;

use crate::entry::Entry;
use crate::job::{Answer, Job};
use crate::state::State;
use crate::tables::AnyChange;
use crate::{Proposer, Store, Transaction};

/// Transactions that may wait: beyond that, callers wait to get in line.
pub(crate) const QUEUE_LENGTH: usize = 1024;
/// Bytes of changes beyond which an entry takes no further transaction. With one of the largest, it fits a proposal.
const BATCH_BYTES: usize = 1 << 18;

/// Transactions that go into one entry.
struct Batch {
    base: u64,
    time: Timestamp,
    state: Arc<State>,
    changes: Vec<AnyChange>,
    bytes: usize,
    answers: Vec<Answer>,
}

impl Batch {
    fn new(state: Arc<State>, now: Timestamp) -> Self {
        let (base, time) = (state.index, now.max(state.time));
        Self { base, time, state, changes: Vec::new(), bytes: 0, answers: Vec::new() }
    }

    fn run(&mut self, job: Box<dyn Job>) {
        let mut transaction = Transaction::new(&self.state, self.base, self.time);
        let Some(answer) = job.run(&mut transaction) else { return };
        match transaction.finish() {
            Ok(changed) => {
                self.state = changed.state;
                self.changes.extend(changed.changes);
                self.bytes += changed.bytes;
                self.answers.push(answer);
            }
            Err(error) => answer(Err(error)),
        }
    }

    fn answer(self, result: &Result<(), SwarmError>) {
        for answer in self.answers {
            answer(result.clone());
        }
    }
}

/// Runs the transactions of a store.
pub(crate) struct Writer {
    pub(crate) store: Store,
    pub(crate) proposer: Arc<dyn Proposer>,
    pub(crate) jobs: mpsc::Receiver<Box<dyn Job>>,
    /// The term for which the state is known to be current.
    pub(crate) term: Option<u64>,
}

impl Writer {
    /// Runs transactions until nobody can ask for one any more.
    pub(crate) async fn run(mut self) {
        while let Some(first) = self.jobs.recv().await {
            if let Err(error) = self.prepare().await {
                self.refuse(first, &error);
                continue;
            }
            let mut batch = Batch::new(self.store.state(), self.store.now());
            batch.run(first);
            while batch.bytes < BATCH_BYTES
                && let Ok(job) = self.jobs.try_recv()
            {
                batch.run(job);
            }
            let result = if batch.changes.is_empty() { Ok(()) } else { self.commit(&mut batch).await };
            batch.answer(&result);
        }
    }

    /// Makes sure that this manager leads, and that its state is current.
    async fn prepare(&mut self) -> Result<(), SwarmError> {
        let term = self.proposer.term();
        if term.is_none() || term != self.term {
            self.term = None;
            self.term = Some(self.proposer.prepare().await.map_err(|error| refusal(&error))?);
        }
        Ok(())
    }

    async fn commit(&mut self, batch: &mut Batch) -> Result<(), SwarmError> {
        let entry = Entry::new(batch.base, batch.time, std::mem::take(&mut batch.changes));
        let committed = self.proposer.propose(Bytes::from(entry.encode())).await;
        if !matches!(committed, Ok(raft::Committed { accepted: true, .. })) {
            self.term = None;
        }
        match committed {
            Ok(raft::Committed { accepted: true, .. }) => Ok(()),
            Ok(raft::Committed { accepted: false, .. }) => {
                Err(SwarmError::unavailable("the leader changed while the change was made; nothing was changed"))
            }
            Err(error) => Err(refusal(&error)),
        }
    }

    /// Refuses a transaction and those that wait, without running them.
    fn refuse(&mut self, first: Box<dyn Job>, error: &SwarmError) {
        first.refuse(error.clone());
        while let Ok(job) = self.jobs.try_recv() {
            job.refuse(error.clone());
        }
    }
}

fn refusal(error: &ProposeError) -> SwarmError {
    match error {
        ProposeError::NotLeader { .. } => SwarmError::unavailable("this manager does not lead the swarm"),
        ProposeError::NoQuorum => SwarmError::no_leader(),
        ProposeError::Uncertain => {
            SwarmError::internal("the leader was lost before the change was committed; it may still take effect")
        }
        ProposeError::TooLarge { size, limit } => {
            SwarmError::internal(format!("an entry of {size} bytes exceeds the limit of {limit}"))
        }
        ProposeError::Stopped => SwarmError::unavailable("this manager is stopping"),
    }
}
