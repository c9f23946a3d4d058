//! Services as Docker shows them, key by key.

use jiff::Timestamp;
use model::{Meta, Secret, ServiceState, TaskId, UpdateState, UpdateStatus, Version};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::*;
use TaskState::{Complete, Failed, Running, Shutdown, Starting};

fn service(spec: Value) -> Service {
    let moment = Timestamp::new(1_700_000_000, 500_000_000).unwrap();
    Service {
        id: "24ifsmvkjbyhk9cjxhvyzqw7p".parse().unwrap(),
        meta: Meta { version: Version(12), created_at: moment, updated_at: moment },
        spec: serde_json::from_value(spec).unwrap(),
        state: ServiceState { registry_auth: Some(Secret::new("hunter2")), ..ServiceState::default() },
    }
}

fn replicated() -> Value {
    json!({
        "Name": "web",
        "TaskTemplate": {"ContainerSpec": {"Image": "a:1", "Isolation": "default"}, "Runtime": "container"},
        "Mode": {"Replicated": {"Replicas": 2}},
        "EndpointSpec": {"Mode": "vip"},
    })
}

fn show(service: &Service) -> String {
    serde_json::to_string(&ServiceDocument::new(service)).unwrap()
}

#[test]
fn a_service_is_shown_as_docker_shows_it() {
    assert_eq!(
        show(&service(replicated())),
        concat!(
            r#"{"ID":"24ifsmvkjbyhk9cjxhvyzqw7p","Version":{"Index":12},"CreatedAt":"2023-11-14T22:13:20.5Z","#,
            r#""UpdatedAt":"2023-11-14T22:13:20.5Z","Spec":{"Name":"web","Labels":{},"TaskTemplate":{"#,
            r#""ContainerSpec":{"Image":"a:1","Isolation":"default"},"ForceUpdate":0,"Runtime":"container"},"#,
            r#""Mode":{"Replicated":{"Replicas":2}},"EndpointSpec":{"Mode":"vip"}},"Endpoint":{"Spec":{}}}"#,
        )
    );
}

#[test]
fn what_was_before_and_how_the_update_fares_is_shown_and_the_credentials_are_not() {
    let mut service = service(replicated());
    service.state.previous_spec = Some(Box::new(ServiceSpec { name: "web".to_owned(), ..ServiceSpec::default() }));
    service.state.previous_registry_auth = Some(Secret::new("hunter2"));
    service.state.update_status = Some(UpdateStatus {
        state: UpdateState::Completed,
        started_at: Timestamp::new(1_700_000_001, 0).unwrap(),
        completed_at: Some(Timestamp::new(1_700_000_002, 0).unwrap()),
        message: "update completed".to_owned(),
    });

    let shown = show(&service);

    let rest = concat!(
        r#""PreviousSpec":{"Name":"web","Labels":{},"TaskTemplate":{"ForceUpdate":0},"Mode":{}},"Endpoint":{"Spec":{}},"#,
        r#""UpdateStatus":{"State":"completed","StartedAt":"2023-11-14T22:13:21Z","#,
        r#""CompletedAt":"2023-11-14T22:13:22Z","Message":"update completed"}}"#,
    );
    assert!(shown.ends_with(rest), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn published_ports_are_shown_at_the_endpoint_too() {
    let port = json!({"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"});
    let mut spec = replicated();
    spec["EndpointSpec"]["Ports"] = json!([port]);

    let shown: Value = serde_json::from_str(&show(&service(spec))).unwrap();

    assert_eq!(shown["Endpoint"], json!({"Spec": {"Mode": "vip", "Ports": [port]}, "Ports": [port]}));
}

#[test]
fn a_job_shows_its_iteration_from_the_second_on() {
    let mut service = service(json!({"Mode": {"GlobalJob": {}}}));
    let mut job = |iteration: u64| {
        service.state.job = Some(JobState { iteration, last_execution: Timestamp::new(1_700_000_000, 0).unwrap() });
        serde_json::from_str::<Value>(&show(&service)).unwrap()["JobStatus"].clone()
    };

    assert_eq!(job(0), json!({"JobIteration": {}, "LastExecution": "2023-11-14T22:13:20Z"}));
    assert_eq!(job(1)["JobIteration"], json!({"Index": 1}));
}

#[test]
fn tasks_are_counted_by_mode_and_iteration() {
    let task = |observed: TaskState, desired: TaskState, job_iteration: Option<u64>| {
        let id = TaskId::generate(&mut StdRng::seed_from_u64(1));
        let mut task = Task::of(&service(replicated()), id, 1, Timestamp::UNIX_EPOCH);
        (task.state.job_iteration, task.state.desired) = (job_iteration, desired);
        task.state.status.state = observed;
        task
    };
    let check = |mode: Value, tasks: &[Task], expected: [u64; 3]| {
        let mut service = service(json!({"Mode": mode}));
        if service.spec.is_job() {
            service.state.job = Some(JobState { iteration: 1, last_execution: Timestamp::UNIX_EPOCH });
        }
        let status = ServiceStatusView::count(&service, tasks.iter());
        assert_eq!([status.running, status.desired, status.completed], expected, "{mode}");
    };

    let tasks = [task(Running, Running, None), task(Starting, Running, None), task(Failed, Shutdown, None)];
    check(json!({"Replicated": {"Replicas": 3}}), &tasks, [1, 3, 0]);
    check(json!({"Global": {}}), &tasks, [1, 2, 0]);
    let tasks = [
        task(Running, Complete, Some(1)),
        task(Complete, Complete, Some(1)),
        task(Failed, Shutdown, Some(1)),
        task(Running, Complete, Some(0)),
    ];
    check(json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}}), &tasks, [1, 2, 1]);
    check(json!({"GlobalJob": {}}), &tasks, [1, 1, 1]);
}
