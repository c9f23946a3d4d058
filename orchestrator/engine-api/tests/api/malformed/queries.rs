//! Paths, queries and headers that mean nothing, for every call that has them: refused, and nothing is changed by them.

use axum::body::Body;
use http::HeaderValue;
use serde_json::json;

use super::drawing::{CASES, Drawing, check, check_refused, encode};
use super::scene::Scene;
use crate::served::request;

/// The calls that take filters, up to their query.
const FILTERED: [&str; 13] = [
    "GET /containers/json?all=1&",
    "POST /containers/prune?",
    "GET /images/json?",
    "POST /images/prune?",
    "GET /volumes?",
    "POST /volumes/prune?",
    "GET /networks?",
    "POST /networks/prune?",
    "POST /build/prune?",
    "GET /events?until=1&",
    "GET /services?",
    "GET /tasks?",
    "GET /nodes?",
];
/// What none of them takes for filters.
const NO_FILTERS: [&str; 11] = [
    "x",
    "[]",
    "1",
    "\"a\"",
    "{",
    "{\"label\":\"a\"}",
    "{\"label\":[1]}",
    "{\"label\":{\"a\":1}}",
    "{\"label\":{\"a\":{\"b\":true}}}",
    "{\"no-such-key\":[\"x\"]}",
    "\0",
];
/// Filters whose values are none that there are.
const NO_VALUES: [(&str, &str); 24] = [
    ("GET /containers/json?all=1&", r#"{"status":["bored"]}"#),
    ("GET /containers/json?all=1&", r#"{"health":["fine"]}"#),
    ("GET /containers/json?all=1&", r#"{"exited":["x"]}"#),
    ("GET /containers/json?all=1&", r#"{"exited":["99999999999"]}"#),
    ("GET /containers/json?all=1&", r#"{"publish":["http"]}"#),
    ("GET /containers/json?all=1&", r#"{"expose":["9-1"]}"#),
    ("GET /containers/json?all=1&", r#"{"is-task":["perhaps"]}"#),
    ("GET /containers/json?all=1&", r#"{"before":["nobody"]}"#),
    ("GET /containers/json?all=1&", r#"{"name":["("]}"#),
    ("POST /containers/prune?", r#"{"until":["soon"]}"#),
    ("POST /containers/prune?", r#"{"until":["1h","2h"]}"#),
    ("GET /images/json?", r#"{"dangling":["perhaps"]}"#),
    ("GET /images/json?", r#"{"since":["nobody"]}"#),
    ("GET /images/json?", r#"{"until":["soon"]}"#),
    ("POST /images/prune?", r#"{"dangling":["0","1"]}"#),
    ("GET /volumes?", r#"{"dangling":["perhaps"]}"#),
    ("POST /volumes/prune?", r#"{"all":["perhaps"]}"#),
    ("GET /networks?", r#"{"dangling":["perhaps"]}"#),
    ("GET /networks?", r#"{"type":["odd"]}"#),
    ("POST /networks/prune?", r#"{"until":["soon"]}"#),
    ("GET /tasks?", r#"{"desired-state":["bored"]}"#),
    ("GET /tasks?", r#"{"node":["nobody"]}"#),
    ("GET /nodes?", r#"{"role":["king"]}"#),
    ("GET /nodes?", r#"{"membership":["guest"]}"#),
];
/// Calls that are wrong as they stand.
const WRONG: [&str; 86] = [
    "GET /containers/json?limit=some",
    "GET /containers/json?limit=1.5",
    "GET /containers/json?limit=99999999999999999999",
    "GET /containers/json?since=nobody",
    "POST /containers/create?platform=a/b/c/d",
    "POST /containers/create?name=-x",
    "POST /containers/web/stop?t=soon",
    "POST /containers/run/stop?t=99999999999999999999",
    "POST /containers/run/stop?signal=WHAT",
    "POST /containers/run/restart?t=1e9",
    "POST /containers/run/restart?signal=-1",
    "POST /containers/run/kill?signal=WHAT",
    "POST /containers/run/kill?signal=0",
    "POST /containers/run/kill?signal=18446744073709551616",
    "POST /containers/web/kill",
    "POST /containers/web/pause",
    "POST /containers/run/unpause",
    "POST /containers/run/wait?condition=bored",
    "POST /containers/run/rename",
    "POST /containers/run/rename?name=web",
    "POST /containers/run/rename?name=a%00b",
    "POST /containers/run/resize",
    "POST /containers/run/resize?h=-1&w=1",
    "POST /containers/run/resize?h=1&w=65536",
    "POST /containers/run/attach?detachKeys=ctrl-%C3%A4",
    "POST /containers/run/attach?detachKeys=ab",
    "GET /containers/run/attach/ws?detachKeys=ab",
    "GET /containers/run/attach/ws?stream=1&stdout=1",
    "GET /containers/run/archive",
    "GET /containers/run/archive?path=",
    "GET /containers/run/archive?path=/nothing",
    "GET /containers/run/archive?path=a%00b",
    "PUT /containers/run/archive",
    "PUT /containers/run/archive?path=/nothing",
    "PUT /containers/run/archive?path=/bin/busybox",
    "PUT /containers/run/archive?path=a%00b",
    "GET /containers/run/logs",
    "GET /containers/run/logs?stdout=no",
    "GET /containers/run/logs?stdout=1&since=soon",
    "GET /containers/run/logs?stdout=1&until=1e3",
    "GET /containers/run/logs?stdout=1&since=99999999999999999999",
    "GET /containers/run/stats?stream=1&one-shot=1",
    "GET /containers/web/top",
    "DELETE /containers/run",
    "DELETE /containers/web?link=1",
    "POST /containers/web/exec",
    "POST /containers/run/exec",
    "GET /events?since=soon",
    "GET /events?until=soon",
    "GET /events?since=2&until=1",
    "GET /system/df?type=bored",
    "POST /commit",
    "POST /commit?container=nobody",
    "POST /commit?container=web&repo=BAD",
    "POST /commit?container=web&repo=a&tag=-",
    "POST /commit?container=web&changes=BOGUS%20x",
    "POST /commit?container=web&changes=%00",
    "POST /images/create",
    "POST /images/create?fromImage=BAD&tag=1",
    "POST /images/create?fromImage=a%20b&tag=1",
    "POST /images/create?fromImage=a&tag=%00",
    "POST /images/create?fromImage=a&tag=1&platform=a/b/c/d",
    "POST /images/create?fromImage=a&tag=1&platform=%7B%22os%22:1%7D",
    "POST /images/create?fromImage=all-of-it",
    "POST /images/create?fromSrc=http://127.0.0.1:1/x",
    "POST /images/create?fromSrc=-&repo=BAD",
    "POST /images/create?fromSrc=-&changes=BOGUS%20x",
    "POST /images/create?fromSrc=-&platform=%7B",
    "POST /images/load?platform=%7B",
    "GET /images/get",
    "GET /images/get?names=",
    "GET /images/get?names=nothing",
    "GET /images/search?term=a",
    "GET /images/busybox:test/json?platform=%00",
    "POST /images/busybox:test/tag",
    "POST /images/busybox:test/tag?repo=BAD",
    "POST /images/busybox:test/tag?repo=a&tag=b%20c",
    "POST /images/busybox:test/tag?repo=sha256&tag=a",
    "POST /images/BAD/push",
    "GET /distribution/BAD/json",
    "DELETE /networks/bridge",
    "GET /services?status=perhaps",
    "GET /services/web/logs",
    "GET /services/web/logs?stdout=1&since=soon",
    "GET /services/web/logs?stdout=1&tail=some",
    "POST /swarm/update?version=-1",
];
/// Calls about one object, named by `{}`.
const NAMED: [&str; 42] = [
    "GET /containers/{}/json",
    "GET /containers/{}/logs?stdout=1",
    "GET /containers/{}/stats",
    "GET /containers/{}/top",
    "GET /containers/{}/changes",
    "GET /containers/{}/export",
    "GET /containers/{}/archive?path=/",
    "PUT /containers/{}/archive?path=/",
    "POST /containers/{}/attach",
    "GET /containers/{}/attach/ws",
    "POST /containers/{}/exec",
    "POST /containers/{}/resize?h=1&w=1",
    "POST /containers/{}/start",
    "POST /containers/{}/stop",
    "POST /containers/{}/restart",
    "POST /containers/{}/kill",
    "POST /containers/{}/pause",
    "POST /containers/{}/unpause",
    "POST /containers/{}/rename?name=other",
    "POST /containers/{}/update",
    "POST /containers/{}/wait",
    "DELETE /containers/{}",
    "POST /commit?container={}",
    "GET /exec/{}/json",
    "POST /exec/{}/start",
    "POST /exec/{}/resize?h=1&w=1",
    "GET /images/{}/json",
    "GET /images/{}/history",
    "GET /images/{}/get",
    "POST /images/{}/tag?repo=other",
    "DELETE /images/{}",
    "GET /volumes/{}",
    "DELETE /volumes/{}",
    "GET /networks/{}",
    "DELETE /networks/{}",
    "GET /services/{}",
    "DELETE /services/{}",
    "GET /services/{}/logs?stdout=1",
    "GET /tasks/{}",
    "GET /tasks/{}/logs?stdout=1",
    "GET /nodes/{}",
    "DELETE /nodes/{}",
];
/// Names that nothing has, in the form of a path.
const NO_NAMES: [&str; 8] = ["nobody", "%ff%fe", "%00", "..%2f..%2fetc", "%20", "%f0%9f%92%a9", "a%0d%0ab", "%25"];

async fn refused(scene: &Scene, call: &str) {
    let (method, path) = call.split_once(' ').unwrap();
    check_refused(&scene.ask(request(method, path, Body::empty())).await, call);
}

#[tokio::test]
async fn filters_that_are_none_are_refused() {
    let scene = Scene::start().await;
    let before = scene.state().await;

    for call in FILTERED {
        for filters in NO_FILTERS {
            refused(&scene, &format!("{call}filters={}", encode(filters))).await;
        }
        refused(&scene, &format!("{call}filters={}", "[".repeat(10_000))).await;
        refused(&scene, &format!("{call}filters=%ff")).await;
    }
    for (call, filters) in NO_VALUES {
        refused(&scene, &format!("{call}filters={}", encode(filters))).await;
    }

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn queries_that_are_wrong_are_refused() {
    let scene = Scene::start().await;
    let before = scene.state().await;

    for call in WRONG {
        refused(&scene, call).await;
    }

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn names_that_nothing_has_are_refused() {
    let scene = Scene::start().await;
    let before = scene.state().await;

    let long = "x".repeat(5_000);
    for call in NAMED {
        for name in NO_NAMES.into_iter().chain([long.as_str()]) {
            refused(&scene, &call.replace("{}", name)).await;
        }
    }

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn drawn_queries_are_answered() {
    let (scene, mut drawing) = (Scene::start().await, Drawing::default());

    for _ in 0..CASES {
        let text = drawing.nonsense();
        for call in [
            format!("GET /images/json?all={text}&shared-size={text}&filters={text}"),
            format!("GET /images/get?names={text}"),
            format!("GET /images/busybox:test/json?platform={text}"),
            format!("POST /images/busybox:test/tag?repo=-{text}&tag={text}"),
            format!("DELETE /images/-{text}"),
            format!("GET /volumes?filters={text}"),
            format!("GET /volumes/{text}x"),
            format!("GET /networks?filters={text}"),
            format!("GET /networks/{text}x?scope={text}"),
            format!("GET /events?until={text}&since={text}"),
            format!("GET /system/df?type={text}"),
            format!("GET /containers/run/archive?path={text}"),
            format!("GET /containers/run/logs?stdout={text}&tail={text}&until={text}"),
            format!("GET /containers/run/stats?one-shot={text}"),
            format!("GET /containers/run/top?ps_args={text}"),
            format!("POST /containers/run/attach?detachKeys={text}&logs={text}&stdout={text}"),
            format!("POST /containers/run/resize?h={text}&w={text}"),
            format!("POST /commit?container=-{text}&changes={text}"),
            format!("GET /services/web/logs?stdout=1&tail={text}&since={text}"),
            format!("POST /nodes/self/update?version={text}x"),
            format!("POST /swarm/update?version={text}x&rotateWorkerToken={text}"),
        ] {
            let (method, path) = call.split_once(' ').unwrap();
            check(&scene.ask(request(method, path, Body::empty())).await, &call);
        }
    }
}

#[tokio::test]
async fn headers_that_say_nothing_are_refused() {
    let scene = Scene::start().await;
    let before = scene.state().await;
    let service = json!({"Name": "other", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}}).to_string();
    let long = "A".repeat(100_000);

    for value in [&b"\xff\xfe"[..], long.as_bytes()] {
        let mut odd = request("POST", "/services/create", Body::from(service.clone()));
        odd.headers_mut().insert("x-registry-auth", HeaderValue::from_bytes(value).unwrap());
        check_refused(&scene.ask(odd).await, "/services/create");
    }
    for path in ["/containers/create", "/volumes/create", "/containers/run/exec", "/services/create", "/swarm/init"] {
        let mut odd = request("POST", path, Body::from("{}"));
        odd.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
        check_refused(&scene.ask(odd).await, path);
    }

    assert_eq!(scene.state().await, before);
}
