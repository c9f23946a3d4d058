//! A service, as `GET /services` shows it. What its images are pulled with has no view.

use std::borrow::Cow;

use model::{EndpointSpec, JobState, PortConfig, Service, ServiceSpec, Task, TaskState, UpdateStatus};
use serde::Serialize;

use super::service_defaults::with_defaults;
use super::{MetaView, time};

/// Docker's `Service`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ServiceDocument<'s> {
    #[serde(rename = "ID")]
    id: &'s str,
    #[serde(flatten)]
    meta: MetaView,
    spec: Cow<'s, ServiceSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_spec: Option<&'s ServiceSpec>,
    endpoint: EndpointView<'s>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_status: Option<UpdateStatusView<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_status: Option<ServiceStatusView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_status: Option<JobStatusView>,
}

impl<'s> ServiceDocument<'s> {
    /// Shows a service.
    pub(crate) fn new(service: &'s Service) -> Self {
        let Service { id, meta, spec, state } = service;
        Self {
            id: id.as_str(),
            meta: meta.into(),
            spec: Cow::Borrowed(spec),
            previous_spec: state.previous_spec.as_deref(),
            endpoint: EndpointView::of(spec),
            update_status: state.update_status.as_ref().map(UpdateStatusView::from),
            service_status: None,
            job_status: state.job.as_ref().map(JobStatusView::from),
        }
    }

    /// The same, with what its spec leaves to Docker's defaults written out.
    pub(crate) fn with_defaults(service: &'s Service) -> Self {
        Self { spec: Cow::Owned(with_defaults(service.spec.clone())), ..Self::new(service) }
    }

    /// The same, with the count of its tasks.
    pub(crate) fn with_status<'t>(service: &'s Service, tasks: impl Iterator<Item = &'t Task>) -> Self {
        Self { service_status: Some(ServiceStatusView::count(service, tasks)), ..Self::new(service) }
    }
}

/// How a service is reached. One that publishes nothing has nothing here, whatever its spec says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointView<'s> {
    spec: Cow<'s, EndpointSpec>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ports: &'s [PortConfig],
}

impl<'s> EndpointView<'s> {
    fn of(spec: &'s ServiceSpec) -> Self {
        match &spec.endpoint_spec {
            Some(endpoint) if !endpoint.ports.is_empty() => {
                Self { spec: Cow::Borrowed(endpoint), ports: &endpoint.ports }
            }
            Some(_) | None => Self { spec: Cow::Owned(EndpointSpec::default()), ports: &[] },
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateStatusView<'s> {
    state: &'static str,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'s str,
}

impl<'s> From<&'s UpdateStatus> for UpdateStatusView<'s> {
    fn from(status: &'s UpdateStatus) -> Self {
        Self {
            state: status.state.as_str(),
            started_at: time(status.started_at),
            completed_at: status.completed_at.map(time),
            message: &status.message,
        }
    }
}

/// How many tasks there are and should be, as `docker service ls` prints it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct ServiceStatusView {
    #[serde(rename = "RunningTasks")]
    running: u64,
    #[serde(rename = "DesiredTasks")]
    desired: u64,
    #[serde(rename = "CompletedTasks")]
    completed: u64,
}

impl ServiceStatusView {
    /// Counts as SwarmKit does: of a job, only the tasks of its present iteration; where places are nodes, the tasks that
    /// are wanted stand for the nodes.
    fn count<'t>(service: &Service, tasks: impl Iterator<Item = &'t Task>) -> Self {
        let Service { spec, state, .. } = service;
        let job = spec.mode.replicated_job.as_ref().map(|job| job.max_concurrent.unwrap_or(1));
        let mut status = Self { desired: spec.replicas().or(job).unwrap_or(0), ..Self::default() };
        let iteration = state.job.as_ref().map(|job| job.iteration);
        for task in tasks.filter(|task| iteration.is_none() || task.state.job_iteration == iteration) {
            let (observed, desired) = (task.state.status.state, task.state.desired);
            let is_wanted =
                desired == TaskState::Running || (desired == TaskState::Complete && observed != TaskState::Complete);
            status.running += u64::from(observed == TaskState::Running);
            status.completed += u64::from(iteration.is_some() && observed == TaskState::Complete);
            status.desired += u64::from(spec.is_global() && is_wanted);
        }
        status
    }
}

/// Docker's number of an iteration: absent at 0, as Docker's versions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IterationView {
    #[serde(skip_serializing_if = "is_zero")]
    index: u64,
}

impl From<u64> for IterationView {
    fn from(index: u64) -> Self {
        Self { index }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct JobStatusView {
    job_iteration: IterationView,
    last_execution: String,
}

impl From<&JobState> for JobStatusView {
    fn from(job: &JobState) -> Self {
        Self { job_iteration: job.iteration.into(), last_execution: time(job.last_execution) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
