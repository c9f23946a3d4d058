//! The one place where tasks are made.

use jiff::Timestamp;
use model::{Meta, Task, TaskId, TaskRecord, TaskState, TaskStatus};
use rand::rngs::StdRng;

use super::place::Place;
use super::situation::Situation;

/// Makes a task of a service's spec as it is now, for a place; `desired` is what is wanted of it first.
pub(crate) fn new_task(
    situation: &Situation,
    place: &Place,
    desired: TaskState,
    now: Timestamp,
    rng: &mut StdRng,
) -> Task {
    let service = &situation.service;
    let spec = service.spec.task_template.clone();
    Task {
        id: TaskId::generate(rng),
        meta: Meta::default(),
        state: TaskRecord {
            service_id: service.id.clone(),
            service_name: service.spec.name.clone(),
            service_labels: service.spec.labels.clone(),
            spec_revision: service.state.spec_revision,
            slot: place.slot(),
            job_iteration: situation.iteration(),
            node_id: place.node().cloned(),
            desired,
            status: TaskStatus::new(TaskState::New, "created", now),
            ports: service.spec.ports().to_vec(),
            log_driver: spec.log_driver.clone().or_else(|| situation.log_driver.clone()),
            registry_auth: service.state.registry_auth.clone(),
        },
        spec,
    }
}
