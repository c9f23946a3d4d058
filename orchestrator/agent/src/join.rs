//! How a node without a certificate gets its first one: by a join token.
//!
//! The digest in the token is checked against the root of the swarm before the token is sent to anybody, and the
//! token is sent only over TLS that this root vouches for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ca::{JoinToken, KeyPair};
use model::{Availability, ErrorKind, IssueRequest, NodeId, Role, Secret, SwarmError};
use rand::rngs::StdRng;
use rpc::{CertificatesClient, Connector, Identity, PinError, TlsState, Trust, fetch_root};
use tracing::debug;

use crate::backoff::Backoff;

/// How long one manager has to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What a node needs to join.
#[derive(Debug, Clone)]
pub struct JoinOrder {
    /// Managers to turn to; at least one.
    pub remotes: Vec<SocketAddr>,
    /// The token.
    pub token: JoinToken,
    /// The availability that the node starts with.
    pub availability: Availability,
    /// The address that the node advertises.
    pub addr: IpAddr,
}

/// What a node has once it has joined.
#[derive(Debug, Clone)]
pub struct Joined {
    /// Its id.
    pub node_id: NodeId,
    /// Its role.
    pub role: Role,
    /// Its certificate, and the key that was born here.
    pub identity: Identity,
    /// The roots of the swarm.
    pub roots: Vec<String>,
}

/// Joins: turns to one manager after the other until one signs, or one refuses for good. Dropping it gives up.
///
/// # Errors
/// The token is not one of the swarm there, or the swarm refuses it, in Docker's words.
pub async fn join(order: &JoinOrder, rng: &mut StdRng) -> Result<Joined, SwarmError> {
    let key = KeyPair::generate().map_err(|error| SwarmError::internal(error.to_string()))?;
    let mut backoff = Backoff::new();
    let mut remotes = order.remotes.clone();
    loop {
        for remote in std::mem::replace(&mut remotes, order.remotes.clone()) {
            match ask(order, remote, &key).await {
                Ok(joined) => return Ok(joined),
                Err(Refusal::Final(error)) => return Err(error),
                Err(Refusal::Elsewhere(leader)) => {
                    remotes.insert(0, leader);
                    break;
                }
                Err(Refusal::Later(reason)) => debug!(%remote, reason, "could not join yet"),
            }
        }
        tokio::time::sleep(backoff.next(rng)).await;
    }
}

/// Why a manager gave no certificate.
enum Refusal {
    /// No manager of this swarm would.
    Final(SwarmError),
    /// Another manager leads.
    Elsewhere(SocketAddr),
    /// Nobody can say so far.
    Later(String),
}

async fn ask(order: &JoinOrder, remote: SocketAddr, key: &KeyPair) -> Result<Joined, Refusal> {
    let root = fetch_root(remote, &order.token).await.map_err(|error| match error {
        PinError::OtherSwarm { .. } => Refusal::Final(SwarmError::invalid(error.to_string())),
        PinError::Connect(_) | PinError::Ask { .. } => Refusal::Later(error.to_string()),
    })?;
    let trust = Trust { roots: vec![root], cluster_id: None };
    let tls = TlsState::new(None, &trust)
        .map_err(|error| Refusal::Final(SwarmError::internal(format!("the swarm's root cannot be used: {error}"))))?;
    let client = CertificatesClient::new(Connector::new(tls).channel(remote, None));
    let request = IssueRequest {
        csr: key.csr_pem().to_owned(),
        token: Some(Secret::new(order.token.to_string())),
        availability: order.availability,
        addr: Some(order.addr),
        node: None,
    };
    let response = tokio::time::timeout(ANSWER, client.issue(request))
        .await
        .map_err(|_elapsed| Refusal::Later("no answer in time".to_owned()))?
        .map_err(|status| match rpc::leader_of(&status) {
            Some(leader) => Refusal::Elsewhere(leader),
            None => classify(&status),
        })?;
    Ok(Joined {
        node_id: response.node_id,
        role: response.role,
        identity: Identity { certificate_pem: response.certificate, key: key.key_pem() },
        roots: response.roots,
    })
}

fn classify(status: &tonic::Status) -> Refusal {
    let error = rpc::from_status(status);
    if rpc::is_answer(status) && error.kind != ErrorKind::Unavailable {
        Refusal::Final(error)
    } else {
        Refusal::Later(error.message)
    }
}
