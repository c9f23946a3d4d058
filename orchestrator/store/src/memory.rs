//! Consensus of one, in memory: for tests, and for whoever wants a store without a disk.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use raft::{Committed, ProposeError, StateMachine};

use crate::{Proposer, Store};

/// Applies every entry at once, in one order. Leads until told otherwise.
pub struct MemoryProposer {
    machine: Arc<dyn StateMachine>,
    /// Held while an entry is applied, which keeps their order.
    index: Mutex<u64>,
    /// Zero while it does not lead.
    term: AtomicU64,
}

impl MemoryProposer {
    /// Leads in term 1.
    pub fn new(store: &Store) -> Self {
        Self { machine: store.state_machine(), index: Mutex::new(0), term: AtomicU64::new(1) }
    }

    /// Leads in this term, or does not lead.
    pub fn set_term(&self, term: Option<u64>) {
        self.term.store(term.unwrap_or(0), Ordering::SeqCst);
    }
}

#[async_trait]
impl Proposer for MemoryProposer {
    async fn prepare(&self) -> Result<u64, ProposeError> {
        self.term().ok_or(ProposeError::NotLeader { leader: None })
    }

    fn term(&self) -> Option<u64> {
        let term = self.term.load(Ordering::SeqCst);
        (term != 0).then_some(term)
    }

    async fn propose(&self, entry: Bytes) -> Result<Committed, ProposeError> {
        if self.term().is_none() {
            return Err(ProposeError::NotLeader { leader: None });
        }
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        *index += 1;
        let accepted = self.machine.apply(*index, &entry).map_err(|_| ProposeError::Stopped)?;
        Ok(Committed { index: *index, accepted })
    }
}

impl fmt::Debug for MemoryProposer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryProposer").field("term", &self.term).finish_non_exhaustive()
    }
}
