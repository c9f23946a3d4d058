//! How a node gets its certificate: by a join token once, by its old certificate from then on.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Availability, NodeId, Role, Secret};

/// Asks for the roots of the swarm. Anybody may ask; the digest in the join token tells whether to trust the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootsRequest {}

/// The roots of the swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootsResponse {
    /// PEM, one each; the first one signs.
    pub roots: Vec<String>,
}

/// Asks for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueRequest {
    /// The signing request, PEM. Only its key counts: names come from the managers.
    pub csr: String,
    /// The join token of a node that has no certificate yet.
    pub token: Option<Secret>,
    /// The availability that a joining node starts with.
    pub availability: Availability,
    /// The address that a joining node advertises; a member's is known to the managers already.
    #[serde(default)]
    pub addr: Option<IpAddr>,
    /// Who asks, where no certificate says so: a member whose certificate is refused learns whether it was removed.
    #[serde(default)]
    pub node: Option<NodeId>,
}

/// The certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueResponse {
    /// The node.
    pub node_id: NodeId,
    /// The role in the certificate.
    pub role: Role,
    /// The certificate, PEM; while the swarm changes its root, one that links it to the former root follows.
    pub certificate: String,
    /// The roots, PEM, one each; the first one signs.
    pub roots: Vec<String>,
}
