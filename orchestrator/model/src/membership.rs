//! How a node with a manager's certificate enters raft.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{RaftId, RosterEntry};

/// Asks the leader to take the caller (known by its certificate) into raft: learner, caught up, voter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRaftRequest {
    /// The caller's raft id, drawn afresh for every membership.
    pub raft_id: RaftId,
    /// Where the caller answers; the leader dials back before it adds it.
    pub addr: SocketAddr,
}

/// The members at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRaftResponse {
    /// The managers, the caller included.
    pub managers: Vec<RosterEntry>,
}
