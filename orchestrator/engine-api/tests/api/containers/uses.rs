//! What containers use, and which processes they have.

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::lab::{self, Lab};
use crate::served::{PATIENCE, open, request};

#[tokio::test]
async fn what_a_container_uses_is_read_once_or_every_second() {
    let lab = Lab::start().await;
    let mut body = lab::script("while :; do :; done");
    body["HostConfig"]["Memory"] = json!(67_108_864);
    let id = lab.run("busy", &body).await;

    let at_once = lab.send("GET", "/containers/busy/stats?stream=0&one-shot=1").await.json();
    let once = lab.send("GET", "/containers/busy/stats?stream=false").await.json();
    let (answer, _connection) = open(&lab.socket(), request("GET", "/containers/busy/stats", Body::empty())).await;
    let mut stream = answer.into_body();
    let mut readings = Vec::new();
    for _ in 0..2 {
        let line = tokio::time::timeout(PATIENCE, stream.frame()).await.unwrap().unwrap().unwrap().into_data().unwrap();
        readings.push(serde_json::from_slice::<Value>(&line).unwrap());
    }

    assert_eq!((&at_once["id"], &at_once["name"]), (&json!(id), &json!("/busy")));
    assert_eq!(at_once["preread"], "0001-01-01T00:00:00Z");
    assert_eq!(at_once["memory_stats"]["limit"], 67_108_864);
    assert!(at_once["memory_stats"]["usage"].as_u64().unwrap() > 0);
    assert!(at_once["pids_stats"]["current"].as_u64().unwrap() >= 1);
    assert!(at_once["cpu_stats"]["online_cpus"].as_u64().unwrap() >= 1);
    assert!(at_once["blkio_stats"]["io_service_bytes_recursive"].is_array());
    assert!(at_once.get("networks").is_none_or(|networks| networks.get("lo").is_none()));
    for reading in [&once, &readings[1]] {
        let number = |part: &str, path: &str| reading[part].pointer(path).and_then(Value::as_u64).unwrap();
        let used = |part: &str| number(part, "/cpu_usage/total_usage");
        assert!(used("cpu_stats") > used("precpu_stats") && used("precpu_stats") > 0, "{reading}");
        assert!(number("cpu_stats", "/system_cpu_usage") > number("precpu_stats", "/system_cpu_usage"));
    }
    assert_eq!(readings[0]["precpu_stats"]["cpu_usage"]["total_usage"], 0);

    lab.expect("DELETE", "/containers/busy?force=1", 204).await;
    tokio::time::timeout(PATIENCE, stream.collect()).await.expect("it ends with the container").unwrap();
}

#[tokio::test]
async fn what_does_not_run_uses_nothing() {
    let lab = Lab::start().await;
    lab.create("fresh", &lab::script("true")).await;

    let uses = lab.send("GET", "/containers/fresh/stats?stream=0").await.json();
    let top = lab.send("GET", "/containers/fresh/top").await.refusal();
    let both = lab.send("GET", "/containers/fresh/stats?stream=1&one-shot=1").await.refusal();

    assert_eq!((&uses["read"], &uses["memory_stats"]), (&json!("0001-01-01T00:00:00Z"), &json!({})));
    assert_eq!(uses["cpu_stats"]["cpu_usage"]["total_usage"], 0);
    assert!(top.0 == 409 && top.1.ends_with(" is not running"), "{top:?}");
    assert_eq!(both, (400, "cannot have stream=true and one-shot=true".to_owned()));
}

#[tokio::test]
async fn the_processes_of_a_container_are_shown_as_ps_does() {
    let lab = Lab::start().await;
    lab.run("web", &lab::script("sleep 1000; true")).await;

    let top = lab.send("GET", "/containers/web/top?ps_args=-ef").await.json();
    let by_user = lab.send("GET", "/containers/web/top?ps_args=aux").await.json();
    let chosen = lab.send("GET", "/containers/web/top?ps_args=-o+pid%2Ccomm").await.json();
    let other = lab.send("GET", "/containers/web/top?ps_args=--forest").await.refusal();

    assert_eq!(top["Titles"], json!(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]));
    let commands: Vec<_> = top["Processes"].as_array().unwrap().iter().map(|process| process[7].clone()).collect();
    assert!(commands.contains(&json!("sh -c sleep 1000; true")), "{commands:?}");
    let process = &by_user["Processes"][0];
    assert_eq!((&by_user["Titles"][10], &process[10]), (&json!("COMMAND"), &json!("sh -c sleep 1000; true")));
    assert_eq!(chosen, json!({"Titles": ["PID", "COMMAND"], "Processes": chosen["Processes"]}));
    assert_eq!((&chosen["Processes"][0][0], &chosen["Processes"][0][1]), (&process[1], &json!("sh")));
    let words = "processes are shown as by `ps -ef`, `ps aux` or `ps -o LIST`, not by `ps --forest`";
    assert_eq!(other, (400, words.to_owned()));
}
