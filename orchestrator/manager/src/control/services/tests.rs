//! Services over a real store: what is committed, what is refused, and what is kept of the time before.

use std::sync::Arc;

use model::{Caller, ControlRequest, ErrorKind, GlobalMode, ReplicatedMode, ServiceMode};
use rand::SeedableRng;
use rand::rngs::StdRng;
use store::Clock;

use super::*;
use crate::testing::{NoMembers, RunningStore, running_store};

struct Swarm {
    running: RunningStore,
    control: Control,
}

fn swarm() -> Swarm {
    let running = running_store();
    let rng = StdRng::seed_from_u64(7);
    let control = Control::new(running.store.clone(), Arc::new(NoMembers), Clock::system(), rng);
    Swarm { running, control }
}

fn spec(name: &str, image: &str) -> ServiceSpec {
    let mode = ServiceMode { replicated: Some(ReplicatedMode { replicas: Some(2) }), ..ServiceMode::default() };
    let mut spec = ServiceSpec { name: name.to_owned(), mode, ..ServiceSpec::default() };
    spec.task_template.container_spec.get_or_insert_default().image = image.to_owned();
    spec
}

fn image(spec: &ServiceSpec) -> &str {
    &spec.task_template.container_spec.as_ref().unwrap().image
}

impl Swarm {
    async fn execute(&self, request: ControlRequest) -> Result<(), SwarmError> {
        let caller = Caller::Client { name: "admin".to_owned() };
        self.control.execute(&caller, request).await.map(|_| ())
    }

    async fn create(&self, spec: ServiceSpec, auth: Option<&str>) -> Result<ServiceId, SwarmError> {
        let id = self.control.draw_service_id();
        let registry_auth = auth.map(Secret::new);
        self.execute(ControlRequest::CreateService { id: id.clone(), spec: Box::new(spec), registry_auth }).await?;
        Ok(id)
    }

    async fn update(&self, id: &ServiceId, spec: ServiceSpec, auth: RegistryAuth) -> Result<(), SwarmError> {
        self.change(id, self.service(id).meta.version, spec, false, auth).await
    }

    async fn roll_back(&self, id: &ServiceId) -> Result<(), SwarmError> {
        let service = self.service(id);
        self.change(id, service.meta.version, service.spec.clone(), true, RegistryAuth::FromSpec).await
    }

    async fn change(
        &self,
        id: &ServiceId,
        version: Version,
        spec: ServiceSpec,
        rollback: bool,
        registry_auth: RegistryAuth,
    ) -> Result<(), SwarmError> {
        let spec = Box::new(spec);
        self.execute(ControlRequest::UpdateService { id: id.clone(), version, spec, rollback, registry_auth }).await
    }

    fn service(&self, id: &ServiceId) -> Arc<Service> {
        Arc::clone(self.running.store.view().service(id).unwrap())
    }
}

#[tokio::test]
async fn a_service_is_created_once_under_a_name() {
    let swarm = swarm();
    let id = swarm.create(spec("web", "a:1"), Some("auth")).await.unwrap();

    let refused = swarm.create(spec("web", "a:2"), None).await.unwrap_err();

    assert_eq!(refused.kind, ErrorKind::AlreadyExists);
    let words = "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already \
                 exists";
    assert_eq!(refused.message, words);
    let service = swarm.service(&id);
    assert_eq!((service.state.spec_revision, service.state.spec_version), (1, service.meta.version));
    assert_eq!(service.state.registry_auth, Some(Secret::new("auth")));
    assert_eq!((&service.state.previous_spec, &service.state.job), (&None, &None));
}

#[tokio::test]
async fn a_wrong_spec_is_never_written() {
    let swarm = swarm();
    let created = swarm.create(spec("a b", "a:1"), None).await.unwrap_err();
    let id = swarm.create(spec("web", "a:1"), None).await.unwrap();

    let updated = swarm.update(&id, spec("web", ""), RegistryAuth::FromSpec).await.unwrap_err();

    assert_eq!(created.kind, ErrorKind::InvalidArgument);
    assert!(updated.message.ends_with("image reference must be provided"), "{updated}");
    assert_eq!(image(&swarm.service(&id).spec), "a:1");
    assert_eq!(swarm.running.store.view().services().count(), 1);
}

#[tokio::test]
async fn an_update_keeps_the_spec_before_and_forgets_how_the_former_update_fared() {
    let swarm = swarm();
    let id = swarm.create(spec("web", "a:1"), None).await.unwrap();
    let status = UpdateStatus {
        state: UpdateState::Paused,
        started_at: Timestamp::UNIX_EPOCH,
        completed_at: None,
        message: String::new(),
    };
    let service = id.clone();
    let noted = swarm
        .running
        .store
        .update(move |tx| tx.update_service(&service, None, |service| service.state.update_status = Some(status)));
    noted.await.unwrap();

    swarm.update(&id, spec("web", "a:2"), RegistryAuth::FromSpec).await.unwrap();

    let service = swarm.service(&id);
    assert_eq!(image(&service.spec), "a:2");
    assert_eq!(service.state.previous_spec.as_deref().map(image), Some("a:1"));
    assert_eq!((service.state.spec_revision, &service.state.update_status), (2, &None));
    assert_eq!(service.state.spec_version, service.meta.version);
}

