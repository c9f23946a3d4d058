//! Programs that are added to containers.

use serde_json::{Value, json};

use super::lab::{Lab, next_event, sleeper};
use super::wire::texts;

fn program(script: &str) -> Value {
    json!({"Cmd": ["sh", "-c", script], "AttachStdout": true, "AttachStderr": true})
}

fn interactive(script: &str) -> Value {
    json!({"Cmd": ["sh", "-c", script], "AttachStdin": true, "AttachStdout": true, "AttachStderr": true})
}

fn terminal(script: &str) -> Value {
    json!({
        "Cmd": ["sh", "-c", script], "Tty": true, "AttachStdin": true, "AttachStdout": true, "AttachStderr": true,
        "DetachKeys": "ctrl-a,x",
    })
}

async fn create(lab: &Lab, body: &Value) -> String {
    let made = lab.post("/containers/one/exec", body).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    made.json()["Id"].as_str().unwrap().to_owned()
}

async fn running() -> Lab {
    let lab = Lab::start().await;
    lab.run("one", sleeper()).await;
    lab
}

#[tokio::test]
async fn a_program_is_made_started_spoken_with_and_looked_at() {
    let lab = running().await;
    let id = create(&lab, &interactive("cat; echo oh >&2; exit 7")).await;
    let before = lab.expect("GET", &format!("/exec/{id}/json"), 200).await.json();

    let mut wire = lab.hijack(&format!("/exec/{id}/start"), "{}").await;
    wire.send("words").await;
    wire.end_input().await;
    let head = wire.head.clone();
    let frames = wire.frames().await;
    let after = lab.expect("GET", &format!("/exec/{id}/json"), 200).await.json();
    let again = lab.post(&format!("/exec/{id}/start"), &json!({})).await.refusal();

    assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n") && head.contains("multiplexed-stream"), "{head}");
    assert_eq!(frames, texts("words", "oh\n"));
    assert_eq!((&before["Running"], &before["ExitCode"]), (&json!(false), &Value::Null));
    assert_eq!((&after["Running"], &after["ExitCode"]), (&json!(false), &json!(7)));
    assert_eq!(
        after["ProcessConfig"],
        json!({
            "tty": false, "entrypoint": "sh", "arguments": ["-c", "cat; echo oh >&2; exit 7"], "privileged": false
        })
    );
    assert_eq!((&after["OpenStdin"], &after["ID"]), (&json!(true), &json!(id)));
    assert_eq!(again, (409, format!("exec {id} has already run")));
}

#[tokio::test]
async fn a_program_that_nobody_is_on_runs_to_its_end() {
    let lab = running().await;
    let id = create(&lab, &interactive("cat; exit 3")).await;
    let mut events = lab.events();

    let started = lab.post(&format!("/exec/{id}/start"), &json!({"Detach": true})).await;
    let died = next_event(&mut events, "exec_die").await;

    assert_eq!((started.status.as_u16(), started.body.as_str()), (200, ""));
    assert_eq!(died.actor.attributes["exitCode"], "3");
    assert_eq!(died.actor.attributes["execID"], id);
}

