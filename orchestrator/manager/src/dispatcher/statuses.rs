//! Writes what the dispatcher learns of nodes: at once while no write is under way, together with all else that came
//! while one was. No timer batches: the line itself does.
//!
//! Reads nothing. Writes status and description of nodes. Never writes a spec or a role.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use model::{Node, NodeDescription, NodeHealth, NodeId, SwarmError, TlsInfo};
use store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

/// A change that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusChange {
    /// How the node fares now.
    pub(crate) state: NodeHealth,
    /// Why.
    pub(crate) message: String,
    /// Where it was seen, if that is new.
    pub(crate) addr: Option<String>,
    /// What it says of itself, if that is new.
    pub(crate) description: Option<NodeDescription>,
    /// Its trust, if that is newer than its description.
    pub(crate) tls: Option<TlsInfo>,
    /// It showed a worker's certificate, so it runs no manager.
    pub(crate) is_worker: bool,
}

impl StatusChange {
    /// A later change of the same node on top of this one.
    fn merge(&mut self, later: Self) {
        self.state = later.state;
        self.message = later.message;
        self.addr = later.addr.or_else(|| self.addr.take());
        self.tls = later.tls.or_else(|| self.tls.take().filter(|_| later.description.is_none()));
        self.description = later.description.or_else(|| self.description.take());
        self.is_worker |= later.is_worker;
    }

    /// Writes the change into a node; tells whether anything is different.
    fn apply(&self, node: &mut Node) -> bool {
        let before = node.state.clone();
        node.state.status.state = self.state;
        node.state.status.message.clone_from(&self.message);
        if let Some(addr) = &self.addr {
            node.state.status.addr.clone_from(addr);
        }
        if let Some(description) = &self.description {
            node.state.description = Some(description.clone());
        }
        if let (Some(description), Some(tls)) = (&mut node.state.description, &self.tls) {
            description.tls.clone_from(tls);
        }
        if self.is_worker {
            node.state.former_member = None;
        }
        before != node.state
    }
}

/// Changes that wait for the line; at most one a node, so the number of nodes bounds it.
#[derive(Debug, Default)]
pub(crate) struct StatusLine {
    waiting: Mutex<BTreeMap<NodeId, StatusChange>>,
    arrived: Notify,
}

impl StatusLine {
    /// Queues a change; a later one of the same node is merged into it.
    pub(crate) fn push(&self, node: NodeId, change: StatusChange) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.get_mut(&node) {
            Some(earlier) => earlier.merge(change),
            None => {
                waiting.insert(node, change);
            }
        }
        self.arrived.notify_one();
    }

    /// Writes changes until cancelled, or until the store refuses because this member leads no more.
    pub(crate) async fn run(&self, store: &Store, cancel: CancellationToken) -> Result<(), SwarmError> {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = self.arrived.notified() => {}
            }
            let batch = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if batch.is_empty() {
                continue;
            }
            debug!(nodes = batch.len(), "writing what nodes report");
            let written = store.update(move |tx| write(tx, batch)).await?;
            for (node, state) in written {
                info!(%node, state = state.as_str(), "node changed its state");
            }
        }
    }
}

