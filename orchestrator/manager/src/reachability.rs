//! Writes down which managers the leader can reach, so that every manager can tell of a change.
//!
//! A manager is reachable while it answers the leader in raft, and its node is not Down: one that said that it stops is
//! not there any more, although the last answer is young. Reads go by the same rule, at their own moment.
//!
//! Reads nodes, the silence of raft's members. Writes whether a manager is unreachable. Never a status or a role.

use std::time::Duration;

use model::{Node, NodeHealth, NodeId, RaftId, SwarmError};
use raft::Raft;
use store::{Event, Snapshot, Store, WatchError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the silence of members is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Whether a manager is reachable, as the leader has it. The leader reaches itself.
pub fn is_reachable(node: &Node, leader: RaftId, unreachable: &[RaftId]) -> bool {
    node.state.member.as_ref().is_some_and(|member| {
        member.raft_id == leader
            || (!unreachable.contains(&member.raft_id) && node.state.status.state != NodeHealth::Down)
    })
}

/// Keeps the record of one term.
#[derive(Debug)]
pub(crate) struct ReachabilityRecord {
    store: Store,
    raft: Raft,
}

impl ReachabilityRecord {
    /// A record that nobody keeps yet.
    pub(crate) fn new(store: Store, raft: Raft) -> Self {
        Self { store, raft }
    }

    /// Keeps the record until cancelled; fails when this member leads no more.
    pub(crate) async fn run(self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let (_, mut events) = self.store.view_and_watch();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // All events of an entry are one look.
        let mut has_news = false;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                _ = looks.tick() => {}
                event = events.recv() => match event {
                    Ok(Event::NodeChanged(_)) => {
                        has_news = true;
                        continue;
                    }
                    Ok(Event::Committed { .. }) if std::mem::take(&mut has_news) => {}
                    Ok(Event::NodeRemoved(_) | Event::ClusterChanged | Event::Work(_) | Event::Committed { .. }) => continue,
                    Err(WatchError::Lagged(missed)) => {
                        warn!(missed, "fell behind the store; starting from a new snapshot");
                        events = self.store.view_and_watch().1;
                    }
                    Err(WatchError::Closed) => return Err(SwarmError::unavailable("the store has stopped")),
                },
            }
            self.keep().await?;
        }
    }

    async fn keep(&self) -> Result<(), SwarmError> {
        let (leader, unreachable) = (self.raft.me().raft_id, self.raft.unreachable());
        if outdated(&self.store.view(), leader, &unreachable).is_empty() {
            return Ok(());
        }
        let written = self.store.update(move |tx| {
            let outdated = outdated(&tx.view(), leader, &unreachable);
            for (id, is_unreachable) in &outdated {
                tx.update_node(id, None, |node| node.state.is_unreachable = *is_unreachable)?;
            }
            Ok(outdated)
        });
        for (node, is_unreachable) in written.await? {
            info!(%node, is_unreachable, "manager changed its reachability");
        }
        Ok(())
    }
}

/// The nodes whose record is not as it should be, and how it should be.
fn outdated(view: &Snapshot, leader: RaftId, unreachable: &[RaftId]) -> Vec<(NodeId, bool)> {
    view.nodes()
        .filter_map(|node| {
            let is_unreachable = node.state.member.is_some() && !is_reachable(node, leader, unreachable);
            (is_unreachable != node.state.is_unreachable).then(|| (node.id.clone(), is_unreachable))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use model::{Meta, NodeSpec, NodeState, NodeStatus, RaftMember};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const LEADER: RaftId = RaftId(1);
    const OTHER: RaftId = RaftId(2);

    fn node(member: Option<RaftId>, state: NodeHealth) -> Node {
        let addr = "10.0.0.1:2377".parse().unwrap();
        Node {
            id: NodeId::generate(&mut StdRng::seed_from_u64(1)),
            meta: Meta::default(),
            spec: NodeSpec::default(),
            state: NodeState {
                member: member.map(|raft_id| RaftMember { raft_id, addr }),
                status: NodeStatus { state, ..NodeStatus::default() },
                ..NodeState::default()
            },
        }
    }

    #[test]
    fn a_manager_is_reachable_while_it_answers_and_is_not_down() {
        let check = |node: &Node, silent: &[RaftId], expected: bool| {
            assert_eq!(is_reachable(node, LEADER, silent), expected, "{node:?} {silent:?}");
        };

        check(&node(Some(OTHER), NodeHealth::Ready), &[], true);
        check(&node(Some(OTHER), NodeHealth::Unknown), &[], true);
        check(&node(Some(OTHER), NodeHealth::Ready), &[OTHER], false);
        check(&node(Some(OTHER), NodeHealth::Down), &[], false);
        check(&node(Some(LEADER), NodeHealth::Down), &[], true);
        check(&node(None, NodeHealth::Ready), &[], false);
    }

    #[tokio::test]
    async fn only_records_that_differ_are_outdated() {
        let running = crate::testing::running_store();
        crate::seed::commit(&running.store, crate::testing::genesis(1)).await.unwrap();
        let view = running.store.view();
        let managers: Vec<&Node> = view.nodes().filter(|node| node.state.member.is_some()).map(AsRef::as_ref).collect();
        let [manager] = managers[..] else { panic!("the beginning has one manager") };
        let raft_id = manager.state.member.as_ref().unwrap().raft_id;

        assert_eq!(outdated(&view, LEADER, &[]), []);
        assert_eq!(outdated(&view, LEADER, &[raft_id]), [(manager.id.clone(), true)]);
        assert_eq!(outdated(&view, raft_id, &[raft_id]), []);
    }
}
