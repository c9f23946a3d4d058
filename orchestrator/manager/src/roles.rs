//! Brings the members of raft and the roles of certificates to what the specs of nodes want.
//!
//! Reads nodes, members of raft. Writes the role that certificates get, and the record of memberships; removes
//! members of raft and hands leadership over. Never adds a member: a node with a manager's certificate asks for it.

mod decide;

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Cluster, Node, NodeId, RaftId, RaftMember, Role, SwarmError};
use raft::{MembershipError, Raft};
use store::{Event, Snapshot, Store, Transaction, WatchError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::control::rules::Members;
use crate::members::RaftMembers;
use decide::{Standing, Step, next_step};

/// When a step that could not be done now is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Raft ids of removed members that are remembered; ids are 64 random bits, so the list is for the record.
const REMEMBERED_RAFT_IDS: usize = 1000;

/// The role manager of one term.
#[derive(Debug)]
pub(crate) struct RoleReconciler {
    me: NodeId,
    store: Store,
    raft: Raft,
    members: RaftMembers,
}

impl RoleReconciler {
    /// A role manager of the leader `me`.
    pub(crate) fn new(me: NodeId, store: Store, raft: Raft) -> Self {
        let members = RaftMembers(raft.clone());
        Self { me, store, raft, members }
    }

    /// Reconciles at every change of nodes or members until cancelled; fails when this member leads no more.
    pub(crate) async fn run(self, cancel: CancellationToken) -> Result<(), SwarmError> {
        let (_, mut events) = self.store.view_and_watch();
        let mut status = self.raft.status();
        let mut is_dirty = true;
        // Nodes come by the hundred in one entry: they are looked at once, when all of it was told.
        let mut has_news = false;
        let mut retry: Option<Instant> = None;
        loop {
            if std::mem::take(&mut is_dirty) {
                status.mark_unchanged();
                retry = (!self.reconcile().await?).then(|| Instant::now() + RETRY);
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                changed = status.changed() => {
                    changed.map_err(|_| SwarmError::unavailable("raft has stopped"))?;
                    is_dirty = true;
                }
                event = events.recv() => match event {
                    Ok(Event::NodeChanged(_) | Event::NodeRemoved(_)) => has_news = true,
                    Ok(Event::Committed { .. }) => is_dirty = std::mem::take(&mut has_news),
                    Ok(Event::ClusterChanged | Event::Work(_)) => {}
                    Err(WatchError::Lagged(missed)) => {
                        warn!(missed, "fell behind the store; starting from a new snapshot");
                        events = self.store.view_and_watch().1;
                        is_dirty = true;
                    }
                    Err(WatchError::Closed) => return Err(SwarmError::unavailable("the store has stopped")),
                },
                () = until(retry) => is_dirty = true,
            }
        }
    }

    /// Takes every node one step at a time as far as it goes; `false` where something must be tried again.
    async fn reconcile(&self) -> Result<bool, SwarmError> {
        let mut is_settled = true;
        let view = self.store.view();
        for node in self.nodes_and_members(&view) {
            is_settled &= self.reconcile_node(&node).await?;
        }
        Ok(is_settled)
    }

    /// All nodes, and members of raft whose node was removed.
    fn nodes_and_members(&self, view: &Snapshot) -> BTreeSet<NodeId> {
        let nodes = view.nodes().map(|node| node.id.clone());
        let members = self.members.all().into_iter().map(|(peer, _)| peer.node_id);
        nodes.chain(members).collect()
    }

    async fn reconcile_node(&self, id: &NodeId) -> Result<bool, SwarmError> {
        loop {
            self.record(id).await?;
            let view = self.store.view();
            let node = view.node(id);
            let step = next_step(self.standing(id, node.map(AsRef::as_ref)));
            match step {
                Step::Rest => return Ok(true),
                Step::Wait => return Ok(false),
                Step::Grant => self.set_role(id, Role::Manager).await?,
                Step::Withdraw => self.set_role(id, Role::Worker).await?,
                Step::HandOver => return Ok(self.hand_over().await),
                Step::RemoveMember => {
                    if !self.remove_members(id).await? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn standing(&self, id: &NodeId, node: Option<&Node>) -> Standing {
        let is_member = self.members.is_member(id);
        Standing {
            wanted: node.map(|node| node.spec.role),
            granted: node.map_or(Role::Worker, |node| node.state.role),
            is_member,
            is_leader: *id == self.me,
            would_lose_quorum: is_member && self.members.would_lose_quorum_without(id),
        }
    }

    async fn set_role(&self, id: &NodeId, role: Role) -> Result<(), SwarmError> {
        let node = id.clone();
        self.store
            .update(move |tx| match tx.view().node(&node) {
                // The spec may have changed since the step was decided; then the next look decides anew.
                Some(current) if current.spec.role == role && current.state.role != role => {
                    tx.update_node(&node, None, |node| node.state.role = role)
                }
                Some(_) | None => Ok(()),
            })
            .await?;
        info!(node = %id, role = role.as_str(), "node gets certificates of another role");
        Ok(())
    }

    async fn hand_over(&self) -> bool {
        match self.raft.transfer_leadership().await {
            Ok(successor) => {
                info!(peer = %successor.node_id, "handed leadership over before leaving raft");
                true
            }
            Err(error) => {
                warn!(%error, "failed to hand leadership over; trying again");
                false
            }
        }
    }

    async fn remove_members(&self, id: &NodeId) -> Result<bool, SwarmError> {
        for peer in self.members.of_node(id) {
            match self.raft.remove(peer.raft_id).await {
                Ok(()) => info!(node = %id, peer = %peer.raft_id, "member removed from raft"),
                Err(MembershipError::Propose(error)) => return Err(SwarmError::unavailable(error.to_string())),
                Err(error) => {
                    warn!(node = %id, %error, "failed to remove a member from raft; trying again");
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Writes a node's membership down where the record differs from raft.
    async fn record(&self, id: &NodeId) -> Result<(), SwarmError> {
        let member = self.members.voter(id);
        let view = self.store.view();
        let Some(node) = view.node(id).filter(|node| node.state.member != member) else {
            return Ok(());
        };
        let former = node.state.member.as_ref().map(|member| member.raft_id);
        record_member(&self.store, id.clone(), member, former).await
    }
}

/// Writes a membership down; a former raft id goes to the list of those that never come back.
pub(crate) async fn record_member(
    store: &Store,
    id: NodeId,
    member: Option<RaftMember>,
    former: Option<RaftId>,
) -> Result<(), SwarmError> {
    store
        .update(move |tx: &mut Transaction| {
            let is_news = tx.view().node(&id).is_some_and(|node| node.state.member != member);
            if !is_news {
                return Ok(());
            }
            if let Some(former) = former.filter(|former| member.as_ref().is_none_or(|now| now.raft_id != *former)) {
                tx.update_cluster(None, |cluster| remember_removed(cluster, &[former]))?;
            }
            tx.update_node(&id, None, |node| {
                if member.is_some() {
                    node.state.former_member = None;
                }
                node.state.member = member;
            })
        })
        .await
}

/// Puts raft ids on the list of those that never come back.
pub(crate) fn remember_removed(cluster: &mut Cluster, ids: &[RaftId]) {
    let removed = &mut cluster.state.removed_raft_ids;
    removed.extend(ids);
    let surplus = removed.len().saturating_sub(REMEMBERED_RAFT_IDS);
    removed.drain(..surplus);
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
