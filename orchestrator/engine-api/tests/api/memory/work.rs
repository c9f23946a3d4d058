//! What of the swarm in memory the managers' own rules over a store decide.

use model::ControlRequest;

/// Whether the request is for the store.
pub(super) fn is_of_services(request: &ControlRequest) -> bool {
    match request {
        ControlRequest::CreateService { .. }
        | ControlRequest::UpdateService { .. }
        | ControlRequest::RemoveService { .. } => true,
        ControlRequest::UpdateSwarm { .. } | ControlRequest::UpdateNode { .. } | ControlRequest::RemoveNode { .. } => {
            false
        }
    }
}
