//! What containers write, as clients read it.

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::lab::{self, Lab};
use crate::served::{PATIENCE, open, request};

/// The pieces of an answer whose pieces stand behind heads: stream and text.
async fn frames(lab: &Lab, query: &str) -> Vec<(u8, String)> {
    let answer = lab.send("GET", &format!("/containers/web/logs?{query}")).await;
    assert_eq!(answer.headers["content-type"], "application/vnd.docker.multiplexed-stream", "{}", answer.body);
    taken_apart(answer.body.as_bytes())
}

fn taken_apart(mut bytes: &[u8]) -> Vec<(u8, String)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        assert_eq!(head[1..4], [0; 3]);
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        frames.push((head[0], String::from_utf8(rest[..length].to_vec()).unwrap()));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    frames
}

fn texts(frames: &[(u8, String)]) -> Vec<&str> {
    frames.iter().map(|(_, text)| text.as_str()).collect()
}

/// A container that has ended after it wrote one line to its output, one to its errors, and a last one to its output.
async fn ended(lab: &Lab, body: &Value) {
    lab.run("web", body).await;
    lab.expect("POST", "/containers/web/wait", 200).await;
}

#[tokio::test]
async fn lines_are_told_apart_by_their_stream_and_their_time() {
    let lab = Lab::start().await;
    let mut body = lab::script("echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three");
    body["Env"] = json!(["ZONE=a b"]);
    body["Labels"] = json!({"tier": "x/y"});
    body["HostConfig"]["LogConfig"] = json!({"Type": "json-file", "Config": {"labels": "tier,none", "env": "ZONE"}});
    ended(&lab, &body).await;

    let all = frames(&lab, "stdout=1&stderr=1").await;
    assert_eq!(all, [(1, "one\n".to_owned()), (2, "two\n".to_owned()), (1, "three\n".to_owned())]);
    assert_eq!(texts(&frames(&lab, "stdout=true").await), ["one\n", "three\n"]);
    assert_eq!(texts(&frames(&lab, "stderr=1").await), ["two\n"]);
    assert_eq!(texts(&frames(&lab, "stdout=1&stderr=1&tail=2").await), ["two\n", "three\n"]);
    assert_eq!(texts(&frames(&lab, "stdout=1&stderr=1&tail=0").await), [""; 0]);
    assert_eq!(frames(&lab, "stdout=1&stderr=1&tail=all&since=0&until=0").await.len(), 3);
    let details = frames(&lab, "stdout=1&details=1&tail=1").await;
    assert_eq!(texts(&details), ["ZONE=a+b,tier=x%2Fy three\n"]);

    let stamped = frames(&lab, "stdout=1&stderr=1&timestamps=1").await;
    let times: Vec<_> = stamped.iter().map(|(_, line)| line.split_once(' ').unwrap().0).collect();
    assert!(times.iter().all(|time| time.len() == "2026-01-02T03:04:05.123456789Z".len()), "{times:?}");
    let second: jiff::Timestamp = times[1].parse().unwrap();
    let moment = format!("{}.{:09}", second.as_second(), second.subsec_nanosecond());
    assert_eq!(texts(&frames(&lab, &format!("stdout=1&stderr=1&since={moment}")).await), ["two\n", "three\n"]);
    assert_eq!(texts(&frames(&lab, &format!("stdout=1&stderr=1&until={moment}")).await), ["one\n"]);
}

#[tokio::test]
async fn whoever_follows_reads_to_the_end_of_the_container() {
    let lab = Lab::start().await;
    lab.run("web", &lab::server()).await;

    let following = request("GET", "/containers/web/logs?stdout=1&stderr=1&follow=1", Body::empty());
    let (answer, _connection) = open(&lab.socket(), following).await;
    let mut body = answer.into_body();
    let first = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap().into_data().unwrap();
    lab.expect("POST", "/containers/web/kill?signal=INT", 204).await;
    let second = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap().into_data().unwrap();
    lab.expect("POST", "/containers/web/stop", 204).await;
    let rest = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();

    assert_eq!(taken_apart(&first), [(1, "ready\n".to_owned())]);
    assert_eq!(taken_apart(&second), [(1, "interrupted\n".to_owned())]);
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn a_stream_ends_when_the_engine_does() {
    let lab = Lab::start().await;
    lab.run("web", &lab::server()).await;
    let paths = ["logs?stdout=1&follow=1", "stats"].map(|call| ("GET", format!("/containers/web/{call}")));
    let waiting = ("POST", "/containers/web/wait".to_owned());
    let mut bodies = Vec::new();
    for (method, path) in paths.into_iter().chain([waiting]) {
        let (answer, connection) = open(&lab.socket(), request(method, &path, Body::empty())).await;
        bodies.push((answer.into_body(), connection));
    }

    lab.cancel.cancel();

    for (body, _connection) in bodies {
        let _ = tokio::time::timeout(PATIENCE, body.collect()).await.expect("it ends");
    }
}

#[tokio::test]
async fn a_terminals_output_is_as_it_was_written() {
    let lab = Lab::start().await;
    let mut body = lab::script("echo one; echo two >&2");
    body["Tty"] = json!(true);
    ended(&lab, &body).await;

    let answer = lab.send("GET", "/containers/web/logs?stdout=1&stderr=1").await;

    assert_eq!(answer.headers["content-type"], "application/vnd.docker.raw-stream");
    assert_eq!(answer.body, "one\r\ntwo\r\n");
}

#[tokio::test]
async fn old_clients_are_told_nothing_of_heads_and_some_containers_have_no_log() {
    let lab = Lab::start().await;
    ended(&lab, &lab::script("echo one")).await;
    let mut silent = lab::script("echo one");
    silent["HostConfig"]["LogConfig"] = json!({"Type": "none"});
    lab.create("silent", &silent).await;
    lab.create("fresh", &lab::script("echo one")).await;

    let old = lab.send("GET", "/v1.41/containers/web/logs?stdout=1").await;
    let none = lab.send("GET", "/containers/silent/logs?stdout=1").await.refusal();
    let fresh = lab.send("GET", "/containers/fresh/logs?stdout=1&follow=1").await;
    let neither = lab.send("GET", "/containers/web/logs").await.refusal();

    assert_eq!(old.headers["content-type"], "application/vnd.docker.raw-stream");
    assert_eq!(taken_apart(old.body.as_bytes()), [(1, "one\n".to_owned())]);
    assert_eq!(none, (501, "configured logging driver does not support reading".to_owned()));
    assert_eq!((fresh.status.as_u16(), fresh.body.as_str()), (200, ""));
    assert_eq!(neither, (400, "Bad parameters: you must choose at least one stream".to_owned()));
}
