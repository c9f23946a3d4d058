//! The authority's counter: signs the keys of new nodes (by join token) and of members (by their old certificate).
//! The leader's, because a role must be the present one.
//!
//! Reads the swarm, nodes. Writes new nodes. Never a role, a spec or a status of a node that is there.

mod bucket;
pub(crate) mod policy;

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use ca::{Authority, NodeSubject};
use model::{
    Cluster, IssueRequest, IssueResponse, Meta, Node, NodeHealth, NodeId, NodeSpec, NodeState, NodeStatus, Role,
    RootsResponse, SwarmError, with_causes,
};
use raft::Raft;
use rand::rngs::StdRng;
use rpc::{CertificatesService, PeerIdentity};
use store::{Clock, Store};
use tokio::time::Instant;
use tonic::Status;
use tracing::info;

use crate::membership::require_leader;
use crate::words::{removed, unavailable};
use bucket::Bucket;
use policy::{Grant, certificate_life, decide};

/// The counter of one manager.
#[derive(Debug)]
pub(crate) struct Certificates {
    store: Store,
    raft: Raft,
    clock: Clock,
    rng: Mutex<StdRng>,
    joins: Mutex<Bucket>,
}

impl Certificates {
    /// A counter over a store; `rng` draws the ids of new nodes.
    pub(crate) fn new(store: Store, raft: Raft, clock: Clock, rng: StdRng) -> Self {
        Self { store, raft, clock, rng: Mutex::new(rng), joins: Mutex::new(Bucket::new(Instant::now())) }
    }

    async fn grant(&self, caller: Option<PeerIdentity>, request: IssueRequest) -> Result<IssueResponse, SwarmError> {
        let view = self.store.view();
        let cluster = view.cluster().ok_or_else(|| unavailable("the swarm is being formed"))?;
        if request.token.is_some() && !self.joins.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
            return Err(unavailable("too many nodes are joining at once; try again"));
        }
        let member = caller.as_ref().map(|caller| (&caller.node_id, view.node(&caller.node_id).map(AsRef::as_ref)));
        match decide(cluster, request.token.as_ref(), member)? {
            Grant::Join(role) => self.join(cluster, role, request).await,
            Grant::Renew { node, role } => {
                let addr = view.node(&node).and_then(|node| node.state.status.addr.parse().ok()).or(request.addr);
                self.sign(cluster, node, role, addr, &request.csr)
            }
        }
    }

    /// Signs first, so that a request that cannot be signed leaves no node behind.
    async fn join(&self, cluster: &Cluster, role: Role, request: IssueRequest) -> Result<IssueResponse, SwarmError> {
        let id = NodeId::generate(&mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner));
        let response = self.sign(cluster, id.clone(), role, request.addr, &request.csr)?;
        let node = Node {
            id: id.clone(),
            meta: Meta::default(),
            spec: NodeSpec { role, availability: request.availability, ..NodeSpec::default() },
            state: NodeState {
                role,
                description: None,
                status: NodeStatus {
                    state: NodeHealth::Unknown,
                    message: String::new(),
                    addr: request.addr.map(|addr| addr.to_string()).unwrap_or_default(),
                },
                member: None,
                is_unreachable: false,
                former_member: None,
            },
        };
        self.store.update(move |tx| tx.create_node(node)).await?;
        info!(node = %id, role = role.as_str(), "a node joined by token");
        Ok(response)
    }

    fn is_removed(&self, node: &NodeId) -> bool {
        let view = self.store.view();
        view.cluster().is_some_and(|cluster| cluster.state.removed_nodes.iter().any(|entry| entry.id == *node))
    }

    fn sign(
        &self,
        cluster: &Cluster,
        node_id: NodeId,
        role: Role,
        addr: Option<IpAddr>,
        csr: &str,
    ) -> Result<IssueResponse, SwarmError> {
        let root_ca = &cluster.state.root_ca;
        let internal = |error: ca::CaError| SwarmError::internal(with_causes(&error));
        let signer = root_ca.signer().ok_or_else(|| SwarmError::internal("the swarm has no root certificate"))?;
        let authority = Authority::from_pem(signer.certificate, signer.key).map_err(internal)?;
        let subject = NodeSubject {
            node_id: node_id.clone(),
            role,
            cluster_id: cluster.id.clone(),
            addresses: addr.into_iter().collect(),
        };
        let mut certificate = authority
            .issue_node(csr, &subject, certificate_life(cluster), self.clock.now())
            .map_err(|error| SwarmError::invalid(with_causes(&error)))?;
        certificate.extend(root_ca.node_links());
        Ok(IssueResponse { node_id, role, certificate, roots: root_ca.trusted() })
    }
}

#[async_trait]
impl CertificatesService for Certificates {
    async fn roots(&self) -> Result<RootsResponse, Status> {
        let view = self.store.view();
        match view.cluster() {
            Some(cluster) => Ok(RootsResponse { roots: cluster.state.root_ca.trusted() }),
            None => Err(rpc::to_status(unavailable("the swarm is being formed"))),
        }
    }

    async fn issue(&self, caller: Option<PeerIdentity>, request: IssueRequest) -> Result<IssueResponse, Status> {
        // A removed node cannot come with its certificate any more. It is told why, by any manager.
        if let Some(node) = request.node.as_ref().filter(|node| self.is_removed(node)) {
            return Err(rpc::to_status(removed(node)));
        }
        require_leader(&self.raft)?;
        self.grant(caller, request).await.map_err(rpc::to_status)
    }
}
