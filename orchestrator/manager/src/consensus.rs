//! Raft's messages over RPC: out through the connector, in through the raft service.
//!
//! Reads and writes nothing: it only carries. A message for another member is refused by raft itself.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::ErrorKind;
use raft::{HandleError, Peer, Raft, RaftCallKind, Transport, TransportError};
use rpc::{Connector, PeerIdentity, RaftCall, RaftClient, RaftReply, RaftService};
use tonic::{Code, Status};

use crate::words::{invalid, refusal, unavailable};

/// The kind by which a manager knows that it was removed from raft: as where it asks to be let in.
const REMOVED: ErrorKind = ErrorKind::AlreadyExists;

/// Carries raft's messages to other managers. The channels are the connector's, one a manager.
#[derive(Debug, Clone)]
pub struct RaftTransport(Connector);

impl RaftTransport {
    /// A transport over a connector.
    pub fn new(connector: Connector) -> Self {
        Self(connector)
    }
}

#[async_trait]
impl Transport for RaftTransport {
    async fn call(
        &self,
        peer: &Peer,
        kind: RaftCallKind,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        let client = RaftClient::new(self.0.channel(peer.addr, Some(peer.node_id.clone())));
        let call = client.call(RaftCall { kind: number(kind), payload });
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(reply)) => Ok(reply.payload),
            Ok(Err(status)) if rpc::is_answer(&status) && rpc::from_status(&status).kind == REMOVED => {
                Err(TransportError::Removed)
            }
            Ok(Err(status)) if rpc::is_answer(&status) => Err(TransportError::Refused(status.message().to_owned())),
            Ok(Err(status)) if status.code() == Code::DeadlineExceeded => Err(TransportError::TimedOut),
            Ok(Err(status)) => Err(TransportError::Unreachable(status.message().to_owned())),
            Err(_elapsed) => Err(TransportError::TimedOut),
        }
    }
}

/// Answers raft's messages of other managers.
#[derive(Debug)]
pub(crate) struct Consensus(pub(crate) Raft);

#[async_trait]
impl RaftService for Consensus {
    async fn call(&self, _caller: PeerIdentity, call: RaftCall) -> Result<RaftReply, Status> {
        let kind = kind(call.kind)
            .ok_or_else(|| rpc::to_status(invalid("this manager does not know the kind of raft message")))?;
        match self.0.handle(kind, call.payload).await {
            Ok(payload) => Ok(RaftReply { payload }),
            Err(error @ (HandleError::Malformed(_) | HandleError::Misdirected { .. })) => {
                Err(rpc::to_status(invalid(&error.to_string())))
            }
            Err(error @ HandleError::Removed(_)) => Err(rpc::to_status(refusal(REMOVED, &error.to_string()))),
            Err(error @ HandleError::Stopped) => Err(rpc::to_status(unavailable(&error.to_string()))),
        }
    }
}

/// The numbers that kinds have on the wire; they never change.
const KINDS: [(u8, RaftCallKind); 7] = [
    (1, RaftCallKind::Append),
    (2, RaftCallKind::Snapshot),
    (3, RaftCallKind::Vote),
    (4, RaftCallKind::PreVote),
    (5, RaftCallKind::TakeOver),
    (6, RaftCallKind::Greet),
    (7, RaftCallKind::Removed),
];

fn number(kind: RaftCallKind) -> u8 {
    match kind {
        RaftCallKind::Append => 1,
        RaftCallKind::Snapshot => 2,
        RaftCallKind::Vote => 3,
        RaftCallKind::PreVote => 4,
        RaftCallKind::TakeOver => 5,
        RaftCallKind::Greet => 6,
        RaftCallKind::Removed => 7,
    }
}

fn kind(number: u8) -> Option<RaftCallKind> {
    KINDS.iter().find(|(known, _)| *known == number).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for (on_the_wire, meaning) in KINDS {
            assert_eq!(number(meaning), on_the_wire);
            assert_eq!(kind(on_the_wire), Some(meaning));
        }
        assert_eq!(kind(0), None);
        assert_eq!(kind(8), None);
    }
}
