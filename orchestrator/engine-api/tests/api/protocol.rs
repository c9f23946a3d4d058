//! What every call keeps: versions, headers, refusals, bodies, and an orderly end.

use axum::body::Body;
use http::StatusCode;
use serde_json::json;

use crate::memory::MemoryNode;
use crate::served::{Served, open, request};

#[tokio::test]
async fn ping_tells_where_the_node_stands() {
    for (node, expected) in [
        (MemoryNode::inactive(), "inactive"),
        (MemoryNode::worker(), "active/worker"),
        (MemoryNode::manager(), "active/manager"),
    ] {
        let served = Served::start(node).await;
        for path in ["/_ping", "/v1.24/_ping"] {
            let answer = served.send("GET", path).await;

            assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "OK"));
            assert_eq!(answer.headers["swarm"], expected);
            assert_eq!(answer.headers["api-version"], "1.51");
            assert_eq!(answer.headers["ostype"], "linux");
            assert_eq!(answer.headers["docker-experimental"], "false");
            assert_eq!(answer.headers["cache-control"], "no-cache, no-store, must-revalidate");
            assert_eq!(answer.headers["pragma"], "no-cache");
            assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
            let software = answer.headers["server"].to_str().unwrap();
            assert_eq!(software, format!("Docker/{} (linux)", engine::VERSION));
        }
    }
}

#[tokio::test]
async fn ping_by_head_has_the_headers_and_no_body() {
    let served = Served::start(MemoryNode::manager()).await;

    let answer = served.send("HEAD", "/_ping").await;

    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(answer.headers["content-length"], "0");
    assert_eq!(answer.headers["swarm"], "active/manager");
}

#[tokio::test]
async fn what_answers_get_answers_no_head_but_ping_does() {
    let served = Served::start(MemoryNode::manager()).await;
    let check = async |path: &str, status: u16| {
        let answer = served.send("HEAD", path).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (status, ""), "HEAD {path}");
    };

    check("/v1.51/_ping", 200).await;
    for path in ["/info", "/v1.41/version", "/events", "/nodes", "/swarm", "/containers/json", "/nothing"] {
        check(path, 404).await;
    }
    check("/containers/x/archive?path=/", 404).await;
    check("/containers/x/checkpoints/y", 404).await;
}

#[tokio::test]
async fn versions_out_of_range_are_refused_and_still_told_ours() {
    let served = Served::start(MemoryNode::inactive()).await;
    let too_new = served.send("GET", "/v1.99/info").await;
    let too_old = served.send("GET", "/v1.12/info").await;

    assert_eq!(too_new.headers["api-version"], "1.51");
    assert_eq!(too_new.headers["content-type"], "application/json");
    assert_eq!(
        too_new.refusal(),
        (400, "client version 1.99 is too new. Maximum supported API version is 1.51".to_owned())
    );
    let message = "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client \
                   to a newer version";
    assert_eq!(too_old.refusal(), (400, message.to_owned()));
}

#[tokio::test]
async fn what_nobody_serves_is_not_found_and_what_docker_serves_is_not_implemented() {
    let served = Served::start(MemoryNode::manager()).await;
    let check = async |method: &str, path: &str, status: u16, message: &str| {
        let answer = served.send(method, path).await;
        assert_eq!(answer.refusal(), (status, message.to_owned()), "{method} {path}");
        assert_eq!(answer.headers["api-version"], "1.51");
    };
    check("GET", "/nothing", 404, "page not found").await;
    check("GET", "/v1.41/", 404, "page not found").await;
    check("PUT", "/nodes", 404, "page not found").await;
    check("GET", "/swarm/init", 404, "page not found").await;
    check("GET", "/nodes/", 404, "page not found").await;
    check("GET", "/v1.41/plugins?x=1", 501, "this engine does not serve GET /plugins yet").await;
    check("DELETE", "/plugins/a/b:1", 501, "this engine does not serve DELETE /plugins/a/b:1 yet").await;
    check("PUT", "/volumes/data", 501, "this engine does not serve PUT /volumes/data yet").await;
}

#[tokio::test]
async fn swarm_calls_outside_a_swarm_and_on_a_worker_are_refused_in_dockers_words() {
    for (node, message) in [
        (MemoryNode::inactive(), "This node is not a swarm manager. Use \"docker swarm init\""),
        (MemoryNode::worker(), "This node is not a swarm manager. Worker nodes can't be used"),
    ] {
        let served = Served::start(node).await;
        for (method, path) in [
            ("GET", "/swarm"),
            ("GET", "/nodes"),
            ("GET", "/nodes/x"),
            ("DELETE", "/nodes/x"),
            ("POST", "/nodes/x/update?version=1"),
            ("POST", "/swarm/update?version=1"),
            ("GET", "/swarm/unlockkey"),
            ("POST", "/swarm/unlock"),
        ] {
            let (status, text) = served.send(method, path).await.refusal();
            assert!(status == 503 && text.starts_with(message), "{method} {path}: {status} {text}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let served = Served::start(MemoryNode::inactive()).await;

    let answer = served.post("/swarm/init", &json!({"AdvertiseAddr": "x".repeat(2 << 20)})).await;

    assert_eq!(answer.refusal(), (413, "the request body is larger than 1048576 bytes".to_owned()));
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_and_none_at_all_is_fine() {
    let served = Served::start(MemoryNode::inactive()).await;
    let mut form = request("POST", "/swarm/init", Body::from("a=b"));
    form.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());

    let refused = served.request(form).await;
    let empty = served.send("POST", "/swarm/init").await;

    let message = "unsupported Content-Type header (application/x-www-form-urlencoded): must be 'application/json'";
    assert_eq!(refused.refusal(), (400, message.to_owned()));
    assert_eq!(empty.status, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_under_way_ends_in_order_when_the_server_stops() {
    let mut served = Served::start(MemoryNode::manager()).await;
    let (stream, mut connection) = open(&served.socket(), request("GET", "/events", Body::empty())).await;

    served.cancel.cancel();

    let body = http_body_util::BodyExt::collect(stream.into_body());
    let body = tokio::time::timeout(crate::served::PATIENCE, body).await.expect("the stream goes on").unwrap();
    assert_eq!(body.to_bytes().len(), 0);
    connection.join_next().await.unwrap().unwrap();
    served.tasks.join_next().await.unwrap().unwrap();
    assert!(!served.socket().exists());
}
