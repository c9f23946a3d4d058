//! Changes of services: what is marked is compared with what was known of it. Pure.
//!
//! A service that is removed is gone, though the store keeps it for its tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::{Actor, Event, EventKind, EventScope};
use jiff::Timestamp;
use model::{Service, ServiceId};
use store::{Snapshot, WorkEvent};

/// The services that were told of, and those that may have changed since.
#[derive(Debug)]
pub(super) struct KnownServices {
    known: BTreeMap<ServiceId, Arc<Service>>,
    marked: BTreeSet<ServiceId>,
    are_all_marked: bool,
}

impl KnownServices {
    /// Those of a view: nobody is told of them.
    pub(super) fn new(view: &Snapshot) -> Self {
        Self { known: living(view).collect(), marked: BTreeSet::new(), are_all_marked: false }
    }

    /// Marks a service that may have changed.
    pub(super) fn mark(&mut self, event: &WorkEvent) {
        match event {
            WorkEvent::ServiceChanged(id) => self.marked.insert(id.clone()),
            WorkEvent::ServiceRemoved(service) => self.marked.insert(service.id.clone()),
            WorkEvent::TaskChanged { .. } | WorkEvent::TaskRemoved(_) => false,
        };
    }

    /// Marks all of them.
    pub(super) fn mark_all(&mut self) {
        self.are_all_marked = true;
    }

    /// The events of those that are marked, in the order of ids; then none is.
    pub(super) fn changes(&mut self, view: &Snapshot, time: Timestamp) -> Vec<Event> {
        let mut marked = std::mem::take(&mut self.marked);
        if std::mem::take(&mut self.are_all_marked) {
            marked.extend(self.known.keys().cloned());
            marked.extend(living(view).map(|(id, _)| id));
        }
        marked.iter().filter_map(|id| self.change(id, view, time)).collect()
    }

    fn change(&mut self, id: &ServiceId, view: &Snapshot, time: Timestamp) -> Option<Event> {
        let now = view.service(id).filter(|service| !service.state.is_removed);
        let before = match now {
            Some(now) => self.known.insert(id.clone(), Arc::clone(now)),
            None => self.known.remove(id),
        };
        match (before, now) {
            (None, None) => None,
            (None, Some(now)) => Some(event("create", now, BTreeMap::new(), now.meta.created_at)),
            (Some(before), Some(now)) if before.meta.version == now.meta.version => None,
            (Some(before), Some(now)) => Some(event("update", now, differences(&before, now), now.meta.updated_at)),
            (Some(before), None) => Some(event("remove", &before, BTreeMap::new(), time)),
        }
    }
}

fn living(view: &Snapshot) -> impl Iterator<Item = (ServiceId, Arc<Service>)> {
    let living = view.services().filter(|service| !service.state.is_removed);
    living.map(|service| (service.id.clone(), Arc::clone(service)))
}

fn event(action: &str, service: &Service, mut attributes: BTreeMap<String, String>, time: Timestamp) -> Event {
    attributes.insert("name".to_owned(), service.spec.name.clone());
    Event {
        kind: EventKind::Service,
        action: action.to_owned(),
        actor: Actor { id: service.id.to_string(), attributes },
        scope: EventScope::Swarm,
        time,
    }
}

