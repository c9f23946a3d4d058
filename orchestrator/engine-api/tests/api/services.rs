//! Services over HTTP: created, listed, looked at, changed, rolled back and removed, and refused in Docker's words.

use std::sync::Arc;

use axum::body::Body;
use model::{Secret, TaskState};
use serde_json::{Value, json};

use crate::memory::MemoryNode;
use crate::served::{Answer, Served, request};

/// A spec as simple clients send it.
fn spec(name: &str) -> Value {
    json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "busybox:1"}}})
}

async fn start() -> (Served, Arc<MemoryNode>) {
    let node = MemoryNode::manager();
    (Served::start(Arc::clone(&node) as Arc<dyn node::SwarmNode>).await, node)
}

async fn create(served: &Served, spec: &Value) -> String {
    let answer = served.post("/services/create", spec).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.body);
    answer.json()["ID"].as_str().unwrap().to_owned()
}

async fn names(served: &Served, query: &str) -> Vec<String> {
    let answer = served.send("GET", &format!("/services{query}")).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    let mut names: Vec<_> =
        answer.json().as_array().unwrap().iter().map(|it| it["Spec"]["Name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn filters(filters: &Value) -> String {
    let text = filters.to_string();
    format!("?filters={}", percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC))
}

async fn with_auth(served: &Served, path: &str, body: &Value, auth: &str) -> Answer {
    let mut request = request("POST", path, Body::from(body.to_string()));
    request.headers_mut().insert("x-registry-auth", auth.parse().unwrap());
    served.request(request).await
}

#[tokio::test]
async fn a_service_is_created_and_shown_with_dockers_fillings() {
    let (served, _) = start().await;
    let created = served.post("/services/create", &spec("web")).await;
    let id = created.json()["ID"].as_str().unwrap().to_owned();

    let shown = served.send("GET", "/services/web").await.json();

    assert_eq!(created.body, format!("{{\"ID\":\"{id}\",\"Warnings\":null}}\n"));
    let version = shown["Version"]["Index"].as_u64().unwrap();
    let expected = json!({
        "ID": id,
        "Version": {"Index": version},
        "CreatedAt": shown["CreatedAt"],
        "UpdatedAt": shown["CreatedAt"],
        "Spec": {
            "Name": "web",
            "Labels": {},
            "TaskTemplate": {
                "ContainerSpec": {"Image": "busybox:1", "Isolation": "default"},
                "ForceUpdate": 0,
                "Runtime": "container",
            },
            "Mode": {"Replicated": {"Replicas": 1}},
        },
        "Endpoint": {"Spec": {}},
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn defaults_are_written_out_when_asked_for() {
    let (served, _) = start().await;
    create(&served, &spec("web")).await;

    let shown = served.send("GET", "/services/web?insertDefaults=true").await.json();
    let wrong = served.send("GET", "/services/web?insertDefaults=maybe").await.refusal();

    let task = &shown["Spec"]["TaskTemplate"];
    assert_eq!(task["ContainerSpec"]["StopGracePeriod"], 10_000_000_000_i64);
    assert_eq!(task["ContainerSpec"]["DNSConfig"], json!({}));
    assert_eq!(task["Resources"], json!({"Limits": {}, "Reservations": {}}));
    assert_eq!(task["RestartPolicy"], json!({"Condition": "any", "Delay": 5_000_000_000_i64, "MaxAttempts": 0}));
    assert_eq!(task["Placement"], json!({}));
    let update = json!({
        "Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000_i64, "MaxFailureRatio": 0,
        "Order": "stop-first",
    });
    assert_eq!((&shown["Spec"]["UpdateConfig"], &shown["Spec"]["RollbackConfig"]), (&update, &update));
    assert_eq!(wrong, (400, "invalid value for insertDefaults: maybe".to_owned()));
}

#[tokio::test]
async fn a_spec_that_is_sent_back_as_it_was_shown_is_the_same_spec() {
    let (served, node) = start().await;
    let mut sent = spec("web");
    sent["UpdateConfig"] = json!({"Parallelism": 2, "MaxFailureRatio": 0.25});
    sent["TaskTemplate"]["RestartPolicy"] = json!({});
    sent["EndpointSpec"] = json!({"Ports": [{"TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}]});
    create(&served, &sent).await;
    let before = node.service("web");
    let shown = served.send("GET", "/services/web").await.json();

    let version = shown["Version"]["Index"].as_u64().unwrap();
    let answer = served.post(&format!("/services/web/update?version={version}"), &shown["Spec"]).await;

    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "{\"Warnings\":null}\n"));
    assert_eq!(node.service("web").spec, before.spec);
}

#[tokio::test]
async fn services_are_listed_by_filter() {
    let (served, _) = start().await;
    let mut web = spec("web");
    web["Labels"] = json!({"tier": "front"});
    let id = create(&served, &web).await;
    let mut agent = spec("agent");
    agent["Mode"] = json!({"Global": {}});
    create(&served, &agent).await;
    let mut job = spec("job");
    job["Mode"] = json!({"ReplicatedJob": {}});
    create(&served, &job).await;
    let check = async |wanted: Value, expected: &[&str]| {
        assert_eq!(names(&served, &filters(&wanted)).await, expected, "{wanted}");
    };

    check(json!({}), &["agent", "job", "web"]).await;
    check(json!({"name": ["we"]}), &["web"]).await;
    check(json!({"name": {"we": true, "jo": true}}), &["job", "web"]).await;
    check(json!({"id": [id[..10]]}), &["web"]).await;
    check(json!({"label": ["tier"]}), &["web"]).await;
    check(json!({"label": ["tier=back"]}), &[]).await;
    check(json!({"mode": ["global"]}), &["agent"]).await;
    check(json!({"mode": ["replicated", "replicated-job"]}), &["job", "web"]).await;
    check(json!({"runtime": ["container"]}), &["agent", "job", "web"]).await;
    check(json!({"runtime": ["plugin"]}), &[]).await;
    let wrong = served.send("GET", &format!("/services{}", filters(&json!({"color": ["red"]})))).await.refusal();
    assert_eq!(wrong, (400, "invalid filter 'color'".to_owned()));
}

#[tokio::test]
async fn the_tasks_are_counted_for_clients_that_ask() {
    let (served, node) = start().await;
    let mut web = spec("web");
    web["Mode"] = json!({"Replicated": {"Replicas": 3}});
    create(&served, &web).await;
    node.add_task("web", 1, 1, TaskState::Running).await;
    node.add_task("web", 2, 2, TaskState::Preparing).await;
    node.add_task("web", 3, 3, TaskState::Failed).await;
    let status = async |path: &str| served.send("GET", path).await.json()[0]["ServiceStatus"].clone();

    let counted = json!({"RunningTasks": 1, "DesiredTasks": 3, "CompletedTasks": 0});
    assert_eq!(status("/services?status=true").await, counted);
    assert_eq!(status("/services").await, Value::Null);
    assert_eq!(status("/v1.40/services?status=true").await, Value::Null);
    let wrong = served.send("GET", "/services?status=perhaps").await.refusal();
    assert_eq!(wrong, (400, "invalid value for status: perhaps".to_owned()));
}

#[tokio::test]
async fn a_service_is_looked_up_by_id_name_and_the_beginning_of_its_id() {
    let (served, _) = start().await;
    let (web, _) = (create(&served, &spec("web")).await, create(&served, &spec("api")).await);
    let found = async |input: &str| served.send("GET", &format!("/services/{input}")).await;

    assert_eq!(found(&web).await.json()["Spec"]["Name"], "web");
    assert_eq!(found("web").await.json()["ID"], web.as_str());
    assert_eq!(found(&web[..12]).await.json()["Spec"]["Name"], "web");
    assert_eq!(found("nobody").await.refusal(), (404, "service nobody not found".to_owned()));
    let deleted = served.send("DELETE", "/services/web").await;
    assert_eq!((deleted.status.as_u16(), deleted.body.as_str()), (200, ""));
    for input in [&web, "web", &web[..12]] {
        assert_eq!(found(input).await.refusal().0, 404, "{input}");
    }
    assert_eq!(names(&served, "").await, ["api"]);
    assert_eq!(served.send("DELETE", "/services/web").await.refusal(), (404, "service web not found".to_owned()));
}

#[tokio::test]
async fn a_service_is_updated_and_rolled_back() {
    let (served, _) = start().await;
    create(&served, &spec("web")).await;
    let shown = async || served.send("GET", "/services/web").await.json();
    let update = async |query: &str, image: &str, version: &Value| {
        let mut spec = spec("web");
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
        served.post(&format!("/services/web/update?version={version}{query}"), &spec).await
    };
    let first = shown().await["Version"]["Index"].clone();

    let none = update("&rollback=previous", "busybox:2", &first).await.refusal();
    assert_eq!(update("", "busybox:2", &first).await.status.as_u16(), 200);
    let late = update("", "busybox:3", &first).await.refusal();
    let updated = shown().await;
    assert_eq!(update("&rollback=previous", "busybox:9", &updated["Version"]["Index"]).await.status.as_u16(), 200);
    let back = shown().await;

    assert!(none.0 == 400 && none.1.ends_with("does not have a previous spec"), "{none:?}");
    assert_eq!(late, (500, "rpc error: code = Unknown desc = update out of sequence".to_owned()));
    let image = |spec: &Value| spec["TaskTemplate"]["ContainerSpec"]["Image"].clone();
    assert_eq!((image(&updated["Spec"]), image(&updated["PreviousSpec"])), (json!("busybox:2"), json!("busybox:1")));
    assert_eq!((image(&back["Spec"]), image(&back["PreviousSpec"])), (json!("busybox:1"), json!("busybox:2")));
    assert_eq!(back["UpdateStatus"]["State"], "rollback_started");
    assert_eq!(back["UpdateStatus"]["Message"], "manually requested rollback");
}

#[tokio::test]
async fn updates_are_refused_in_dockers_words() {
    let (served, node) = start().await;
    create(&served, &spec("web")).await;
    let version = node.service("web").meta.version.0;
    let check = async |path: &str, body: &Value, status: u16, message: &str| {
        let refusal = served.post(path, body).await.refusal();
        assert_eq!(refusal, (status, message.to_owned()), "{path}");
    };
    let path = |query: &str| format!("/services/web/update?version={version}{query}");

    let invalid = "invalid service version 'x': strconv.ParseUint: parsing \"x\": invalid syntax";
    check("/services/web/update?version=x", &spec("web"), 400, invalid).await;
    check(&path("&rollback=now"), &spec("web"), 400, "unrecognized rollback option now").await;
    check(&path("&registryAuthFrom=moon"), &spec("web"), 400, "unsupported registryAuthFrom value").await;
    check("/services/nobody/update?version=1", &spec("web"), 404, "service nobody not found").await;
    let renaming = "rpc error: code = Unimplemented desc = renaming services is not supported";
    check(&path(""), &spec("api"), 501, renaming).await;
    let mut global = spec("web");
    global["Mode"] = json!({"Global": {}});
    let mode = "rpc error: code = Unimplemented desc = service mode change is not allowed";
    check(&path(""), &global, 501, mode).await;
}

#[tokio::test]
async fn creation_is_refused_in_dockers_words() {
    let (served, _) = start().await;
    create(&served, &spec("web")).await;
    let check = async |body: &Value, status: u16, message: &str| {
        let refusal = served.post("/services/create", body).await.refusal();
        assert_eq!(refusal, (status, message.to_owned()), "{body}");
    };

    let conflict = "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already \
                    exists";
    check(&spec("web"), 409, conflict).await;
    check(&json!({}), 400, "mismatched Runtime and *Spec fields").await;
    let name = "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component";
    check(&spec("a b"), 400, name).await;
    let mut networked = spec("net");
    networked["TaskTemplate"]["Networks"] = json!([{"Target": "front"}]);
    let networks = "this engine does not attach services to networks of the swarm yet: name `bridge`, `host` \
                    or `none`";
    check(&networked, 501, networks).await;
    let mut published = spec("mesh");
    published["EndpointSpec"] = json!({"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]});
    let mesh = "this engine does not publish ports through a routing mesh yet: publish them on the tasks' own nodes, \
                with `mode=host`";
    check(&published, 501, mesh).await;
}

#[tokio::test]
async fn a_service_without_a_name_is_given_one() {
    let (served, _) = start().await;

    let id = create(&served, &json!({"TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}})).await;

    let shown = served.send("GET", &format!("/services/{id}")).await.json();
    assert!(shown["Spec"]["Name"].as_str().unwrap().contains('_'), "{shown}");
}

#[tokio::test]
async fn credentials_of_a_registry_are_kept_and_never_shown() {
    let (served, node) = start().await;
    let auth = "eyJ1c2VybmFtZSI6ImEifQ==";
    let created = with_auth(&served, "/services/create", &spec("web"), auth).await;
    assert_eq!(created.status.as_u16(), 201, "{}", created.body);
    let registry_auth = |node: &MemoryNode| node.service("web").state.registry_auth.clone();
    assert_eq!(registry_auth(&node), Some(Secret::new(auth)));
    let path =
        async |query: &str| format!("/services/web/update?version={}{query}", node.service("web").meta.version.0);

    served.post(&path("").await, &spec("web")).await;
    let kept = registry_auth(&node);
    with_auth(&served, &path("").await, &spec("web"), "b3RoZXI=").await;
    let given = registry_auth(&node);
    served.post(&path("&registryAuthFrom=previous-spec").await, &spec("web")).await;

    assert_eq!((kept, given), (Some(Secret::new(auth)), Some(Secret::new("b3RoZXI="))));
    assert_eq!(registry_auth(&node), Some(Secret::new(auth)));
    for shown in ["/services", "/services/web", "/services/web?insertDefaults=true"] {
        let answer = served.send("GET", shown).await;
        assert!(!answer.body.contains(auth) && !answer.body.contains("b3RoZXI"), "{}", answer.body);
    }
    let long = with_auth(&served, "/services/create", &spec("api"), &"x".repeat(65 * 1024)).await.refusal();
    assert_eq!(long, (400, "invalid X-Registry-Auth header: not base64, or too long".to_owned()));
}

#[tokio::test]
async fn only_managers_answer_for_services_and_tasks() {
    let served = Served::start(MemoryNode::worker()).await;
    for (method, path) in [
        ("GET", "/services"),
        ("GET", "/services/web"),
        ("DELETE", "/services/web"),
        ("GET", "/tasks"),
        ("GET", "/tasks/x"),
    ] {
        let refusal = served.send(method, path).await.refusal();
        assert!(refusal.0 == 503 && refusal.1.starts_with("This node is not a swarm manager. Worker"), "{refusal:?}");
    }
    for path in ["/services/create", "/services/web/update?version=1"] {
        assert_eq!(served.post(path, &spec("web")).await.refusal().0, 503, "{path}");
    }
}
