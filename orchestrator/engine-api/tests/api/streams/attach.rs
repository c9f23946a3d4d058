//! Clients on the streams of a container's first program.

use std::fs;

use futures_util::future::join_all;

use super::lab::{Lab, interactive, next_event, script, sleeper, terminal};
use super::wire::{Wire, texts};
use crate::served::PATIENCE;

const ALL: &str = "stream=1&stdin=1&stdout=1&stderr=1";

#[tokio::test]
async fn input_goes_in_and_both_outputs_come_from_the_first_byte() {
    let lab = Lab::start().await;
    lab.create("one", interactive("cat; echo oh >&2")).await;

    let mut wire = lab.hijack(&format!("/containers/one/attach?{ALL}"), "").await;
    lab.engine.containers().start("one").await.unwrap();
    wire.send("words\n").await;
    wire.end_input().await;

    assert!(wire.head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{}", wire.head);
    for line in ["Content-Type: application/vnd.docker.multiplexed-stream", "Connection: Upgrade", "Upgrade: tcp"] {
        assert!(wire.head.contains(&format!("\r\n{line}\r\n")), "{line} in {}", wire.head);
    }
    assert!(wire.head.contains("\r\nApi-Version: 1.51\r\n"), "{}", wire.head);
    assert_eq!(wire.frames().await, texts("words\n", "oh\n"));
    assert_eq!(lab.wait("one").await, 0);
}

#[tokio::test]
async fn who_asks_for_no_upgrade_gets_the_stream_all_the_same() {
    let lab = Lab::start().await;
    lab.create("one", interactive("cat")).await;

    let path = format!("/v1.41/containers/one/attach?{ALL}");
    let mut wire = Wire::open(&lab.socket(), &path, "", "").await;
    lab.engine.containers().start("one").await.unwrap();
    wire.send("words").await;
    wire.end_input().await;

    assert!(wire.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", wire.head);
    assert!(wire.head.contains("\r\nContent-Type: application/vnd.docker.raw-stream\r\n"), "{}", wire.head);
    assert!(!wire.head.contains("Upgrade") && !wire.head.contains("Transfer-Encoding"), "{}", wire.head);
    assert_eq!(wire.frames().await, texts("words", ""));
}

#[tokio::test]
async fn a_terminal_is_raw_and_left_by_its_keys_while_the_program_runs_on() {
    let lab = Lab::start().await;
    let id = lab.run("one", terminal("while read line; do echo got $line; done")).await;
    let mut events = lab.events();

    let mut wire = lab.hijack(&format!("/containers/one/attach?{ALL}&detachKeys=ctrl-a,x"), "").await;
    wire.send("one\r").await;
    wire.until("got one\r\n").await;
    wire.send("two\x01x").await;
    let head = wire.head.clone();
    let rest = String::from_utf8(wire.rest().await).unwrap();
    let event = next_event(&mut events, "detach").await;
    let mut again = lab.hijack(&format!("/containers/one/attach?{ALL}"), "").await;
    again.send("three\r").await;
    again.until("got twothree\r\n").await;

    assert!(head.contains("\r\nContent-Type: application/vnd.docker.raw-stream\r\n"), "{head}");
    assert_eq!(event.actor.id, id);
    assert!(!rest.contains("got two"), "{rest}");
}

#[tokio::test]
async fn what_was_written_before_is_shown_where_it_is_asked_for() {
    let lab = Lab::start().await;
    lab.run("one", script("echo before; echo oh >&2")).await;
    lab.wait("one").await;

    let both = lab.hijack("/containers/one/attach?logs=1&stdout=1&stderr=1", "").await.frames().await;
    let errors = lab.hijack("/containers/one/attach?logs=1&stderr=1", "").await.frames().await;
    let nothing = lab.hijack("/containers/one/attach?stdout=1", "").await.frames().await;

    assert_eq!(both, texts("before\n", "oh\n"));
    assert_eq!(errors, texts("", "oh\n"));
    assert_eq!(nothing, texts("", ""));
}

#[tokio::test]
async fn what_was_written_before_and_what_comes_make_one_stream() {
    let lab = Lab::start().await;
    let path = "/containers/one/attach?logs=1&stream=1&stdout=1";
    let count = "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); echo $i; done; printf 'no more'; read line; echo ' at all'";
    lab.run("one", interactive(count)).await;
    let numbers: Vec<_> = (1..=9000).map(|number| number.to_string()).collect();
    let whole = numbers.join("\n") + "\nno more at all\n";

    let mut early = Vec::new();
    for _ in 0..4 {
        early.push(lab.hijack(path, "").await);
    }
    let mut last = lab.hijack(&format!("{path}&stdin=1"), "").await;
    last.send("go\n").await;

    for seen in join_all(early.into_iter().chain([last]).map(Wire::frames)).await {
        assert!(seen == texts(&whole, ""), "{} of {} bytes", seen[1].len(), whole.len());
    }
}

#[tokio::test]
async fn who_comes_before_the_next_run_sees_the_last_one_first() {
    let lab = Lab::start().await;
    lab.run("one", script("echo $(( $(cat /count || echo 0) + 1 )) > /count; cat /count")).await;
    lab.wait("one").await;

    let wire = lab.hijack("/containers/one/attach?logs=1&stream=1&stdout=1", "").await;
    lab.engine.containers().start("one").await.unwrap();

    assert_eq!(wire.frames().await, texts("1\n2\n", ""));
}

#[tokio::test]
async fn the_head_is_taken_before_what_was_written() {
    let lab = Lab::start().await;
    lab.run("one", script("echo before")).await;
    lab.wait("one").await;

    for _ in 0..20 {
        let wire = lab.hijack("/containers/one/attach?logs=1&stdout=1", "").await;
        assert!(!wire.has_more_than_the_head(), "the head and the log came together");
        assert_eq!(wire.frames().await, texts("before\n", ""));
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_as_http() {
    let lab = Lab::start().await;
    lab.run("one", sleeper()).await;
    let check = async |path: &str, status: u16, message: &str| {
        assert_eq!(lab.send("POST", path).await.refusal(), (status, message.to_owned()), "{path}");
    };

    check("/containers/none/attach?stream=1", 404, "No such container: none").await;
    let keys = "Invalid detach keys (ctrl-1) provided: Unknown character: 'ctrl-1'";
    check("/containers/one/attach?stream=1&detachKeys=ctrl-1", 400, keys).await;
    check("/containers/one/resize?h=x&w=1", 400, "invalid resize height \"x\": invalid syntax").await;
    lab.engine.containers().pause("one").await.unwrap();
    let paused = "container one is paused, unpause the container before attach";
    check("/containers/one/attach?stream=1&stdout=1", 409, paused).await;
}

#[tokio::test]
async fn a_terminal_takes_the_size_that_it_is_given() {
    let lab = Lab::start().await;
    let text = "trap 'busybox stty size' WINCH; echo ready; while :; do sleep 1 & wait $!; done";
    lab.create("one", terminal(text)).await;
    let mut events = lab.events();
    let mut wire = lab.hijack("/containers/one/attach?stream=1&stdout=1", "").await;
    lab.engine.containers().start("one").await.unwrap();
    wire.until("ready\r\n").await;

    lab.expect("POST", "/containers/one/resize?h=50&w=100", 200).await;

    wire.until("50 100\r\n").await;
    let resized = next_event(&mut events, "resize").await;
    assert_eq!(
        (resized.actor.attributes["height"].as_str(), resized.actor.attributes["width"].as_str()),
        ("50", "100")
    );
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind_and_holds_nobody_up() {
    let lab = Lab::start().await;
    lab.run("silent", sleeper()).await;
    // More than all that lies between may hold.
    lab.create("loud", script("dd if=/dev/zero bs=1000000 count=8; echo done")).await;
    let open_files = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open_files();

    let mut wires = Vec::new();
    for _ in 0..8 {
        wires.push(lab.hijack("/containers/silent/attach?stream=1&stdout=1&stderr=1", "").await);
    }
    let loud = lab.hijack("/containers/loud/attach?stream=1&stdout=1&stderr=1", "").await;
    lab.engine.containers().start("loud").await.unwrap();
    assert!(open_files() >= before + 2 * 9);
    drop(wires);
    drop(loud);

    assert_eq!(lab.wait("loud").await, 0);
    let freed = async {
        while open_files() > before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("what clients held is still open");
    assert!(lab.engine.containers().find("silent").unwrap().state.status.has_process());
}

#[tokio::test]
async fn an_engine_that_stops_ends_the_connections_and_not_the_containers() {
    let mut lab = Lab::start().await;
    lab.run("one", sleeper()).await;
    let wire = lab.hijack("/containers/one/attach?stream=1&stdout=1", "").await;

    lab.stop().await;

    assert_eq!(wire.rest().await, b"");
    assert!(lab.engine.containers().find("one").unwrap().state.status.has_process());
}
