//! `/events` over plain HTTP: the past, what comes, and both ends of the time asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use engine::{Actor, Event, EventKind, EventScope};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::memory::MemoryNode;
use crate::served::{PATIENCE, Served, open, request};

fn event(kind: EventKind, scope: EventScope, action: &str, name: &str, time: Timestamp) -> Event {
    let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
    Event { kind, action: action.to_owned(), actor: Actor { id: format!("id-of-{name}"), attributes }, scope, time }
}

fn node_event(action: &str, name: &str, time: Timestamp) -> Event {
    event(EventKind::Node, EventScope::Swarm, action, name, time)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

async fn past(served: &Served, query: &str) -> Vec<String> {
    let answer = served.send("GET", &format!("/events?{query}")).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    let names = answer.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    names.map(|event| event["Actor"]["Attributes"]["name"].as_str().unwrap().to_owned()).collect()
}

async fn next_line(body: &mut Incoming) -> Option<Value> {
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("no event comes")?;
    Some(serde_json::from_slice(&frame.unwrap().into_data().unwrap()).unwrap())
}

#[tokio::test]
async fn the_past_is_cut_by_since_and_until_in_every_form() {
    let served = Served::start(MemoryNode::manager()).await;
    for number in 1..=4 {
        served.engine.events().publish(node_event("update", &format!("n{number}"), at(number)));
    }
    let check = async |query: &str, expected: &[&str]| {
        assert_eq!(past(&served, query).await, expected, "{query}");
    };
    check("since=1700000002&until=1700000003", &["n2", "n3"]).await;
    check("since=1700000001.5&until=1700000002.000000000", &["n2"]).await;
    check("since=2023-11-14T22:13:23Z&until=2023-11-15", &["n3", "n4"]).await;
    check("since=1970-01-01&until=1s", &["n1", "n2", "n3", "n4"]).await;
    check("until=1700000003", &[]).await;
}

#[tokio::test]
async fn a_time_that_ends_before_it_begins_and_no_time_at_all_are_refused() {
    let served = Served::start(MemoryNode::manager()).await;

    let backwards = served.send("GET", "/events?since=20&until=10").await.refusal();
    let nonsense = served.send("GET", "/events?since=tomorrow").await.refusal();

    assert_eq!(backwards, (400, "`since` time (20) cannot be after `until` time (10)".to_owned()));
    assert_eq!(nonsense, (400, "failed to parse value as time or duration: \"tomorrow\"".to_owned()));
}

#[tokio::test]
async fn filters_choose_events() {
    let served = Served::start(MemoryNode::manager()).await;
    let events = served.engine.events();
    events.publish(node_event("create", "node-1", at(1)));
    events.publish(node_event("update", "node-2", at(2)));
    events.publish(event(EventKind::Container, EventScope::Local, "start", "web", at(3)));
    let check = async |filters: Value, expected: &[&str]| {
        let encoded = filters.to_string().replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
        let query = format!("since=1&until=1s&filters={encoded}");
        assert_eq!(past(&served, &query).await, expected, "{filters}");
    };
    check(json!({}), &["node-1", "node-2", "web"]).await;
    check(json!({"type": ["node"]}), &["node-1", "node-2"]).await;
    check(json!({"scope": {"local": true}}), &["web"]).await;
    check(json!({"event": ["create", "start"]}), &["node-1", "web"]).await;
    check(json!({"node": ["node-2"]}), &["node-2"]).await;
    check(json!({"node": ["id-of-node"]}), &["node-1", "node-2"]).await;
    check(json!({"label": ["name=web"]}), &["web"]).await;
    let unknown = served.send("GET", "/events?filters=%7B%22color%22:%5B%22red%22%5D%7D").await.refusal();
    assert_eq!(unknown, (400, "invalid filter 'color'".to_owned()));
}

#[tokio::test]
async fn what_comes_is_streamed_at_once_after_the_past() {
    let served = Served::start(MemoryNode::manager()).await;
    served.engine.events().publish(node_event("create", "old", at(1)));
    let (answer, _connection) = open(&served.socket(), request("GET", "/events?since=1", Body::empty())).await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let mut body = answer.into_body();

    let first = next_line(&mut body).await.unwrap();
    served.engine.events().publish(node_event("remove", "new", Timestamp::now()));
    let second = next_line(&mut body).await.unwrap();

    assert_eq!(first["Actor"]["Attributes"]["name"], "old");
    assert_eq!(
        (&second["Type"], &second["Action"], &second["scope"]),
        (&json!("node"), &json!("remove"), &json!("swarm"))
    );
}

#[tokio::test]
async fn the_end_may_be_far_away() {
    let served = Served::start(MemoryNode::manager()).await;
    let path = "/events?since=1&until=9999-12-30T00:00:00Z";
    let (answer, _connection) = open(&served.socket(), request("GET", path, Body::empty())).await;

    served.engine.events().publish(node_event("remove", "new", Timestamp::now()));

    assert_eq!(next_line(&mut answer.into_body()).await.unwrap()["Action"], "remove");
}

#[tokio::test]
async fn a_stream_ends_at_until() {
    let served = Served::start(MemoryNode::manager()).await;
    let until = Timestamp::now() + SignedDuration::from_millis(300);
    let path = format!("/events?until={}.{:09}", until.as_second(), until.subsec_nanosecond());

    let began = std::time::Instant::now();
    let answer = served.send("GET", &path).await;

    assert_eq!(answer.body, "");
    assert!(began.elapsed() >= Duration::from_millis(200) && began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_reader_that_goes_away_is_forgotten() {
    let served = Served::start(MemoryNode::manager()).await;
    let (answer, connection) = open(&served.socket(), request("GET", "/events", Body::empty())).await;
    assert_eq!(served.engine.events().readers(), 1);

    drop(answer);
    drop(connection);

    let forgotten = async {
        while served.engine.events().readers() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.expect("the reader is still counted");
}