#[tokio::test]
async fn of_two_updates_that_saw_the_same_spec_one_is_refused() {
    let swarm = swarm();
    let id = swarm.create(spec("web", "a:1"), None).await.unwrap();
    let seen = swarm.service(&id).meta.version;
    swarm.change(&id, seen, spec("web", "a:2"), false, RegistryAuth::FromSpec).await.unwrap();

    let late = swarm.change(&id, seen, spec("web", "a:3"), false, RegistryAuth::FromSpec).await.unwrap_err();

    assert_eq!(late, SwarmError::out_of_sequence());
    assert_eq!(image(&swarm.service(&id).spec), "a:2");
}

#[tokio::test]
async fn a_rollback_goes_back_and_a_second_one_undoes_it() {
    let swarm = swarm();
    let id = swarm.create(spec("web", "a:1"), Some("first")).await.unwrap();
    let none = swarm.roll_back(&id).await.unwrap_err();
    let second = RegistryAuth::Given(Secret::new("second"));
    swarm.update(&id, spec("web", "a:2"), second).await.unwrap();

    swarm.roll_back(&id).await.unwrap();
    let back = swarm.service(&id);
    swarm.roll_back(&id).await.unwrap();
    let forth = swarm.service(&id);

    let words = format!("rpc error: code = FailedPrecondition desc = service {id} does not have a previous spec");
    assert_eq!((none.kind, none.message), (ErrorKind::FailedPrecondition, words));
    assert_eq!((image(&back.spec), &back.state.registry_auth), ("a:1", &Some(Secret::new("first"))));
    assert_eq!((image(&forth.spec), &forth.state.registry_auth), ("a:2", &Some(Secret::new("second"))));
    let status = back.state.update_status.as_ref().unwrap();
    assert_eq!((status.state, status.message.as_str()), (UpdateState::RollbackStarted, "manually requested rollback"));
    assert_eq!((back.state.spec_revision, forth.state.spec_revision), (3, 4));
}

#[tokio::test]
async fn images_are_pulled_with_what_comes_with_the_update_or_what_there_was() {
    let swarm = swarm();
    let id = swarm.create(spec("web", "a:1"), Some("first")).await.unwrap();
    let auth = |swarm: &Swarm| swarm.service(&id).state.registry_auth.clone();
    let none = swarm.update(&id, spec("web", "a:2"), RegistryAuth::FromPreviousSpec).await.unwrap_err();

    swarm.update(&id, spec("web", "a:2"), RegistryAuth::FromSpec).await.unwrap();
    let kept = auth(&swarm);
    swarm.update(&id, spec("web", "a:3"), RegistryAuth::Given(Secret::new("third"))).await.unwrap();
    let given = auth(&swarm);
    swarm.update(&id, spec("web", "a:4"), RegistryAuth::FromPreviousSpec).await.unwrap();

    assert_eq!(none.kind, ErrorKind::FailedPrecondition);
    assert_eq!((kept, given), (Some(Secret::new("first")), Some(Secret::new("third"))));
    assert_eq!(auth(&swarm), Some(Secret::new("first")));
}

#[tokio::test]
async fn neither_the_mode_nor_the_name_of_a_service_changes() {
    let swarm = swarm();
    let id = swarm.create(spec("web", "a:1"), None).await.unwrap();
    let global = ServiceMode { global: Some(GlobalMode {}), ..ServiceMode::default() };

    let mode = swarm.update(&id, ServiceSpec { mode: global, ..spec("web", "a:1") }, RegistryAuth::FromSpec).await;
    let name = swarm.update(&id, spec("api", "a:1"), RegistryAuth::FromSpec).await;

    assert!(mode.unwrap_err().message.ends_with("service mode change is not allowed"));
    assert!(name.unwrap_err().message.ends_with("renaming services is not supported"));
    assert_eq!(swarm.service(&id).state.spec_revision, 1);
}

#[tokio::test]
async fn a_job_begins_again_with_each_update() {
    let swarm = swarm();
    let mode = ServiceMode { global_job: Some(GlobalMode {}), ..ServiceMode::default() };
    let spec = ServiceSpec { mode, ..spec("job", "a:1") };
    let id = swarm.create(spec.clone(), None).await.unwrap();
    let first = swarm.service(&id).state.job.clone().unwrap();

    swarm.update(&id, spec, RegistryAuth::FromSpec).await.unwrap();

    let second = swarm.service(&id).state.job.clone().unwrap();
    assert_eq!((first.iteration, second.iteration), (0, 1));
    assert!(second.last_execution >= first.last_execution);
}

#[tokio::test]
async fn a_removed_service_is_there_for_its_tasks_and_for_nobody_else() {
    let swarm = swarm();
    let id = swarm.create(spec("web", "a:1"), None).await.unwrap();

    swarm.execute(ControlRequest::RemoveService { id: id.clone() }).await.unwrap();
    let again = swarm.execute(ControlRequest::RemoveService { id: id.clone() }).await.unwrap_err();
    let updated = swarm.update(&id, spec("web", "a:2"), RegistryAuth::FromSpec).await.unwrap_err();

    assert!(swarm.service(&id).state.is_removed);
    let words = format!("rpc error: code = NotFound desc = service {id} not found");
    assert_eq!((again.kind, again.message), (ErrorKind::NotFound, words));
    assert_eq!(updated.kind, ErrorKind::NotFound);
    assert!(swarm.create(spec("web", "a:3"), None).await.is_ok(), "its name is free");
}
