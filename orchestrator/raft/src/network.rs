//! Sends openraft's messages through the [`Transport`], and notes who answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, Timeout, Unreachable};
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::contact::Contacts;
use crate::formation::FOUNDING_TERM;
use crate::types::{Member, TypeConfig, Vote};
use crate::wire::{Append, AppendReply, Ballot, BallotReply, Chunk, Envelope};
use crate::{Peer, RaftCallKind, Transport, TransportError, codec};

/// How long openraft leaves a member alone that refused or could not be connected to.
const RETRY_AFTER: Duration = Duration::from_millis(100);

type RpcError<E> = RPCError<u64, Member, E>;

/// Calls members by the transport. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) me: u64,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) contacts: Arc<Contacts>,
    /// Somebody has said that this member was removed from the group.
    pub(crate) is_removed: Arc<AtomicBool>,
}

impl Network {
    /// Sends a message and waits for its answer.
    pub(crate) async fn call<M: Serialize, R: DeserializeOwned>(
        &self,
        peer: &Peer,
        kind: RaftCallKind,
        message: M,
        timeout: Duration,
    ) -> Result<R, TransportError> {
        let asked = Instant::now();
        let to = peer.raft_id.0;
        let payload = Bytes::from(codec::encode(&Envelope { from: self.me, to, message }));
        let answer = self.transport.call(peer, kind, payload, timeout).await.inspect_err(|error| {
            if matches!(error, TransportError::Removed) {
                self.removed();
            }
        })?;
        self.contacts.answered(to, asked);
        codec::decode(&answer).map_err(|error| TransportError::Refused(error.to_string()))
    }

    /// Notes that this member was removed from the group: another member says so.
    pub(crate) fn removed(&self) {
        if !self.is_removed.swap(true, Ordering::Relaxed) {
            tracing::warn!("another manager says that this one was removed from raft");
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: u64, member: &Member) -> PeerNetwork {
        PeerNetwork { network: self.clone(), target, peer: member.0.clone() }
    }
}

/// The way to one member.
#[derive(Debug)]
pub(crate) struct PeerNetwork {
    network: Network,
    target: u64,
    peer: Option<Peer>,
}

impl PeerNetwork {
    async fn call<M, R, E>(
        &self,
        (kind, action): (RaftCallKind, RPCTypes),
        message: M,
        option: &RPCOption,
    ) -> Result<R, RpcError<E>>
    where
        M: Serialize,
        R: DeserializeOwned,
        E: std::error::Error,
    {
        let Some(peer) = &self.peer else {
            let unknown = TransportError::Unreachable("nothing is known of the member".to_owned());
            return Err(RPCError::Unreachable(Unreachable::new(&unknown)));
        };
        let timeout = option.hard_ttl();
        self.network.call(peer, kind, message, timeout).await.map_err(|error| match error {
            TransportError::TimedOut => {
                RPCError::Timeout(Timeout { action, id: self.network.me, target: self.target, timeout })
            }
            // A refusal, too, makes openraft wait before it asks again: else it would ask in a tight loop.
            TransportError::Unreachable(_) | TransportError::Refused(_) | TransportError::Removed => {
                RPCError::Unreachable(Unreachable::new(&error))
            }
        })
    }
}

impl RaftNetwork<TypeConfig> for PeerNetwork {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RpcError<RaftError<u64>>> {
        self.network.contacts.sent(Instant::now());
        let what = (RaftCallKind::Append, RPCTypes::AppendEntries);
        let reply: AppendReply = self.call(what, Append::from(request), &option).await?;
        Ok(reply.into())
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, RpcError<RaftError<u64, InstallSnapshotError>>> {
        self.network.contacts.sent(Instant::now());
        let what = (RaftCallKind::Snapshot, RPCTypes::InstallSnapshot);
        let vote: Vote = self.call(what, Chunk::from(request), &option).await?;
        Ok(InstallSnapshotResponse { vote })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RpcError<RaftError<u64>>> {
        if request.vote.leader_id.term <= FOUNDING_TERM {
            let silent = TransportError::Refused("nobody is asked for a vote with the first entry".to_owned());
            return Err(RPCError::Unreachable(Unreachable::new(&silent)));
        }
        let what = (RaftCallKind::Vote, RPCTypes::Vote);
        let reply: BallotReply = self.call(what, Ballot::from(request), &option).await?;
        Ok(reply.into())
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY_AFTER))
    }
}