#[tokio::test]
async fn a_terminal_has_its_size_from_the_start_and_takes_another_one() {
    let lab = running().await;
    let text = "busybox stty size; trap 'busybox stty size' WINCH; echo ready; while :; do sleep 1 & wait $!; done";
    let id = create(&lab, &terminal(text)).await;
    let early = lab.send("POST", &format!("/exec/{id}/resize?h=1&w=1")).await.refusal();

    let mut wire = lab.hijack(&format!("/exec/{id}/start"), r#"{"Tty":true,"ConsoleSize":[40,120]}"#).await;
    wire.until("40 120\r\nready\r\n").await;
    lab.expect("POST", &format!("/exec/{id}/resize?h=50&w=100"), 200).await;
    wire.until("50 100\r\n").await;

    assert!(wire.head.contains("raw-stream"), "{}", wire.head);
    assert_eq!(early, (409, format!("exec {id} is not running")));
}

#[tokio::test]
async fn a_terminal_that_nobody_is_on_takes_a_size_at_once() {
    let lab = running().await;
    let id = create(&lab, &terminal("while :; do sleep 1; done")).await;

    lab.post(&format!("/exec/{id}/start"), &json!({"Detach": true, "Tty": true})).await;

    lab.expect("POST", &format!("/exec/{id}/resize?h=50&w=100"), 200).await;
}

#[tokio::test]
async fn a_terminal_is_left_by_the_keys_that_were_named() {
    let lab = running().await;
    let id = create(&lab, &terminal("echo ready; read line; exit 5")).await;
    let mut events = lab.events();

    let mut wire = lab.hijack(&format!("/exec/{id}/start"), r#"{"Tty":true}"#).await;
    wire.until("ready\r\n").await;
    wire.send("\x01x").await;
    let left = next_event(&mut events, "exec_detach").await;
    let rest = wire.rest().await;
    let inspected = lab.expect("GET", &format!("/exec/{id}/json"), 200).await.json();

    assert_eq!(left.actor.attributes["execID"], id);
    assert_eq!(rest, b"");
    assert_eq!(inspected["Running"], true);
}

#[tokio::test]
async fn the_input_of_a_program_ends_with_a_client_that_vanishes() {
    let lab = running().await;
    let id = create(&lab, &interactive("echo ready; cat; exit 4")).await;
    let mut events = lab.events();

    let mut wire = lab.hijack(&format!("/exec/{id}/start"), "{}").await;
    wire.until("ready\n").await;
    drop(wire);

    assert_eq!(next_event(&mut events, "exec_die").await.actor.attributes["exitCode"], "4");
}

#[tokio::test]
async fn a_program_that_is_not_there_says_so_on_the_stream_and_in_its_exit_code() {
    let lab = running().await;
    let missing = json!({"Cmd": ["nothing"], "AttachStdout": true, "AttachStderr": true});
    let (one, other) = (create(&lab, &missing).await, create(&lab, &missing).await);

    let wire = lab.hijack(&format!("/exec/{one}/start"), "{}").await;
    let frames = wire.frames().await;
    let inspected = lab.expect("GET", &format!("/exec/{one}/json"), 200).await.json();
    let detached = lab.post(&format!("/exec/{other}/start"), &json!({"Detach": true})).await;

    assert!(frames[1].contains("nothing") && frames[1].ends_with("\r\n"), "{frames:?}");
    assert_eq!((&inspected["Running"], &inspected["ExitCode"]), (&json!(false), &json!(127)));
    assert_eq!(detached.status.as_u16(), 400, "{}", detached.body);
}

#[tokio::test]
async fn what_cannot_be_added_is_refused() {
    let lab = running().await;
    let id = lab.create("two", sleeper()).await;
    let check = async |path: &str, body: Value, status: u16, message: &str| {
        assert_eq!(lab.post(path, &body).await.refusal(), (status, message.to_owned()), "{path}");
    };

    check("/containers/two/exec", program("true"), 409, &format!("container {id} is not running")).await;
    check("/containers/none/exec", program("true"), 404, "No such container: none").await;
    check("/containers/one/exec", json!({}), 400, "No exec command specified").await;
    let keys = "Invalid escape keys (ab) provided: Unknown character: 'ab'";
    check("/containers/one/exec", json!({"Cmd": ["true"], "DetachKeys": "ab"}), 400, keys).await;
    check("/exec/nothing/start", json!({}), 404, "No such exec instance: nothing").await;
    check("/exec/nothing/resize?h=1&w=1", json!({}), 404, "No such exec instance: nothing").await;
}

#[tokio::test]
async fn both_ways_of_starting_are_told() {
    let lab = running().await;
    let mut events = lab.events();
    let id = create(&lab, &program("exit 0")).await;

    lab.hijack(&format!("/exec/{id}/start"), "{}").await.frames().await;

    for action in ["exec_create: sh -c exit 0", "exec_start: sh -c exit 0", "exec_die"] {
        let event = next_event(&mut events, action).await;
        assert_eq!((event.action.as_str(), event.actor.attributes["name"].as_str()), (action, "one"));
    }
}

#[tokio::test]
async fn a_container_shows_the_programs_that_have_not_ended() {
    let lab = running().await;
    let id_of = async |text: &str| create(&lab, &interactive(text)).await;
    let (ready, open, over) = (id_of("true").await, id_of("echo begun; cat").await, id_of("true").await);
    let shown = async || lab.expect("GET", "/containers/one/json", 200).await.json()["ExecIDs"].clone();

    let mut wire = lab.hijack(&format!("/exec/{open}/start"), "{}").await;
    wire.until("begun\n").await;
    lab.hijack(&format!("/exec/{over}/start"), "{}").await.frames().await;
    let two = shown().await;
    wire.end_input().await;
    wire.rest().await;
    lab.hijack(&format!("/exec/{ready}/start"), "{}").await.frames().await;
    let none = shown().await;

    assert_eq!((two, none), (json!([ready, open]), json!(null)));
}
