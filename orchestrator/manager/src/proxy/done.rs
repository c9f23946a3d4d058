//! Was a write done by a try whose answer was lost? Pure: the state before and now are compared.

use model::ControlRequest;
use store::Snapshot;

/// Whether the state shows that the request was done since `before` was taken.
///
/// A version that a client saw is good for one write only: where the version has moved on and what is wanted
/// stands, the write was this one, or another that wanted the same.
pub(super) fn is_done(request: &ControlRequest, before: &Snapshot, now: &Snapshot) -> bool {
    match request {
        ControlRequest::UpdateNode { id, version, spec } => {
            now.node(id).is_some_and(|node| node.meta.version > *version && node.spec == *spec)
        }
        ControlRequest::RemoveNode { id, .. } => before.node(id).is_some() && now.node(id).is_none(),
        ControlRequest::UpdateSwarm { version, spec, rotation } => {
            let (Some(before), Some(now)) = (before.cluster(), now.cluster()) else {
                return false;
            };
            let (old, new) = (&before.state.join_secrets, &now.state.join_secrets);
            now.meta.version > *version
                && spec.ca_config == now.spec.ca_config
                && spec.labels == now.spec.labels
                && spec.orchestration == now.spec.orchestration
                && spec.raft == now.spec.raft
                && spec.dispatcher == now.spec.dispatcher
                && spec.task_defaults == now.spec.task_defaults
                && (!rotation.worker_token || old.worker != new.worker)
                && (!rotation.manager_token || old.manager != new.manager)
        }
    }
}
