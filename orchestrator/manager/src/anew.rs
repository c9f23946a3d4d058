//! Raft has begun anew with one manager: the swarm is made to say so. One entry, idempotent.
//!
//! The other managers keep their nodes, their roles and what is wanted of them, but have no place in raft any more, and
//! are down until they are in session again. Whoever comes back asks for a new place by itself, as its role allows.
//!
//! Reads nodes. Writes the record of memberships, the raft ids that never come back, and the status of former managers.
//! Never changes a role or a spec.

use model::{Node, NodeHealth, RaftMember, SwarmError};
use raft::Peer;
use store::{Store, Transaction};
use tracing::warn;

use crate::roles::remember_removed;

/// What a former manager's status says until it is back (Docker's words for a node that is not heard of).
const DOWN: &str = "heartbeat failure";

/// Makes `me` the only manager that is a member of raft, unless that is so.
pub(crate) async fn commit(store: &Store, me: &Peer) -> Result<(), SwarmError> {
    let member = RaftMember { raft_id: me.raft_id, addr: me.addr };
    let node_id = me.node_id.clone();
    let former = store
        .update(move |tx: &mut Transaction| {
            let view = tx.view();
            if view.node(&node_id).is_none_or(|node| node.state.member.as_ref() == Some(&member)) {
                return Ok(0);
            }
            let members: Vec<Node> =
                view.nodes().filter(|node| node.state.member.is_some()).map(|node| Node::clone(node)).collect();
            let removed = members.iter().filter_map(|node| node.state.member.as_ref());
            let removed: Vec<_> = removed.map(|member| member.raft_id).collect();
            tx.update_cluster(None, |cluster| remember_removed(cluster, &removed))?;
            for node in members.iter().filter(|node| node.id != node_id) {
                tx.update_node(&node.id, None, |node| {
                    node.state.former_member = node.state.member.take();
                    node.state.status.state = NodeHealth::Down;
                    DOWN.clone_into(&mut node.state.status.message);
                })?;
            }
            tx.update_node(&node_id, None, |node| node.state.member = Some(member))?;
            Ok(members.iter().filter(|node| node.id != node_id).count())
        })
        .await?;
    warn!(former, "the swarm goes on with this manager alone");
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::{RaftId, Role};

    use super::*;
    use crate::seed;
    use crate::testing::{genesis, running_store};

    fn peer_of(genesis: &crate::Genesis, number: usize, raft_id: u64) -> Peer {
        let entry = &genesis.roster[number];
        let (node_id, hostname) = (entry.node_id.clone(), entry.hostname.clone());
        Peer { raft_id: RaftId(raft_id), node_id, addr: "10.9.9.9:2377".parse().unwrap(), hostname }
    }

    #[tokio::test]
    async fn the_other_managers_lose_their_place_and_keep_all_else_and_a_second_time_changes_nothing() {
        let running = running_store();
        let mut genesis = genesis(1);
        genesis.roster[1].role = Role::Manager;
        genesis.roster[1].raft_id = Some(RaftId(77));
        seed::commit(&running.store, genesis.clone()).await.unwrap();
        let before = running.store.view();
        let me = peer_of(&genesis, 0, 42);

        commit(&running.store, &me).await.unwrap();
        let after = running.store.view();
        commit(&running.store, &me).await.unwrap();

        assert_eq!(running.store.view().index(), after.index());
        let mine = after.node(&me.node_id).unwrap();
        assert_eq!(mine.state.member, Some(RaftMember { raft_id: me.raft_id, addr: me.addr }));
        let other = after.node(&genesis.roster[1].node_id).unwrap();
        let former = &before.node(&other.id).unwrap().state.member;
        assert_eq!((&other.state.member, &other.state.former_member), (&None, former));
        assert_eq!((other.spec.role, other.state.role), (Role::Manager, Role::Manager));
        assert_eq!(other.state.status.state, NodeHealth::Down);
        let removed = &after.cluster().unwrap().state.removed_raft_ids;
        assert_eq!(removed.len(), 2);
        assert!(removed.contains(&RaftId(77)) && removed.contains(&genesis.roster[0].raft_id.unwrap()));
        let (now, then) = (&after.cluster().unwrap().state, &before.cluster().unwrap().state);
        assert_eq!((&now.root_ca, &now.join_secrets), (&then.root_ca, &then.join_secrets));
        assert_eq!(now.gossip_keys, then.gossip_keys);
    }
}