/// Writes a batch; gives the nodes whose state is another one now. Nodes that are gone are passed over.
fn write(
    tx: &mut store::Transaction,
    batch: BTreeMap<NodeId, StatusChange>,
) -> Result<Vec<(NodeId, NodeHealth)>, SwarmError> {
    let mut changed = Vec::new();
    for (id, change) in batch {
        let Some(node) = tx.view().node(&id).cloned() else {
            continue;
        };
        let mut next = Node::clone(&node);
        if !change.apply(&mut next) {
            continue;
        }
        if node.state.status.state != change.state {
            changed.push((id.clone(), change.state));
        }
        tx.update_node(&id, None, |node| node.state = next.state)?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use model::{Meta, NodeSpec, NodeState};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn change(state: NodeHealth, hostname: Option<&str>) -> StatusChange {
        StatusChange {
            state,
            message: String::new(),
            addr: hostname.map(|_| "10.0.0.1".to_owned()),
            description: hostname
                .map(|hostname| NodeDescription { hostname: hostname.to_owned(), ..NodeDescription::default() }),
            tls: None,
            is_worker: false,
        }
    }

    fn node() -> Node {
        Node {
            id: NodeId::generate(&mut StdRng::seed_from_u64(1)),
            meta: Meta::default(),
            spec: NodeSpec::default(),
            state: NodeState::default(),
        }
    }

    #[test]
    fn a_later_state_wins_and_an_earlier_description_stays() {
        let mut waiting = change(NodeHealth::Ready, Some("node-1"));

        waiting.merge(change(NodeHealth::Down, None));

        assert_eq!(waiting, StatusChange { state: NodeHealth::Down, ..change(NodeHealth::Ready, Some("node-1")) });
    }

    #[test]
    fn a_nodes_trust_counts_until_it_describes_itself_anew() {
        let trust = |root: &str| TlsInfo { trust_root: root.to_owned(), ..TlsInfo::default() };
        let told = StatusChange { tls: Some(trust("new")), ..change(NodeHealth::Ready, None) };
        let mut waiting = change(NodeHealth::Ready, Some("node-1"));
        let mut node = node();

        waiting.merge(told.clone());
        waiting.merge(change(NodeHealth::Ready, None));
        assert!(waiting.apply(&mut node));
        assert_eq!(node.state.description.as_ref().unwrap().tls, trust("new"));

        let mut waiting = told;
        waiting.merge(change(NodeHealth::Ready, Some("node-1")));
        assert!(waiting.apply(&mut node));
        assert_eq!(node.state.description.unwrap().tls, TlsInfo::default());
    }

    #[test]
    fn a_change_that_changes_nothing_is_known_as_such() {
        let mut node = node();

        assert!(change(NodeHealth::Ready, Some("node-1")).apply(&mut node));
        assert!(!change(NodeHealth::Ready, Some("node-1")).apply(&mut node));
        assert!(change(NodeHealth::Down, None).apply(&mut node));
        assert_eq!(node.state.status.addr, "10.0.0.1");
    }

    #[test]
    fn a_former_manager_is_one_no_more_once_it_shows_a_workers_certificate() {
        let member = model::RaftMember { raft_id: model::RaftId(1), addr: "10.0.0.1:2377".parse().unwrap() };
        let mut node = Node {
            id: NodeId::generate(&mut StdRng::seed_from_u64(1)),
            meta: Meta::default(),
            spec: NodeSpec::default(),
            state: NodeState { former_member: Some(member.clone()), ..NodeState::default() },
        };

        change(NodeHealth::Ready, None).apply(&mut node);
        assert_eq!(node.state.former_member, Some(member));
        let mut shown = StatusChange { is_worker: true, ..change(NodeHealth::Ready, None) };
        shown.merge(change(NodeHealth::Down, None));
        assert!(shown.apply(&mut node));
        assert_eq!(node.state.former_member, None);
    }

    #[tokio::test]
    async fn what_came_while_the_line_was_busy_is_written_together_and_a_removed_node_is_passed_over() {
        let (running, genesis) = (crate::testing::running_store(), crate::testing::genesis(1));
        let ids: Vec<NodeId> = genesis.roster.iter().map(|entry| entry.node_id.clone()).collect();
        crate::seed::commit(&running.store, genesis).await.unwrap();
        let (before, mut events) = running.store.view_and_watch();
        let stranger = NodeId::generate(&mut StdRng::seed_from_u64(99));
        let line = StatusLine::default();
        for id in [&ids[0], &stranger, &ids[1]] {
            line.push(id.clone(), change(NodeHealth::Ready, Some("node")));
        }

        let cancel = CancellationToken::new();
        let committed = async {
            loop {
                if let store::Event::Committed { .. } = events.recv().await.unwrap() {
                    cancel.cancel();
                    return;
                }
            }
        };
        let (outcome, ()) = tokio::join!(line.run(&running.store, cancel.clone()), committed);

        outcome.unwrap();
        let after = running.store.view();
        assert_eq!(after.index(), before.index() + 1);
        assert!(ids.iter().all(|id| after.node(id).unwrap().state.status.state == NodeHealth::Ready));
        assert_eq!(after.node(&stranger), None);
    }
}
