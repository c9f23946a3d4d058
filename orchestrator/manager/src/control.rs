//! Executes what operators ask of the swarm. The leader's; followers forward to it.
//!
//! Every rule is checked inside the same `store.update` that writes, so that two operators at once cannot slip
//! past it together. The rules themselves are pure and live in [`rules`].
//!
//! Reads the swarm, nodes, services, members of raft. Writes the swarm's settings, join secrets and unlock key, the
//! beginning of a change of its root, specs of nodes, removed nodes, services (see [`services`]). Never changes raft's members: the role manager does, when it sees
//! the spec.

pub(crate) mod rules;
mod service_rules;
mod services;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use ca::UnlockKey;
use model::{
    Caller, ControlRequest, ControlResponse, NodeId, NodeSpec, Rotation, ServiceId, SwarmError, SwarmSpec, Version,
};
use rand::rngs::StdRng;
use store::{Clock, Store, Transaction};
use tracing::info;

use crate::certificates::policy::certificate_life;
use crate::root::{changed, given_root};
use crate::words::unavailable;
use rules::{
    Members, check_node_removal, check_node_update, check_swarm_update, next_unlock_key, no_such_node, with_removed,
};
use services::ServiceUpdate;

/// Executes changes on the leader.
#[derive(Clone)]
pub(crate) struct Control {
    store: Store,
    members: Arc<dyn Members>,
    clock: Clock,
    rng: Arc<Mutex<StdRng>>,
}

impl Control {
    /// A control over a store; `rng` draws new join secrets and ids.
    pub(crate) fn new(store: Store, members: Arc<dyn Members>, clock: Clock, rng: StdRng) -> Self {
        Self { store, members, clock, rng: Arc::new(Mutex::new(rng)) }
    }

    /// Draws the id of a service that is to be created.
    pub(crate) fn draw_service_id(&self) -> ServiceId {
        ServiceId::generate(&mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Executes one request; on return it is committed and applied here.
    pub(crate) async fn execute(
        &self,
        caller: &Caller,
        request: ControlRequest,
    ) -> Result<ControlResponse, SwarmError> {
        let summary = summary(&request);
        match request {
            ControlRequest::UpdateSwarm { version, spec, rotation } => {
                self.update_swarm(version, spec, rotation).await?;
            }
            ControlRequest::UpdateNode { id, version, spec } => self.update_node(id, version, spec).await?,
            ControlRequest::RemoveNode { id, force } => self.remove_node(id, force).await?,
            ControlRequest::CreateService { id, spec, registry_auth } => {
                self.create_service(id, *spec, registry_auth).await?;
            }
            ControlRequest::UpdateService { id, version, spec, rollback, registry_auth } => {
                self.update_service(id, ServiceUpdate { version, spec: *spec, rollback, registry_auth }).await?;
            }
            ControlRequest::RemoveService { id } => self.remove_service(id).await?,
        }
        info!(?caller, request = %summary, "swarm changed by an operator");
        Ok(ControlResponse::Done)
    }

    async fn update_swarm(&self, version: Version, spec: SwarmSpec, rotation: Rotation) -> Result<(), SwarmError> {
        let (worker, manager, unlock_key) = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            let unlock_key = UnlockKey::generate(&mut *rng).to_secret();
            (ca::generate_join_secret(&mut *rng), ca::generate_join_secret(&mut *rng), unlock_key)
        };
        let now = self.clock.now();
        let given = given_root(&spec.ca_config, now)?;
        let is_another_root = self
            .store
            .update(move |tx| {
                let view = tx.view();
                let current = view.cluster().ok_or_else(|| unavailable("the swarm is being formed"))?;
                check_swarm_update(&current.spec, &spec)?;
                let is_forced = current.spec.ca_config.force_rotate != spec.ca_config.force_rotate;
                let root_ca = changed(&current.state.root_ca, given.as_ref(), is_forced, now)?;
                let (name, is_another_root) =
                    (current.spec.name.clone(), root_ca.trusted() != current.state.root_ca.trusted());
                let unlock_key = next_unlock_key(current.state.unlock_key.clone(), &spec, rotation, unlock_key);
                tx.update_cluster(Some(version), |cluster| {
                    cluster.spec = SwarmSpec { name, ca_config: spec.ca_config.without_root(), ..spec };
                    cluster.state.root_ca = root_ca;
                    if rotation.worker_token {
                        cluster.state.join_secrets.worker = worker;
                    }
                    if rotation.manager_token {
                        cluster.state.join_secrets.manager = manager;
                    }
                    cluster.state.unlock_key = unlock_key;
                })?;
                Ok(is_another_root)
            })
            .await?;
        if is_another_root {
            info!("another root signs from now on; the nodes change over to it");
        }
        Ok(())
    }

    async fn update_node(&self, id: NodeId, version: Version, spec: NodeSpec) -> Result<(), SwarmError> {
        let members = Arc::clone(&self.members);
        self.store
            .update(move |tx| {
                let view = tx.view();
                let node = view.node(&id).ok_or_else(|| no_such_node(&id))?;
                check_node_update(node, &spec, view.nodes().map(AsRef::as_ref), members.as_ref())?;
                tx.update_node(&id, Some(version), |node| node.spec = spec)
            })
            .await
    }

    async fn remove_node(&self, id: NodeId, force: bool) -> Result<(), SwarmError> {
        let (members, now) = (Arc::clone(&self.members), self.clock.now());
        self.store
            .update(move |tx: &mut Transaction| {
                let view = tx.view();
                let node = view.node(&id).ok_or_else(|| no_such_node(&id))?;
                check_node_removal(node, force, members.as_ref())?;
                tx.update_cluster(None, |cluster| {
                    let life = certificate_life(cluster);
                    cluster.state.removed_nodes = with_removed(&cluster.state.removed_nodes, &id, life, now);
                })?;
                tx.remove_node(&id)
            })
            .await
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Control").finish_non_exhaustive()
    }
}

/// What a request is, for the log; no secret is in it.
fn summary(request: &ControlRequest) -> String {
    match request {
        ControlRequest::UpdateSwarm { rotation, .. } => format!("update swarm, {rotation:?}"),
        ControlRequest::UpdateNode { id, spec, .. } => {
            format!("update node {id}: {}, {:?}", spec.role.as_str(), spec.availability)
        }
        ControlRequest::RemoveNode { id, force } => format!("remove node {id}, force {force}"),
        ControlRequest::CreateService { id, spec, .. } => format!("create service {id}: {}", spec.name),
        ControlRequest::UpdateService { id, spec, rollback, .. } => {
            format!("update service {id}: {}, rollback {rollback}", spec.name)
        }
        ControlRequest::RemoveService { id } => format!("remove service {id}"),
    }
}
