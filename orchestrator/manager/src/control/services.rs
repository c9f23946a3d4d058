//! Services: what an operator may ask of them, inside the transaction that writes.
//!
//! What is wanted and what becomes of it are pure: [`created`], [`updated`] and [`rolled_back`] say what a service is
//! after a request. Tasks follow by the orchestrators, which see the service change.
//!
//! Reads services. Writes services: spec, the spec before, their number, the beginning of a rollback, a job's iteration,
//! that it is removed. Never a task.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use model::{
    JobState, RegistryAuth, Secret, Service, ServiceId, ServiceSpec, ServiceState, SwarmError, UpdateState,
    UpdateStatus, Version, validate_service_spec,
};
use store::{Snapshot, Transaction};

use super::Control;
use super::service_rules::{check_ports, check_service_update, no_previous_spec, no_such_service};

/// What an operator wants to become of a service.
#[derive(Debug)]
pub(super) struct ServiceUpdate {
    pub(super) version: Version,
    pub(super) spec: ServiceSpec,
    pub(super) rollback: bool,
    pub(super) registry_auth: RegistryAuth,
}

impl Control {
    pub(super) async fn create_service(
        &self,
        id: ServiceId,
        spec: ServiceSpec,
        registry_auth: Option<Secret>,
    ) -> Result<(), SwarmError> {
        validate_service_spec(&spec)?;
        let now = self.clock.now();
        self.store
            .update(move |tx: &mut Transaction| {
                check_ports(&id, &spec, living(&tx.view()))?;
                tx.create_service(created(id, spec, registry_auth, now))
            })
            .await
    }

    pub(super) async fn update_service(&self, id: ServiceId, update: ServiceUpdate) -> Result<(), SwarmError> {
        validate_service_spec(&update.spec)?;
        let now = self.clock.now();
        self.store
            .update(move |tx: &mut Transaction| {
                let view = tx.view();
                let service = find(&view, &id)?;
                check_service_update(&service.spec, &update.spec)?;
                let version = update.version;
                let state = if update.rollback {
                    rolled_back(service, now)?
                } else {
                    check_ports(&id, &update.spec, living(&view))?;
                    updated(service, update.spec, update.registry_auth, now)?
                };
                tx.update_service(&id, Some(version), |service| *service = state)
            })
            .await
    }

    pub(super) async fn remove_service(&self, id: ServiceId) -> Result<(), SwarmError> {
        self.store
            .update(move |tx: &mut Transaction| {
                find(&tx.view(), &id)?;
                tx.update_service(&id, None, |service| service.state.is_removed = true)
            })
            .await
    }
}

/// The services that have not been removed.
fn living(view: &Snapshot) -> impl Iterator<Item = &Service> {
    view.services().map(AsRef::as_ref).filter(|service| !service.state.is_removed)
}

fn find<'v>(view: &'v Snapshot, id: &ServiceId) -> Result<&'v Service, SwarmError> {
    let service = view.service(id).filter(|service| !service.state.is_removed);
    service.map(AsRef::as_ref).ok_or_else(|| no_such_service(id))
}

/// A new service.
fn created(id: ServiceId, spec: ServiceSpec, registry_auth: Option<Secret>, now: Timestamp) -> Service {
    let job = spec.is_job().then_some(JobState { iteration: 0, last_execution: now });
    let service = Service::new(id, spec);
    Service { state: ServiceState { registry_auth, job, ..service.state }, ..service }
}

/// A service with another spec. The one it had can be gone back to; how a former update fared is forgotten.
fn updated(service: &Service, spec: ServiceSpec, auth: RegistryAuth, now: Timestamp) -> Result<Service, SwarmError> {
    let state = &service.state;
    let registry_auth = match auth {
        RegistryAuth::Given(auth) => Some(auth),
        RegistryAuth::FromSpec => state.registry_auth.clone(),
        RegistryAuth::FromPreviousSpec if state.previous_spec.is_none() => return Err(no_previous_spec(&service.id)),
        RegistryAuth::FromPreviousSpec => state.previous_registry_auth.clone(),
    };
    let state = ServiceState {
        spec_revision: state.spec_revision + 1,
        previous_spec: Some(Box::new(service.spec.clone())),
        previous_registry_auth: state.registry_auth.clone(),
        registry_auth,
        update_status: None,
        job: begun_again(state.job.as_ref(), now),
        ..state.clone()
    };
    Ok(Service { spec, state, ..service.clone() })
}

/// A service with the spec before; the one it had takes that one's place, so that a second rollback undoes the first.
fn rolled_back(service: &Service, now: Timestamp) -> Result<Service, SwarmError> {
    let state = &service.state;
    let spec = state.previous_spec.as_deref().ok_or_else(|| no_previous_spec(&service.id))?.clone();
    let status = UpdateStatus {
        state: UpdateState::RollbackStarted,
        started_at: now,
        completed_at: None,
        message: "manually requested rollback".to_owned(),
    };
    let state = ServiceState {
        spec_revision: state.spec_revision + 1,
        previous_spec: Some(Box::new(service.spec.clone())),
        previous_registry_auth: state.registry_auth.clone(),
        registry_auth: state.previous_registry_auth.clone(),
        update_status: Some(status),
        job: begun_again(state.job.as_ref(), now),
        ..state.clone()
    };
    Ok(Service { spec, state, ..service.clone() })
}

/// Whoever changes a job begins it again.
fn begun_again(job: Option<&JobState>, now: Timestamp) -> Option<JobState> {
    job.map(|job| JobState { iteration: job.iteration + 1, last_execution: now })
}
