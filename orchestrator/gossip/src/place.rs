//! A member as SWIM knows it: a node, and which of its lives it is in.

use foca::Identity;
use model::NodeId;
use serde::{Deserialize, Serialize};

/// A node and the number of its present life. A later life replaces an earlier one; death ends one life only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The node. Its address is not here: only the roster tells where to send.
    pub(crate) node_id: NodeId,
    /// Milliseconds since 1970 at its start, and one more for each time it found itself declared dead.
    pub(crate) life: u64,
}

impl Identity for Place {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        Some(Self { node_id: self.node_id.clone(), life: self.life.checked_add(1)? })
    }

    fn addr(&self) -> NodeId {
        self.node_id.clone()
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.life > adversary.life
    }
}
