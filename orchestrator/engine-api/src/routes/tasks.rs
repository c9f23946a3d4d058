//! The tasks of the swarm: list, look at.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use model::{Node, NodeId, Service, ServiceId, Task, TaskState};
use node::SwarmRead;

use crate::api::Api;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::lookup::{find_node, find_service, find_task};
use crate::path::Named;
use crate::query::Query;
use crate::respond::json;
use crate::views::task::TaskDocument;

/// The filters of a list of tasks. `_up-to-date` is how the CLI follows an update; no user types it.
const FILTERS: &[&str] = &["_up-to-date", "desired-state", "id", "label", "name", "node", "runtime", "service"];

/// `GET /tasks`
pub(super) async fn list(State(api): State<Api>, query: Query) -> Result<Response, ApiError> {
    let manager = api.node.manager()?;
    let filters = Filters::read(&query, FILTERS)?;
    let read = manager.read().await?;
    let wanted = Wanted::new(&filters, &read)?;
    let documents: Vec<_> = wanted.tasks().map(TaskDocument::new).collect();
    Ok(json(StatusCode::OK, &documents))
}

/// `GET /tasks/{id}`
pub(super) async fn inspect(State(api): State<Api>, Named(id): Named) -> Result<Response, ApiError> {
    let read = api.node.manager()?.read().await?;
    Ok(json(StatusCode::OK, &TaskDocument::new(find_task(&read, &id)?)))
}

/// Which tasks are asked for: the filters, with what they name looked up.
struct Wanted<'r> {
    filters: &'r Filters,
    read: &'r SwarmRead,
    services: Option<BTreeSet<ServiceId>>,
    nodes: Option<BTreeSet<NodeId>>,
    states: Option<BTreeSet<TaskState>>,
    is_up_to_date: bool,
}

impl<'r> Wanted<'r> {
    fn new(filters: &'r Filters, read: &'r SwarmRead) -> Result<Self, ApiError> {
        let service = |input: &str| Ok::<_, ApiError>(find_service(read, input)?.id.clone());
        let node = |input: &str| Ok::<_, ApiError>(find_node(read, input)?.id.clone());
        let state = |name: &str| {
            let state = TaskState::from_name(&name.to_lowercase());
            state.ok_or_else(|| ApiError::invalid(format!("Invalid desired-state filter: '{name}'")))
        };
        Ok(Self {
            filters,
            read,
            services: found(filters, "service", service)?,
            nodes: found(filters, "node", node)?,
            states: found(filters, "desired-state", state)?,
            is_up_to_date: filters.values("_up-to-date").next().is_some(),
        })
    }

    /// The tasks, by the index that leaves the fewest to look at.
    fn tasks(&self) -> impl Iterator<Item = &'r Task> {
        let snapshot = &self.read.snapshot;
        let tasks: Box<dyn Iterator<Item = _>> = match (&self.services, &self.nodes) {
            (Some(services), _) => Box::new(services.iter().flat_map(|id| snapshot.tasks_of_service(id))),
            (None, Some(nodes)) => Box::new(nodes.iter().flat_map(|id| snapshot.tasks_of_node(id))),
            (None, None) => Box::new(snapshot.tasks()),
        };
        tasks.map(AsRef::as_ref).filter(|task| self.is_shown(task))
    }

    fn is_shown(&self, task: &Task) -> bool {
        let (filters, state) = (self.filters, &task.state);
        self.nodes.as_ref().is_none_or(|nodes| state.node_id.as_ref().is_some_and(|node| nodes.contains(node)))
            && self.states.as_ref().is_none_or(|states| states.contains(&state.desired))
            && filters.admits_prefix("id", task.id.as_str())
            && filters.admits_prefix("name", &task.container_name())
            // A task has no labels of its own.
            && filters.values("label").next().is_none()
            && (filters.admits("runtime", "container") || filters.admits("runtime", ""))
            && (!self.is_up_to_date || self.is_of_present_spec(task))
    }

    fn is_of_present_spec(&self, task: &Task) -> bool {
        let service = self.read.snapshot.service(&task.state.service_id).filter(|service| !service.state.is_removed);
        let node = task.state.node_id.as_ref().and_then(|id| self.read.nodes.get(id));
        service.is_some_and(|service| is_up_to_date(task, service, node.map(AsRef::as_ref)))
    }
}

/// Whether a task is what its service wants now. A job's tasks are of its present iteration.
fn is_up_to_date(task: &Task, service: &Service, node: Option<&Node>) -> bool {
    task.state.job_iteration == service.job_iteration() && task.is_current(service, node)
}

/// What the values of a filter name; `None` where it is not given.
fn found<T: Ord>(
    filters: &Filters,
    key: &str,
    find: impl Fn(&str) -> Result<T, ApiError>,
) -> Result<Option<BTreeSet<T>>, ApiError> {
    let found = filters.values(key).map(find).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(if found.is_empty() { None } else { Some(found) })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::{GlobalMode, JobState, ServiceMode, ServiceSpec};

    use super::*;

    #[test]
    fn a_jobs_tasks_are_of_its_present_iteration() {
        let mode = ServiceMode { global_job: Some(GlobalMode {}), ..ServiceMode::default() };
        let spec = ServiceSpec { mode, ..ServiceSpec::default() };
        let mut job = Service::new("24ifsmvkjbyhk9cjxhvyzqw7p".parse().unwrap(), spec);
        job.state.job = Some(JobState { iteration: 0, last_execution: Timestamp::UNIX_EPOCH });
        let task = Task::of(&job, "24ifsmvkjbyhk9cjxhvyzqw7t".parse().unwrap(), 0, Timestamp::UNIX_EPOCH);
        assert!(is_up_to_date(&task, &job, None));

        job.state.job = Some(JobState { iteration: 1, last_execution: Timestamp::UNIX_EPOCH });
        job.state.spec_revision = 2;

        assert!(!is_up_to_date(&task, &job, None), "the spec is the same, but it was begun again");
    }
}
