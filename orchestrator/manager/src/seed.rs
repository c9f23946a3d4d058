//! The first entry of a new swarm: its settings and keys, and all nodes of the roster. Idempotent.
//!
//! Reads the swarm. Writes the swarm and nodes, once. Never touches a swarm that stands.

use model::{
    Availability, Cluster, ClusterId, ClusterState, GossipKey, Meta, Node, NodeHealth, NodeSpec, NodeState, NodeStatus,
    RaftMember, Role, RosterEntry, Seed, SwarmError,
};
use store::{Store, Transaction};
use tracing::info;

/// All that the first leader commits.
#[derive(Debug, Clone)]
pub struct Genesis {
    /// The swarm's id.
    pub cluster_id: ClusterId,
    /// Its settings and keys.
    pub seed: Seed,
    /// The first key of its gossip.
    pub gossip_key: GossipKey,
    /// All its members.
    pub roster: Vec<RosterEntry>,
    /// The availability that the members start with.
    pub availability: Availability,
}

/// Commits the beginning of a swarm, unless it has begun.
pub(crate) async fn commit(store: &Store, genesis: Genesis) -> Result<(), SwarmError> {
    if store.view().cluster().is_some() {
        return Ok(());
    }
    let nodes = genesis.roster.len();
    let is_new = store.update(move |tx| write(tx, genesis)).await?;
    if is_new {
        info!(nodes, "the swarm begins");
    }
    Ok(())
}

fn write(tx: &mut Transaction, genesis: Genesis) -> Result<bool, SwarmError> {
    if tx.view().cluster().is_some() {
        return Ok(false);
    }
    for entry in &genesis.roster {
        tx.create_node(node(entry, genesis.availability))?;
    }
    tx.create_cluster(cluster(genesis))?;
    Ok(true)
}

fn node(entry: &RosterEntry, availability: Availability) -> Node {
    let member =
        entry.raft_id.filter(|_| entry.role == Role::Manager).map(|raft_id| RaftMember { raft_id, addr: entry.addr });
    Node {
        id: entry.node_id.clone(),
        meta: Meta::default(),
        spec: NodeSpec { role: entry.role, availability, ..NodeSpec::default() },
        state: NodeState {
            role: entry.role,
            description: None,
            status: NodeStatus {
                state: NodeHealth::Unknown,
                message: String::new(),
                addr: entry.addr.ip().to_string(),
            },
            member,
            is_unreachable: false,
            former_member: None,
        },
    }
}

fn cluster(genesis: Genesis) -> Cluster {
    let Genesis { cluster_id, seed, gossip_key, .. } = genesis;
    Cluster {
        id: cluster_id,
        meta: Meta::default(),
        spec: seed.spec,
        state: ClusterState {
            root_ca: seed.root_ca,
            join_secrets: seed.join_secrets,
            unlock_key: seed.unlock_key,
            gossip_keys: vec![gossip_key],
            client_ca: seed.client_ca,
            removed_nodes: Vec::new(),
            removed_raft_ids: Vec::new(),
            data_path_port: seed.data_path_port,
            default_addr_pool: seed.default_addr_pool,
            subnet_size: seed.subnet_size,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{genesis, running_store};

    #[tokio::test]
    async fn the_first_leader_begins_the_swarm_and_a_later_one_changes_nothing() {
        let running = running_store();
        let genesis = genesis(1);

        commit(&running.store, genesis.clone()).await.unwrap();
        let first = running.store.view();
        commit(&running.store, genesis.clone()).await.unwrap();

        assert_eq!(running.store.view().index(), first.index());
        assert_eq!(first.cluster().unwrap().id, genesis.cluster_id);
        let manager = first.node(&genesis.roster[0].node_id).unwrap();
        assert_eq!(manager.state.member.as_ref().map(|member| member.addr), Some(genesis.roster[0].addr));
        assert_eq!(manager.state.status.addr, "10.0.0.1");
        assert_eq!(first.node(&genesis.roster[1].node_id).unwrap().state.member, None);
    }
}
