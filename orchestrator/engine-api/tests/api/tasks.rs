//! Tasks over HTTP: listed by what they belong to and by where they stand, and looked at.

use std::sync::Arc;

use model::TaskState;
use serde_json::{Value, json};

use crate::memory::{MemoryNode, id};
use crate::served::Served;

/// Two services with tasks: `web` runs on the first two nodes and failed on the third, `api` runs on the first.
async fn start() -> (Served, Arc<MemoryNode>) {
    let node = MemoryNode::manager();
    let served = Served::start(Arc::clone(&node) as Arc<dyn node::SwarmNode>).await;
    for name in ["web", "api"] {
        let spec = json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "busybox:1"}}});
        assert_eq!(served.post("/services/create", &spec).await.status.as_u16(), 201);
    }
    for (service, slot, on, state) in [
        ("web", 1, 1, TaskState::Running),
        ("web", 2, 2, TaskState::Running),
        ("web", 3, 3, TaskState::Failed),
        ("api", 4, 1, TaskState::Starting),
    ] {
        node.add_task(service, slot, on, state).await;
    }
    (served, node)
}

async fn slots(served: &Served, wanted: &Value) -> Vec<u64> {
    let text = wanted.to_string();
    let text = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
    let answer = served.send("GET", &format!("/tasks?filters={text}")).await;
    assert_eq!(answer.status.as_u16(), 200, "{wanted}: {}", answer.body);
    let mut slots: Vec<_> =
        answer.json().as_array().unwrap().iter().map(|task| task["Slot"].as_u64().unwrap()).collect();
    slots.sort_unstable();
    slots
}

#[tokio::test]
async fn tasks_are_listed_by_filter() {
    let (served, node) = start().await;
    let web = node.service("web").id.to_string();
    let first = node.store().view().tasks().find(|task| task.state.slot == 1).unwrap().id.to_string();
    let check = async |wanted: Value, expected: &[u64]| assert_eq!(slots(&served, &wanted).await, expected, "{wanted}");

    check(json!({}), &[1, 2, 3, 4]).await;
    check(json!({"service": ["web"]}), &[1, 2, 3]).await;
    check(json!({"service": {web[..10]: true}}), &[1, 2, 3]).await;
    check(json!({"service": ["web", "api"]}), &[1, 2, 3, 4]).await;
    check(json!({"node": ["node-1"]}), &[1, 4]).await;
    check(json!({"node": [id(1).as_str()], "service": ["api"]}), &[4]).await;
    check(json!({"desired-state": ["running"]}), &[1, 2, 4]).await;
    check(json!({"desired-state": ["Shutdown"]}), &[3]).await;
    check(json!({"id": [first[..9]]}), &[1]).await;
    check(json!({"name": ["web.2"]}), &[2]).await;
    check(json!({"label": ["a"]}), &[]).await;
    check(json!({"runtime": ["container"]}), &[1, 2, 3, 4]).await;
    check(json!({"runtime": ["plugin"]}), &[]).await;
}

#[tokio::test]
async fn an_update_leaves_the_tasks_behind_that_it_must_replace() {
    let (served, node) = start().await;
    let current = json!({"service": ["web"], "_up-to-date": ["true"], "desired-state": ["running"]});
    let update = async |image: &str, replicas: u64| {
        let version = node.service("web").meta.version.0;
        let spec = json!({
            "Name": "web",
            "TaskTemplate": {"ContainerSpec": {"Image": image}},
            "Mode": {"Replicated": {"Replicas": replicas}},
        });
        let answer = served.post(&format!("/services/web/update?version={version}"), &spec).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    };

    assert_eq!(slots(&served, &current).await, [1, 2]);
    update("busybox:1", 5).await;
    assert_eq!(slots(&served, &current).await, [1, 2], "more of the same");
    update("busybox:2", 5).await;
    assert_eq!(slots(&served, &current).await, [0_u64; 0]);
    node.add_task("web", 5, 4, TaskState::Running).await;
    assert_eq!(slots(&served, &current).await, [5]);
}

#[tokio::test]
async fn a_task_is_looked_up_by_id_name_and_the_beginning_of_its_id() {
    let (served, node) = start().await;
    let task = node.store().view().tasks().find(|task| task.state.slot == 2).cloned().unwrap();
    let (task_id, name) = (task.id.to_string(), task.container_name());
    let found = async |input: &str| served.send("GET", &format!("/tasks/{input}")).await;

    for input in [&task_id, &name, &task_id[..12]] {
        let shown = found(input).await.json();
        assert_eq!((&shown["ID"], &shown["Slot"]), (&json!(task_id), &json!(2)), "{input}");
        let container = json!({"ContainerID": "c0ffee", "PID": 7, "ExitCode": 0});
        assert_eq!(shown["Status"]["ContainerStatus"], container);
    }
    assert_eq!(found("nothing").await.refusal(), (404, "task nothing not found".to_owned()));
    assert_eq!(found("web.9.x").await.refusal().0, 404);
}

#[tokio::test]
async fn what_a_filter_names_must_be_there() {
    let (served, _) = start().await;
    let check = async |wanted: Value, status: u16, message: &str| {
        let text = wanted.to_string();
        let text = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
        let refusal = served.send("GET", &format!("/tasks?filters={text}")).await.refusal();
        assert_eq!(refusal, (status, message.to_owned()), "{wanted}");
    };

    check(json!({"service": ["nobody"]}), 404, "service nobody not found").await;
    check(json!({"node": ["nobody"]}), 404, "node nobody not found").await;
    check(json!({"desired-state": ["sleeping"]}), 400, "Invalid desired-state filter: 'sleeping'").await;
    check(json!({"color": ["red"]}), 400, "invalid filter 'color'").await;
}
