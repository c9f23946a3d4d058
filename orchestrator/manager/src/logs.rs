//! The log broker: output of tasks, gathered from all nodes for whoever reads it.
//!
//! ```text
//! reader ── read ──> subscription ── orders ──> nodes that keep some of it (they listen)
//!        <── merged lines ── buffer, 4 MiB ── <── publish: one call at a time, a node and subscription ──┘
//! ```
//! It lives in the leader's term, in memory alone: a term's end ends what is read, and who reads goes on with the next
//! leader. One instance a manager; it serves only while this manager leads.

mod merge;
mod subscription;
mod term;
#[cfg(test)]
mod tests;

pub(crate) use term::LogTerm;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt, TryStreamExt};
use model::{LogBatch, LogMessage, LogOrder, LogRequest, SwarmError};
use raft::Raft;
use rpc::{LogCall, LogMessageStream, LogOrderStream, LogService, PeerIdentity};
use tonic::Status;
use tracing::debug;

/// Output that is read: lines, and at the end what was missed, if anything was. An error is the last item.
pub type LogMessages = Pin<Box<dyn Stream<Item = Result<LogMessage, SwarmError>> + Send>>;

/// What a node is told to read.
type LogOrderMessages = Pin<Box<dyn Stream<Item = Result<LogOrder, SwarmError>> + Send>>;

/// The log broker of one manager.
#[derive(Debug)]
pub(crate) struct LogBroker {
    raft: Raft,
    /// The term in which this manager leads, while it does.
    term: Mutex<Option<Arc<LogTerm>>>,
}

impl LogBroker {
    /// A broker that serves nobody until a term begins.
    pub(crate) fn new(raft: Raft) -> Self {
        Self { raft, term: Mutex::new(None) }
    }

    /// Serves from now on.
    pub(crate) fn begin(&self, term: Arc<LogTerm>) {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner) = Some(term);
    }

    /// Serves nobody any more; what is open ends with the term's token.
    pub(crate) fn end(&self) {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads on this manager, where it leads.
    pub(crate) fn read_here(&self, request: LogRequest) -> Result<LogMessages, SwarmError> {
        let term = self.present().ok_or_else(SwarmError::no_leader)?;
        term.read(request)
    }

    fn present(&self) -> Option<Arc<LogTerm>> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn term(&self) -> Result<Arc<LogTerm>, Status> {
        self.present().ok_or_else(|| {
            let status = self.raft.status();
            let status = status.borrow();
            rpc::not_leader(status.leader.as_ref().filter(|_| !status.is_leader).map(|leader| leader.addr))
        })
    }
}

#[async_trait]
impl LogService for LogBroker {
    async fn listen(&self, caller: PeerIdentity) -> Result<LogOrderStream, Status> {
        let orders = self.term()?.listen(&caller.node_id).map_err(rpc::to_status)?;
        Ok(orders.map_err(rpc::to_status).boxed())
    }

    async fn publish(&self, caller: PeerIdentity, batch: LogBatch) -> Result<(), Status> {
        self.term()?.publish(&caller.node_id, batch).await.map_err(rpc::to_status)
    }

    async fn read(&self, peer: PeerIdentity, call: LogCall) -> Result<LogMessageStream, Status> {
        debug!(peer = %peer.node_id, caller = ?call.caller, target = ?call.request.target, "logs are read");
        let messages = self.term()?.read(call.request).map_err(rpc::to_status)?;
        Ok(messages.map_err(rpc::to_status).boxed())
    }
}
