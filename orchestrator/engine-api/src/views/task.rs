//! A task, as `GET /tasks` shows it.

use std::collections::BTreeMap;

use model::{ContainerStatus, PortConfig, Task, TaskSpec, TaskStatus};
use serde::Serialize;

use super::service::{IterationView, is_zero};
use super::{MetaView, time};

/// Docker's `Task`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TaskDocument<'t> {
    #[serde(rename = "ID")]
    id: &'t str,
    #[serde(flatten)]
    meta: MetaView,
    labels: BTreeMap<String, String>,
    spec: TaskSpec,
    #[serde(rename = "ServiceID")]
    service_id: &'t str,
    #[serde(skip_serializing_if = "is_zero")]
    slot: u64,
    #[serde(rename = "NodeID", skip_serializing_if = "Option::is_none")]
    node_id: Option<&'t str>,
    status: StatusView<'t>,
    desired_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_iteration: Option<IterationView>,
    /// Cluster volumes: Docker writes this field always, and as nothing where there are none.
    volumes: Option<()>,
}

impl<'t> TaskDocument<'t> {
    /// Shows a task. Its spec names no runtime, as in Docker; nor has a task labels of its own.
    pub(crate) fn new(task: &'t Task) -> Self {
        let state = &task.state;
        Self {
            id: task.id.as_str(),
            meta: (&task.meta).into(),
            labels: BTreeMap::new(),
            spec: TaskSpec { runtime: String::new(), ..task.spec.clone() },
            service_id: state.service_id.as_str(),
            slot: shown_slot(state.slot, state.job_iteration.is_some()),
            node_id: state.node_id.as_ref().map(model::NodeId::as_str),
            status: (&state.status).into(),
            desired_state: state.desired.as_str(),
            job_iteration: state.job_iteration.map(IterationView::from),
            volumes: None,
        }
    }
}

/// Docker counts the slots of jobs from 0, and its client waits for them by these numbers; those of services from 1, as we
/// count all of them.
fn shown_slot(slot: u64, is_job: bool) -> u64 {
    if is_job { slot.saturating_sub(1) } else { slot }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatusView<'t> {
    timestamp: String,
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'t str,
    #[serde(skip_serializing_if = "str::is_empty")]
    err: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_status: Option<ContainerStatusView<'t>>,
    port_status: PortStatusView<'t>,
}

impl<'t> From<&'t TaskStatus> for StatusView<'t> {
    fn from(status: &'t TaskStatus) -> Self {
        Self {
            timestamp: time(status.timestamp),
            state: status.state.as_str(),
            message: &status.message,
            err: &status.err,
            container_status: status.container.as_ref().map(ContainerStatusView::from),
            port_status: PortStatusView { ports: &status.ports },
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct ContainerStatusView<'t> {
    #[serde(rename = "ContainerID")]
    container_id: &'t str,
    #[serde(rename = "PID")]
    pid: u32,
    #[serde(rename = "ExitCode")]
    exit_code: i32,
}

impl<'t> From<&'t ContainerStatus> for ContainerStatusView<'t> {
    fn from(status: &'t ContainerStatus) -> Self {
        Self { container_id: &status.container_id, pid: status.pid, exit_code: status.exit_code }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PortStatusView<'t> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ports: &'t [PortConfig],
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::{ContainerSpec, Meta, Service, ServiceSpec, TaskState, Version};

    use super::*;

    fn task() -> Task {
        let moment = Timestamp::new(1_700_000_000, 500_000_000).unwrap();
        let container = ContainerSpec { image: "a:1".to_owned(), ..ContainerSpec::default() };
        let spec = ServiceSpec {
            name: "web".to_owned(),
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            task_template: TaskSpec {
                container_spec: Some(container),
                runtime: "container".to_owned(),
                ..TaskSpec::default()
            },
            ..ServiceSpec::default()
        };
        let service = Service::new("70ilmkj2f6sp2137c753w2nmt".parse().unwrap(), spec);
        let mut task = Task::of(&service, "24ifsmvkjbyhk9cjxhvyzqw7p".parse().unwrap(), 0, moment);
        task.meta = Meta { version: Version(12), created_at: moment, updated_at: moment };
        task.state.status = TaskStatus::new(TaskState::Pending, "", moment);
        task
    }

    #[test]
    fn a_task_without_a_node_and_a_slot_is_shown_without_them() {
        assert_eq!(
            serde_json::to_string(&TaskDocument::new(&task())).unwrap(),
            concat!(
                r#"{"ID":"24ifsmvkjbyhk9cjxhvyzqw7p","Version":{"Index":12},"CreatedAt":"2023-11-14T22:13:20.5Z","#,
                r#""UpdatedAt":"2023-11-14T22:13:20.5Z","Labels":{},"#,
                r#""Spec":{"ContainerSpec":{"Image":"a:1"},"ForceUpdate":0},"ServiceID":"70ilmkj2f6sp2137c753w2nmt","#,
                r#""Status":{"Timestamp":"2023-11-14T22:13:20.5Z","State":"pending","PortStatus":{}},"#,
                r#""DesiredState":"running","Volumes":null}"#,
            )
        );
    }

    #[test]
    fn a_task_that_failed_is_shown_with_all_that_is_known_of_it() {
        let mut task = task();
        task.state.slot = 3;
        task.state.node_id = Some("00001abcdefghijklmnopqrst".parse().unwrap());
        task.state.job_iteration = Some(2);
        task.state.desired = TaskState::Shutdown;
        task.state.status = TaskStatus {
            err: "task: non-zero exit (137)".to_owned(),
            container: Some(ContainerStatus { container_id: "c0ffee".to_owned(), pid: 0, exit_code: 137 }),
            ports: vec![PortConfig {
                protocol: "tcp".to_owned(),
                target_port: 80,
                published_port: 8080,
                publish_mode: "host".to_owned(),
                ..PortConfig::default()
            }],
            ..TaskStatus::new(TaskState::Failed, "started", Timestamp::new(1_700_000_000, 0).unwrap())
        };

        let shown = serde_json::to_string(&TaskDocument::new(&task)).unwrap();

        let rest = concat!(
            r#""Slot":2,"NodeID":"00001abcdefghijklmnopqrst","Status":{"Timestamp":"2023-11-14T22:13:20Z","#,
            r#""State":"failed","Message":"started","Err":"task: non-zero exit (137)","#,
            r#""ContainerStatus":{"ContainerID":"c0ffee","PID":0,"ExitCode":137},"PortStatus":{"Ports":[{"#,
            r#""Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"host"}]}},"#,
            r#""DesiredState":"shutdown","JobIteration":{"Index":2},"Volumes":null}"#,
        );
        assert!(shown.ends_with(rest), "{shown}");
    }
}
