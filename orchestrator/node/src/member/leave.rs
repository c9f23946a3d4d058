//! Whether a member may leave the swarm, or its other managers; and how it leaves raft.

use std::time::Duration;

use model::{Role, SwarmError};
use rpc::MembershipClient;
use tracing::{info, warn};

use super::Member;
use crate::founding::Addresses;
use crate::managing::Standing;
use crate::{InitRequest, access, anew, local, words};

/// How long asking the swarm may take before a manager is warned about leaving.
const COUNT: Duration = Duration::from_secs(3);
/// How long a leaving manager waits to be taken out of raft; it leaves all the same.
const TAKE_OUT: Duration = Duration::from_secs(5);

impl Member {
    /// A manager leaves by force only.
    pub(super) async fn may_leave(&self, force: bool) -> Result<(), SwarmError> {
        if force || self.view.borrow().role == Role::Worker {
            return Ok(());
        }
        let standing = self.ready.borrow().clone();
        let reading = match standing {
            Some(standing) => tokio::time::timeout(COUNT, standing.access.read()).await.ok().and_then(Result::ok),
            None => None,
        };
        let counted = reading.map(|reading| {
            let managers = access::managers(&reading);
            let reachable = managers.values().filter(|manager| manager.is_reachable).count();
            (reachable, managers.len() - reachable)
        });
        Err(words::leaving_manager(counted))
    }

    /// Only a manager goes on alone.
    pub(super) async fn may_begin_anew(&self, request: &InitRequest) -> Result<Addresses, SwarmError> {
        let (role, node) = (self.view.borrow().role, self.record.node());
        anew::check(request, role, &node, &local::addresses().await?)
    }

    /// Leaves raft as well as it can: with the others' consent, so that their quorum shrinks with them.
    pub(super) async fn leave_raft(&self) {
        let Some(standing) = self.ready.borrow().clone() else {
            return;
        };
        if standing.raft.status().borrow().members.len() <= 1 {
            return;
        }
        match tokio::time::timeout(TAKE_OUT, self.ask_out(&standing)).await {
            Ok(Ok(())) => info!("left raft"),
            Ok(Err(reason)) => warn!(reason, "leaving without being taken out of raft"),
            Err(_elapsed) => warn!("leaving without being taken out of raft: nobody answered in time"),
        }
    }

    async fn ask_out(&self, standing: &Standing) -> Result<(), String> {
        let mut status = standing.raft.status();
        if status.borrow().is_leader {
            standing.raft.transfer_leadership().await.map_err(|error| error.to_string())?;
        }
        let is_other = |status: &raft::RaftStatus| !status.is_leader && status.leader.is_some();
        let leader = status.wait_for(is_other).await.map_err(|error| error.to_string())?.leader.clone();
        let leader = leader.ok_or("there is no leader")?;
        let client = MembershipClient::new(self.connector.channel(leader.addr, Some(leader.node_id)));
        client.leave().await.map_err(|status| status.message().to_owned())
    }
}
