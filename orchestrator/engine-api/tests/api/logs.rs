//! What services and tasks have written, over HTTP.

use std::sync::Arc;

use axum::body::Body;
use http_body_util::BodyExt;
use model::{Caller, LogStream, TaskId, TaskState};
use serde_json::json;

use crate::memory::{MemoryNode, id};
use crate::served::{PATIENCE, Served, open, request};

/// A service `web` with a task on the second node, which wrote a line to each stream, and `shell`, which has a terminal.
async fn start() -> (Served, Arc<MemoryNode>, TaskId) {
    let node = MemoryNode::manager();
    let served = Served::start(Arc::clone(&node) as Arc<dyn node::SwarmNode>).await;
    for (name, tty) in [("web", false), ("shell", true)] {
        let spec = json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "busybox:1", "TTY": tty}}});
        assert_eq!(served.post("/services/create", &spec).await.status.as_u16(), 201);
    }
    let task = node.add_task("web", 1, 2, TaskState::Running).await;
    node.write(&task, 1, LogStream::Stdout, "out\n");
    node.write(&task, 2, LogStream::Stderr, "err\n");
    let shell = node.add_task("shell", 2, 2, TaskState::Running).await;
    node.write(&shell, 3, LogStream::Stdout, "$ \r\n");
    (served, node, task)
}

#[tokio::test]
async fn lines_come_in_frames_by_stream_or_raw_from_a_terminal() {
    let (served, _, task) = start().await;
    let check = async |path: &str, content_type: &str, expected: &str| {
        let answer = served.send("GET", path).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, expected), "{path}");
        assert_eq!(answer.headers["content-type"], format!("application/vnd.docker.{content_type}-stream"), "{path}");
    };
    let (out, err) = ("\x01\0\0\0\0\0\0\x04out\n", "\x02\0\0\0\0\0\0\x04err\n");

    check("/services/web/logs?stdout=1&stderr=1", "multiplexed", &format!("{out}{err}")).await;
    check("/v1.41/services/web/logs?stdout=1", "raw", out).await;
    check(&format!("/tasks/{task}/logs?stderr=1"), "multiplexed", err).await;
    check("/services/web/logs?stdout=1&stderr=1&tail=1", "multiplexed", err).await;
    check("/services/web/logs?stdout=1&stderr=1&since=1.5", "multiplexed", err).await;
    check("/services/shell/logs?stdout=1&stderr=1", "raw", "$ \r\n").await;
    check("/services/shell/logs?stdout=1&timestamps=1", "raw", "1970-01-01T00:00:03.000000000Z $ \r\n").await;
}

#[tokio::test]
async fn details_say_whose_a_line_is() {
    let (served, node, _) = start().await;
    let service = node.service("shell").id.clone();
    let task = node.store().view().tasks_of_service(&service).next().unwrap().id.clone();

    let answer = served.send("GET", "/services/shell/logs?stdout=1&details=1").await;

    let expected = format!(
        "com.docker.swarm.node.id={},com.docker.swarm.service.id={service},com.docker.swarm.task.id={task} $ \r\n",
        id(2)
    );
    assert_eq!(answer.body, expected);
}

#[tokio::test]
async fn what_was_missed_is_told_at_the_end() {
    let (served, node, _) = start().await;
    node.miss("warning: incomplete log stream");
    let words = "Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream\n";

    let framed = served.send("GET", "/services/web/logs?stdout=1").await;
    let raw = served.send("GET", "/services/shell/logs?stdout=1").await;

    let length = char::from(u8::try_from(words.len()).unwrap());
    assert_eq!(framed.body, format!("\x01\0\0\0\0\0\0\x04out\n\x03\0\0\0\0\0\0{length}{words}"));
    assert_eq!(raw.body, format!("$ \r\n{words}"));
}

#[tokio::test]
async fn what_is_followed_has_a_head_at_once_and_ends_with_what_is_followed() {
    let (served, node, task) = start().await;

    let followed = request("GET", "/services/web/logs?stdout=1&follow=1&tail=0", Body::empty());
    let (answer, _connection) = open(&served.socket(), followed).await;
    assert_eq!(answer.status().as_u16(), 200);
    node.write(&task, 4, LogStream::Stdout, "new\n");
    let mut body = answer.into_body();
    let first = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "\x01\0\0\0\0\0\0\x04new\n");
    node.end_logs();

    assert_eq!(tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes(), "");
    assert_eq!(node.callers(), [Caller::Local { node: id(1) }]);
}

#[tokio::test]
async fn refusals_have_dockers_words() {
    let (served, node, _) = start().await;
    let check = async |path: &str, status: u16, words: &str| {
        assert_eq!(served.send("GET", path).await.refusal(), (status, words.to_owned()), "{path}");
    };

    check("/services/web/logs", 400, "Bad parameters: you must choose at least one stream").await;
    check("/tasks/x/logs?follow=1", 400, "Bad parameters: you must choose at least one stream").await;
    check("/services/web/logs?stdout=1&tail=-5", 400, "negative tail values not supported").await;
    check("/services/nobody/logs?stdout=1", 404, "service nobody not found").await;
    check("/tasks/nobody/logs?stdout=1", 404, "task nobody not found").await;
    node.lose_the_leader();
    assert_eq!(served.send("GET", "/services/web/logs?stdout=1").await.status.as_u16(), 503);
}
