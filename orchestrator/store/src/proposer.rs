//! Consensus as the store knows it.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use raft::{Committed, ProposeError, Raft};

/// Commits entries in one order on every member. [`Raft`] is one.
#[async_trait]
pub trait Proposer: fmt::Debug + Send + Sync + 'static {
    /// Makes sure that this member leads and has applied all that was committed before; gives the term.
    async fn prepare(&self) -> Result<u64, ProposeError>;

    /// The term if this member leads now.
    fn term(&self) -> Option<u64>;

    /// Commits an entry and applies it here.
    async fn propose(&self, entry: Bytes) -> Result<Committed, ProposeError>;
}

#[async_trait]
impl Proposer for Raft {
    async fn prepare(&self) -> Result<u64, ProposeError> {
        let point = self.read_point().await?;
        self.wait_applied(point.index).await.map_err(|_| ProposeError::Stopped)?;
        self.term().ok_or(ProposeError::NotLeader { leader: None })
    }

    fn term(&self) -> Option<u64> {
        let status = self.status();
        let status = status.borrow();
        status.is_leader.then_some(status.term)
    }

    async fn propose(&self, entry: Bytes) -> Result<Committed, ProposeError> {
        Raft::propose(self, entry).await
    }
}
