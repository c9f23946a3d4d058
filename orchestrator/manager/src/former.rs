//! Tells former managers that raft has begun anew without them. The leader's.
//!
//! One that comes back alone finds out by itself: nobody votes for it, and who led the beginning says why. Two of them
//! may still have a quorum of the former group between them, and lead it, if this manager is not where they knew it.
//! So they are told, where they were last, until they answer under another raft id, are members again, or show a worker's
//! certificate. Being in session is not enough: a node may see this leader for a moment, and then follow the former
//! group's; nor is having been told, which it may forget in a crash.
//!
//! Reads nodes. Writes former memberships. Never tells a member of raft.

use std::time::Duration;

use futures_util::future::join_all;
use model::{Node, SwarmError};
use raft::{Peer, Raft};
use store::{Store, Transaction};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

/// How often they are told: as long as two of them can go on unknowing.
const PERIOD: Duration = Duration::from_secs(1);

/// The former managers of one term.
#[derive(Debug)]
pub(crate) struct FormerManagers {
    store: Store,
    raft: Raft,
}

impl FormerManagers {
    /// The former managers that a store knows.
    pub(crate) fn new(store: Store, raft: Raft) -> Self {
        Self { store, raft }
    }

    /// Tells them again and again until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let peers: Vec<Peer> = self.store.view().nodes().filter_map(|node| unknowing(node)).collect();
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                _ = join_all(peers.iter().map(|peer| self.tell(peer))) => {}
            }
        }
    }

    async fn tell(&self, peer: &Peer) {
        match self.raft.tell_removed(peer).await {
            Ok(true) => info!(node = %peer.node_id, "told a former manager that raft has begun anew without it"),
            Ok(false) => match self.forget(peer).await {
                Ok(()) => debug!(node = %peer.node_id, "the former manager knows that it is one no more"),
                Err(error) => debug!(node = %peer.node_id, %error, "what a former manager knows cannot be written yet"),
            },
            Err(error) => debug!(node = %peer.node_id, %error, "the former manager is not to be reached"),
        }
    }

    /// Writes down that a node acts on its former membership no more.
    async fn forget(&self, peer: &Peer) -> Result<(), SwarmError> {
        let (id, raft_id) = (peer.node_id.clone(), peer.raft_id);
        self.store
            .update(move |tx: &mut Transaction| {
                let former = tx.view().node(&id).and_then(|node| node.state.former_member.clone());
                if former.is_none_or(|former| former.raft_id != raft_id) {
                    return Ok(());
                }
                tx.update_node(&id, None, |node| node.state.former_member = None)
            })
            .await
    }
}

/// Where a node was a member, if it was one and may act on it still.
fn unknowing(node: &Node) -> Option<Peer> {
    let former = node.state.former_member.as_ref().filter(|_| node.state.member.is_none())?;
    let hostname = node.state.description.as_ref().map(|description| description.hostname.clone()).unwrap_or_default();
    Some(Peer { raft_id: former.raft_id, node_id: node.id.clone(), addr: former.addr, hostname })
}

#[cfg(test)]
mod tests {
    use model::{Meta, NodeHealth, NodeId, NodeSpec, NodeState, NodeStatus, RaftId, RaftMember};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn who_was_a_member_is_told_also_in_session_until_it_is_one_again() {
        let check = |state: NodeHealth, was_member: bool, is_member: bool, expected: bool| {
            let member = |id: u64| RaftMember { raft_id: RaftId(id), addr: "192.0.2.1:2377".parse().unwrap() };
            let state = NodeState {
                status: NodeStatus { state, ..NodeStatus::default() },
                member: is_member.then(|| member(2)),
                former_member: was_member.then(|| member(1)),
                ..NodeState::default()
            };
            let id = NodeId::generate(&mut StdRng::seed_from_u64(1));
            let node = Node { id, meta: Meta::default(), spec: NodeSpec::default(), state };
            let told = unknowing(&node).map(|peer| peer.raft_id);
            assert_eq!(told, expected.then_some(RaftId(1)), "{node:?}");
        };

        check(NodeHealth::Down, true, false, true);
        check(NodeHealth::Ready, true, false, true);
        check(NodeHealth::Ready, true, true, false);
        check(NodeHealth::Down, false, false, false);
    }
}
