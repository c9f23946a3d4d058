//! Services: by id and by name.
//!
//! A service that is removed keeps its id until its last task is gone; its name is free at once.

use std::sync::Arc;

use imbl::OrdMap;
use model::{Meta, Service, ServiceId, SwarmError, Version};

use crate::table::{Table, Whole};
use crate::{Event, Snapshot, Transaction, WorkEvent};

/// The services and their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceTable {
    services: OrdMap<ServiceId, Arc<Service>>,
    by_name: OrdMap<String, ServiceId>,
}

impl Table for ServiceTable {
    type Key = ServiceId;
    type Object = Service;
    type Amendment = Whole;

    const KIND: &'static str = "service";

    fn key(service: &Service) -> ServiceId {
        service.id.clone()
    }

    fn meta(service: &Service) -> &Meta {
        &service.meta
    }

    fn meta_mut(service: &mut Service) -> &mut Meta {
        &mut service.meta
    }

    fn settle(service: &mut Service, known: Option<&Arc<Service>>, version: Version) {
        service.state.spec_version = match known {
            Some(known) if known.state.spec_revision == service.state.spec_revision => known.state.spec_version,
            Some(_) | None => version,
        };
    }

    fn get(&self, id: &ServiceId) -> Option<&Arc<Service>> {
        self.services.get(id)
    }

    fn put(&mut self, service: Arc<Service>) {
        self.remove(&service.id);
        if !service.state.is_removed {
            self.by_name.insert(service.spec.name.clone(), service.id.clone());
        }
        self.services.insert(service.id.clone(), service);
    }

    fn remove(&mut self, id: &ServiceId) -> Option<Arc<Service>> {
        let service = self.services.remove(id)?;
        if self.by_name.get(&service.spec.name) == Some(id) {
            self.by_name.remove(&service.spec.name);
        }
        Some(service)
    }

    fn objects(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    fn changed(service: &Service, _known: Option<&Arc<Service>>) -> Event {
        Event::Work(WorkEvent::ServiceChanged(service.id.clone()))
    }

    fn removed(service: Arc<Service>) -> Event {
        Event::Work(WorkEvent::ServiceRemoved(service))
    }
}

/// Looking services up.
impl Snapshot {
    /// A service by its id, also one that is removed and has tasks left.
    pub fn service(&self, id: &ServiceId) -> Option<&Arc<Service>> {
        self.tables().services.services.get(id)
    }

    /// The service of a name; none that is removed.
    pub fn service_by_name(&self, name: &str) -> Option<&Arc<Service>> {
        self.service(self.tables().services.by_name.get(name)?)
    }

    /// All services, also those that are removed and have tasks left, in the order of their ids.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.tables().services.services.values()
    }
}

/// Changing services.
impl Transaction {
    /// Adds a service. Version, times and the version of its spec are set by the store.
    ///
    /// # Errors
    /// There is a service of this id, or of this name.
    pub fn create_service(&mut self, service: Service) -> Result<(), SwarmError> {
        if self.view().service_by_name(&service.spec.name).is_some() {
            return Err(SwarmError::name_conflict(&service.spec.name));
        }
        self.create::<ServiceTable>(service)
    }

    /// Changes a service, if nobody has changed its spec since the version given. A change that changes nothing is none.
    ///
    /// # Errors
    /// There is no such service, or its spec is another one by now.
    pub fn update_service(
        &mut self,
        id: &ServiceId,
        version: Option<Version>,
        change: impl FnOnce(&mut Service),
    ) -> Result<(), SwarmError> {
        let view = self.view();
        let known = view.service(id);
        let is_known =
            |service: &Arc<Service>, seen| (service.state.spec_version..=service.meta.version).contains(&seen);
        if let (Some(service), Some(seen)) = (known, version)
            && !is_known(service, seen)
        {
            return Err(SwarmError::out_of_sequence());
        }
        self.update::<ServiceTable>(id, None, change)
    }

    /// Removes a service.
    ///
    /// # Errors
    /// There is no such service.
    pub fn remove_service(&mut self, id: &ServiceId) -> Result<(), SwarmError> {
        self.remove::<ServiceTable>(id)
    }
}
