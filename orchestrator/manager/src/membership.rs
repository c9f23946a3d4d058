//! Takes managers into raft and out of it, at their own request. The leader's.
//!
//! Reads nodes, members of raft. Writes members of raft and the record of memberships. Never adds a node whose spec
//! does not want a manager, nor one that does not answer at the address it gives, nor a raft id a second time.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use model::{ErrorKind, JoinRaftRequest, JoinRaftResponse, NodeId, RaftMember, Role, RosterEntry, SwarmError};
use raft::{MembershipError, Peer, Raft};
use rpc::{CertificatesClient, Connector, MembershipService, PeerIdentity};
use store::Store;
use tokio::sync::Mutex;
use tonic::Status;
use tracing::info;

use crate::members::RaftMembers;
use crate::roles::record_member;
use crate::words::{denied, precondition, refusal, removed, unavailable};

/// How long a manager that wants to join has to answer at its address (SwarmKit's).
const DIAL_BACK: Duration = Duration::from_secs(5);

/// Raft's door.
#[derive(Debug)]
pub(crate) struct Membership {
    store: Store,
    raft: Raft,
    members: RaftMembers,
    connector: Connector,
    /// One change of members at a time, dial back and catching up included.
    changes: Mutex<()>,
}

impl Membership {
    /// A door to a raft group.
    pub(crate) fn new(store: Store, raft: Raft, connector: Connector) -> Self {
        let members = RaftMembers(raft.clone());
        Self { store, raft, members, connector, changes: Mutex::new(()) }
    }

    async fn add(&self, node: &NodeId, request: JoinRaftRequest) -> Result<JoinRaftResponse, SwarmError> {
        let _one_at_a_time = self.changes.lock().await;
        self.catch_up().await?;
        let hostname = self.check(node)?;
        if self.raft.was_removed(request.raft_id) {
            return Err(into_swarm_error(MembershipError::Reused(request.raft_id)));
        }
        self.dial_back(node, request.addr).await?;
        for former in self.members.of_node(node) {
            if former.raft_id != request.raft_id {
                self.raft.remove(former.raft_id).await.map_err(into_swarm_error)?;
            }
        }
        let peer = Peer { raft_id: request.raft_id, node_id: node.clone(), addr: request.addr, hostname };
        self.raft.add_voter(peer).await.map_err(into_swarm_error)?;
        let former = self.store.view().node(node).and_then(|node| node.state.member.as_ref().map(|old| old.raft_id));
        let member = RaftMember { raft_id: request.raft_id, addr: request.addr };
        record_member(&self.store, node.clone(), Some(member), former).await?;
        info!(%node, peer = %request.raft_id, "manager joined raft");
        Ok(JoinRaftResponse { managers: self.roster() })
    }

    /// Waits until all that was committed before is applied here, the list of removed members included.
    async fn catch_up(&self) -> Result<(), SwarmError> {
        let point = self.raft.read_point().await.map_err(|error| unavailable(&error.to_string()))?;
        self.raft.wait_applied(point.index).await.map_err(|error| unavailable(&error.to_string()))
    }

    /// Checks that the node shall be a manager; gives its host name.
    fn check(&self, node: &NodeId) -> Result<String, SwarmError> {
        let view = self.store.view();
        let node = view.node(node).ok_or_else(|| removed(node))?;
        if node.spec.role != Role::Manager || node.state.role != Role::Manager {
            return Err(denied(&format!("node {} is not to be a manager", node.id)));
        }
        Ok(node.state.description.as_ref().map(|description| description.hostname.clone()).unwrap_or_default())
    }

    /// Asks for something harmless at the address; TLS tells that it is this node and no other.
    async fn dial_back(&self, node: &NodeId, addr: SocketAddr) -> Result<(), SwarmError> {
        let client = CertificatesClient::new(self.connector.channel(addr, Some(node.clone())));
        let refused =
            |reason: &str| precondition(&format!("node {node} could not be reached by the leader at {addr}: {reason}"));
        match tokio::time::timeout(DIAL_BACK, client.roots()).await {
            Ok(Ok(_roots)) => Ok(()),
            // It has nothing to tell yet, since its store is empty; that it says so itself is enough.
            Ok(Err(status)) if rpc::is_answer(&status) => Ok(()),
            Ok(Err(status)) => Err(refused(status.message())),
            Err(_elapsed) => Err(refused("it did not answer in time")),
        }
    }

    fn roster(&self) -> Vec<RosterEntry> {
        self.members
            .all()
            .into_iter()
            .map(|(peer, _)| RosterEntry {
                node_id: peer.node_id,
                hostname: peer.hostname,
                role: Role::Manager,
                raft_id: Some(peer.raft_id),
                addr: peer.addr,
            })
            .collect()
    }

    async fn remove(&self, node: &NodeId) -> Result<(), SwarmError> {
        let _one_at_a_time = self.changes.lock().await;
        for peer in self.members.of_node(node) {
            if self.raft.would_lose_quorum_without(peer.raft_id) {
                return Err(into_swarm_error(MembershipError::QuorumLoss));
            }
            self.raft.remove(peer.raft_id).await.map_err(into_swarm_error)?;
            record_member(&self.store, node.clone(), None, Some(peer.raft_id)).await?;
            info!(%node, peer = %peer.raft_id, "manager left raft");
        }
        Ok(())
    }

    /// Refuses where this manager does not lead, naming the one that does.
    fn require_leader(&self) -> Result<(), Status> {
        require_leader(&self.raft)
    }
}

/// Refuses where this manager does not lead, naming the one that does.
pub(crate) fn require_leader(raft: &Raft) -> Result<(), Status> {
    let status = raft.status();
    let status = status.borrow();
    if status.is_leader { Ok(()) } else { Err(rpc::not_leader(status.leader.as_ref().map(|leader| leader.addr))) }
}

#[async_trait]
impl MembershipService for Membership {
    async fn join(&self, caller: PeerIdentity, request: JoinRaftRequest) -> Result<JoinRaftResponse, Status> {
        self.require_leader()?;
        self.add(&caller.node_id, request).await.map_err(rpc::to_status)
    }

    async fn leave(&self, caller: PeerIdentity) -> Result<(), Status> {
        self.require_leader()?;
        self.remove(&caller.node_id).await.map_err(rpc::to_status)
    }
}

/// A refusal of raft in the words of the API.
fn into_swarm_error(error: MembershipError) -> SwarmError {
    match error {
        MembershipError::Propose(error) => unavailable(&error.to_string()),
        MembershipError::QuorumLoss | MembershipError::Leads(_) => precondition(&error.to_string()),
        // By this kind the node knows that it has to come under another raft id.
        MembershipError::Reused(_) | MembershipError::Taken(_) => refusal(ErrorKind::AlreadyExists, &error.to_string()),
        MembershipError::TooSlow(_) => unavailable(&error.to_string()),
    }
}
