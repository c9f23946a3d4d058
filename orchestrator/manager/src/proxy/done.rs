//! Was a write done by a try whose answer was lost? Pure: the state before and now are compared.

use model::{CaConfig, ControlRequest, RootCa};
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
        // The id was drawn for this request.
        ControlRequest::CreateService { id, .. } => now.service(id).is_some(),
        ControlRequest::UpdateService { id, version, spec, rollback, .. } => {
            let Some(service) = now.service(id) else { return false };
            let former = before.service(id).and_then(|service| service.state.previous_spec.as_ref());
            let wanted = if *rollback { former } else { Some(spec) };
            service.state.spec_version > *version && wanted.is_some_and(|wanted| service.spec == **wanted)
        }
        ControlRequest::RemoveService { id } => {
            let is_there = |view: &Snapshot| view.service(id).is_some_and(|service| !service.state.is_removed);
            is_there(before) && !is_there(now)
        }
        ControlRequest::UpdateSwarm { version, spec, rotation } => {
            let (Some(before), Some(now)) = (before.cluster(), now.cluster()) else {
                return false;
            };
            let (old, new) = (&before.state.join_secrets, &now.state.join_secrets);
            now.meta.version > *version
                && spec.ca_config.clone().without_root() == now.spec.ca_config
                && is_root_of(&spec.ca_config, &now.state.root_ca)
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

/// Whether the root that is wanted is the present one, or will be; a wish for none is fulfilled by any.
fn is_root_of(wanted: &CaConfig, root_ca: &RootCa) -> bool {
    let is_wanted = |root: &String| ca::normalize_certificate(&wanted.signing_ca_cert).as_ref() == Ok(root);
    wanted.signing_ca_cert.is_empty() || root_ca.trusted().first().is_some_and(is_wanted)
}

#[cfg(test)]
mod tests {
    use model::{
        Availability, Meta, NodeId, NodeSpec, RegistryAuth, Rotation, Secret, Service, ServiceId, ServiceSpec,
        ServiceState, Version,
    };
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use store::Store;

    use super::*;
    use crate::seed;
    use crate::testing::{RunningStore, genesis, running_store};

    async fn swarm() -> (RunningStore, NodeId) {
        let (running, genesis) = (running_store(), genesis(1));
        let worker = genesis.roster[1].node_id.clone();
        seed::commit(&running.store, genesis).await.unwrap();
        (running, worker)
    }

    fn drain(store: &Store, id: &NodeId) -> (Version, NodeSpec) {
        let node = store.view().node(id).cloned().unwrap();
        (node.meta.version, NodeSpec { availability: Availability::Drain, ..node.spec.clone() })
    }

    #[tokio::test]
    async fn a_change_of_a_node_is_known_by_its_version_and_spec() {
        let (running, id) = swarm().await;
        let (version, spec) = drain(&running.store, &id);
        let request = ControlRequest::UpdateNode { id: id.clone(), version, spec: spec.clone() };
        let before = running.store.view();

        assert!(!is_done(&request, &before, &before));
        running.store.update(move |tx| tx.update_node(&id, None, |node| node.spec = spec)).await.unwrap();

        assert!(is_done(&request, &before, &running.store.view()));
    }

    #[tokio::test]
    async fn a_removal_is_done_when_the_node_was_there_and_is_not_any_more() {
        let (running, id) = swarm().await;
        let request = ControlRequest::RemoveNode { id: id.clone(), force: false };
        let before = running.store.view();

        running.store.update(move |tx| tx.remove_node(&id)).await.unwrap();
        let after = running.store.view();

        assert!(is_done(&request, &before, &after));
        assert!(!is_done(&request, &after, &after));
    }

    #[tokio::test]
    async fn a_service_is_known_by_the_id_that_was_drawn_for_it_by_its_spec_and_by_being_gone() {
        let running = running_store();
        let id = ServiceId::generate(&mut StdRng::seed_from_u64(1));
        let spec = |name: &str| ServiceSpec { name: name.to_owned(), ..ServiceSpec::default() };
        let (first, second) = (spec("first"), spec("second"));
        let change = |change: fn(&mut Service)| {
            let id = id.clone();
            running.store.update(move |tx| tx.update_service(&id, None, change))
        };
        let done = |request: &ControlRequest, before: &Snapshot| is_done(request, before, &running.store.view());

        let empty = running.store.view();
        let create =
            ControlRequest::CreateService { id: id.clone(), spec: Box::new(first.clone()), registry_auth: None };
        assert!(!done(&create, &empty));
        let state = ServiceState { spec_revision: 1, ..ServiceState::default() };
        let service = Service { id: id.clone(), meta: Meta::default(), spec: first.clone(), state };
        running.store.update(move |tx| tx.create_service(service)).await.unwrap();
        assert!(done(&create, &empty));

        let created = running.store.view();
        let version = created.service(&id).unwrap().meta.version;
        let update = |rollback: bool, version: Version| ControlRequest::UpdateService {
            id: id.clone(),
            version,
            spec: Box::new(second.clone()),
            rollback,
            registry_auth: RegistryAuth::FromSpec,
        };
        assert!(!done(&update(false, version), &created));
        change(|service| {
            let spec = ServiceSpec { name: "second".to_owned(), ..ServiceSpec::default() };
            service.state.previous_spec = Some(Box::new(std::mem::replace(&mut service.spec, spec)));
            service.state.spec_revision += 1;
        })
        .await
        .unwrap();
        assert!(done(&update(false, version), &created));

        let updated = running.store.view();
        let version = updated.service(&id).unwrap().meta.version;
        assert!(!done(&update(true, version), &updated));
        change(|service| {
            service.spec = *service.state.previous_spec.take().unwrap();
            service.state.spec_revision += 1;
        })
        .await
        .unwrap();
        assert!(done(&update(true, version), &updated));

        let remove = ControlRequest::RemoveService { id: id.clone() };
        assert!(!done(&remove, &updated));
        change(|service| service.state.is_removed = true).await.unwrap();
        assert!(done(&remove, &updated) && !done(&remove, &running.store.view()));
    }

    #[tokio::test]
    async fn a_root_that_was_given_is_the_one_that_signs() {
        let (running, _) = swarm().await;
        let before = running.store.view();
        let cluster = before.cluster().unwrap();
        let given = ca::Authority::generate("example", cluster.meta.created_at).unwrap();
        let mut spec = cluster.spec.clone();
        given.certificate_pem().clone_into(&mut spec.ca_config.signing_ca_cert);
        let (version, rotation) = (cluster.meta.version, Rotation::default());
        let request = ControlRequest::UpdateSwarm { version, spec, rotation };
        let begin = |certificate: String| {
            let rotation =
                model::RootRotation { certificate, key: Secret::new("key"), cross_signed: "a link".to_owned() };
            running
                .store
                .update(move |tx| tx.update_cluster(None, |swarm| swarm.state.root_ca.rotation = Some(rotation)))
        };

        begin("another root".to_owned()).await.unwrap();
        assert!(!is_done(&request, &before, &running.store.view()));
        begin(given.certificate_pem().to_owned()).await.unwrap();

        assert!(is_done(&request, &before, &running.store.view()));
    }

    #[tokio::test]
    async fn a_rotation_is_done_only_when_the_secret_is_another_one() {
        let (running, _) = swarm().await;
        let before = running.store.view();
        let cluster = before.cluster().unwrap();
        let request = ControlRequest::UpdateSwarm {
            version: cluster.meta.version,
            spec: cluster.spec.clone(),
            rotation: Rotation { worker_token: true, ..Rotation::default() },
        };
        let rotate = |secrets: fn(&mut model::JoinSecrets)| {
            running.store.update(move |tx| tx.update_cluster(None, |cluster| secrets(&mut cluster.state.join_secrets)))
        };

        rotate(|secrets| secrets.manager = Secret::new("another")).await.unwrap();
        assert!(!is_done(&request, &before, &running.store.view()));
        rotate(|secrets| secrets.worker = Secret::new("another")).await.unwrap();

        assert!(is_done(&request, &before, &running.store.view()));
    }
}
