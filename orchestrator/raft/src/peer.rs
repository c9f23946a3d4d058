//! A member of the raft group, as every member knows it.

use std::net::SocketAddr;

use model::{NodeId, RaftId};
use serde::{Deserialize, Serialize};

/// A member: who it is in raft, which node it is, and where it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its id in raft; never used again once it is removed.
    pub raft_id: RaftId,
    /// The node.
    pub node_id: NodeId,
    /// Where the others reach it (2377/tcp).
    pub addr: SocketAddr,
    /// Its host name, for logs and for the roster that a joining manager gets.
    pub hostname: String,
}