/// What Docker tells of an update: image, replicas and where the update stands, old and new, where they differ. An update
/// that has just begun has no old state.
fn differences(old: &Service, new: &Service) -> BTreeMap<String, String> {
    let pairs = [
        ("image", image(old), image(new)),
        ("replicas", replicas(old), replicas(new)),
        ("updatestate", update_state(old), update_state(new)),
    ];
    pairs
        .into_iter()
        .filter(|(_, old, new)| new.is_some() && old != new)
        .flat_map(|(what, old, new)| [(format!("{what}.old"), old), (format!("{what}.new"), new)])
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

fn image(service: &Service) -> Option<String> {
    service.spec.task_template.container_spec.as_ref().map(|container| container.image.clone())
}

fn replicas(service: &Service) -> Option<String> {
    service.spec.replicas().map(|number| number.to_string())
}

fn update_state(service: &Service) -> Option<String> {
    service.state.update_status.as_ref().map(|status| status.state.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use model::{Meta, ReplicatedMode, ServiceSpec, ServiceState, UpdateState, UpdateStatus};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use store::{Clock, MemoryProposer, Store};
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// A store that runs for as long as this is held, and what was told of its services.
    struct Told {
        store: Store,
        known: KnownServices,
        _tasks: JoinSet<()>,
    }

    impl Told {
        fn new() -> Self {
            let store = Store::new(Clock::system());
            let (running, proposer) = (store.clone(), Arc::new(MemoryProposer::new(&store)));
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { running.run(proposer, CancellationToken::new()).await });
            Self { known: KnownServices::new(&store.view()), store, _tasks: tasks }
        }

        async fn change(&mut self, change: fn(&mut Service)) -> Vec<(String, Vec<(String, String)>)> {
            self.store.update(move |tx| tx.update_service(&id(), None, change)).await.unwrap();
            self.known.mark(&WorkEvent::ServiceChanged(id()));
            self.told()
        }

        fn told(&mut self) -> Vec<(String, Vec<(String, String)>)> {
            let events = self.known.changes(&self.store.view(), Timestamp::UNIX_EPOCH);
            events.into_iter().map(|event| (event.action, event.actor.attributes.into_iter().collect())).collect()
        }
    }

    fn id() -> ServiceId {
        ServiceId::generate(&mut StdRng::seed_from_u64(1))
    }

    fn line(action: &str, attributes: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        (action.to_owned(), attributes.collect())
    }

    #[tokio::test]
    async fn services_come_change_and_go_with_dockers_attributes() {
        let mut told = Told::new();
        let mut spec = ServiceSpec { name: "web".to_owned(), ..ServiceSpec::default() };
        spec.task_template.container_spec.get_or_insert_default().image = "a:1".to_owned();
        spec.mode.replicated = Some(ReplicatedMode { replicas: Some(1) });
        let service = Service { id: id(), meta: Meta::default(), spec, state: ServiceState::default() };

        told.store.update(move |tx| tx.create_service(service)).await.unwrap();
        assert_eq!(told.told(), [], "nothing is marked");
        told.known.mark_all();
        assert_eq!(told.told(), [line("create", &[("name", "web")])]);
        told.known.mark_all();
        assert_eq!(told.told(), [], "nothing has changed");

        let scaled = told.change(|service| {
            service.spec.task_template.container_spec.get_or_insert_default().image = "a:2".to_owned();
            service.spec.mode.replicated = Some(ReplicatedMode { replicas: Some(3) });
        });
        let attributes =
            [("image.new", "a:2"), ("image.old", "a:1"), ("name", "web"), ("replicas.new", "3"), ("replicas.old", "1")];
        assert_eq!(scaled.await, [line("update", &attributes)]);

        let begun = told.change(|service| {
            service.state.update_status = Some(UpdateStatus {
                state: UpdateState::Updating,
                started_at: Timestamp::UNIX_EPOCH,
                completed_at: None,
                message: String::new(),
            });
        });
        assert_eq!(begun.await, [line("update", &[("name", "web"), ("updatestate.new", "updating")])]);
        let ended = told.change(|service| {
            service.state.update_status.as_mut().unwrap().state = UpdateState::Completed;
        });
        let attributes = [("name", "web"), ("updatestate.new", "completed"), ("updatestate.old", "updating")];
        assert_eq!(ended.await, [line("update", &attributes)]);

        let removed = told.change(|service| service.state.is_removed = true);
        assert_eq!(removed.await, [line("remove", &[("name", "web")])]);
        let gone = told.store.view().service(&id()).cloned().unwrap();
        told.store.update(|tx| tx.remove_service(&id())).await.unwrap();
        told.known.mark(&WorkEvent::ServiceRemoved(gone));
        assert_eq!(told.told(), [], "it was told already");
    }
}
