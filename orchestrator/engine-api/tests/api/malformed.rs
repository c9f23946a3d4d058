//! Malformed requests for services and tasks, by the hundred: each is answered, with a refusal that has a message.

use std::sync::Arc;

use axum::body::Body;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::memory::MemoryNode;
use crate::served::{Answer, Served, request};

/// Drawn requests of each kind: a seeded generator draws the same ones in every run.
const CASES: usize = 400;

/// A spec with every field that a client may send, so that each can be spoilt.
fn whole_spec() -> Value {
    json!({
        "Name": "web",
        "Labels": {"a": "b"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "busybox:1", "Labels": {"a": "b"}, "Command": ["a"], "Args": ["b"], "Hostname": "h",
                "Env": ["A=b"], "Dir": "/d", "User": "u", "Groups": ["g"],
                "Privileges": {
                    "CredentialSpec": null, "SELinuxContext": {"Disable": true},
                    "Seccomp": {"Mode": "custom", "Profile": "e30="}, "AppArmor": {"Mode": "default"},
                    "NoNewPrivileges": true,
                },
                "Init": true, "StopSignal": "SIGTERM", "TTY": true, "OpenStdin": true, "ReadOnly": true,
                "Mounts": [{
                    "Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": true, "Consistency": "default",
                    "BindOptions": {"Propagation": "rprivate", "NonRecursive": true},
                    "VolumeOptions": {"NoCopy": true, "Labels": {}, "Subpath": "p", "DriverConfig": {"Name": "local"}},
                    "TmpfsOptions": {"SizeBytes": 1, "Mode": 1, "Options": [["exec"]]},
                }],
                "StopGracePeriod": 1, "Healthcheck": {"Test": ["CMD", "a"], "Interval": 1_000_000, "Retries": 1},
                "Hosts": ["1.1.1.1 a"], "DNSConfig": {"Nameservers": ["1.1.1.1"], "Search": ["a"], "Options": ["o"]},
                "Isolation": "default", "Sysctls": {"net.core.somaxconn": "1"}, "CapabilityAdd": ["CAP_CHOWN"],
                "CapabilityDrop": ["CAP_KILL"], "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}], "OomScoreAdj": 1,
            },
            "Resources": {
                "Limits": {"NanoCPUs": 1_000_000, "MemoryBytes": 4_194_304, "Pids": 1},
                "Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]},
            },
            "RestartPolicy": {"Condition": "any", "Delay": 1, "MaxAttempts": 1, "Window": 1},
            "Placement": {
                "Constraints": ["node.role==worker"], "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.z"}}],
                "MaxReplicas": 1, "Platforms": [{"Architecture": "amd64", "OS": "linux"}],
            },
            "LogDriver": {"Name": "json-file", "Options": {"a": "b"}}, "ForceUpdate": 1, "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {
            "Parallelism": 1, "Delay": 1, "FailureAction": "pause", "Monitor": 1, "MaxFailureRatio": 0.5,
            "Order": "stop-first",
        },
        "RollbackConfig": {"Parallelism": 1},
        "EndpointSpec": {
            "Mode": "vip",
            "Ports": [{"Name": "p", "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 80, "PublishMode": "host"}],
        },
    })
}

/// The pointers to everything in a document.
fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| pointers(value, &format!("{here}/{key}"), all));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| pointers(value, &format!("{here}/{at}"), all));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a client may put where something else belongs.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!([])),
        Just(json!([null])),
        Just(json!("")),
        Just(json!("\u{0}")),
        Just(json!(-1)),
        Just(json!(1.5)),
        Just(json!(1e300)),
        Just(json!(u64::MAX)),
        Just(json!(i64::MIN)),
        Just(json!({"": {"": []}})),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[a-z/:.@{}=-]{0,12}".prop_map(Value::from),
    ]
}

/// Refused for a reason, or done: a drawn document may be a good one by chance.
fn check(answer: &Answer, what: &str) {
    let status = answer.status.as_u16();
    if matches!(status, 200 | 201) {
        return;
    }
    let (status, message) = answer.refusal();
    let is_not_offered = status == 501
        && (message.starts_with("this engine does not ")
            || message.ends_with("renaming services is not supported")
            || message.ends_with("service mode change is not allowed"));
    assert!((400..500).contains(&status) || is_not_offered, "{status} {message}: {what}");
    assert!(!message.is_empty(), "{status}: {what}");
}

struct Target {
    served: Served,
    node: Arc<MemoryNode>,
}

impl Target {
    async fn start() -> Self {
        let node = MemoryNode::manager();
        let served = Served::start(Arc::clone(&node) as Arc<dyn node::SwarmNode>).await;
        let created = served.post("/services/create", &whole_spec()).await;
        assert_eq!(created.status.as_u16(), 201, "{}", created.body);
        Self { served, node }
    }

    /// Sends a body to both calls that take a spec. What is created by chance goes again.
    async fn send(&self, body: &[u8]) {
        let what = String::from_utf8_lossy(body).into_owned();
        let created = self.served.request(request("POST", "/services/create", Body::from(body.to_vec()))).await;
        check(&created, &what);
        if created.status.as_u16() == 201 {
            let id = created.json()["ID"].as_str().unwrap().to_owned();
            check(&self.served.send("DELETE", &format!("/services/{id}")).await, &id);
        }
        let version = self.node.service("web").meta.version.0;
        let path = format!("/services/web/update?version={version}");
        check(&self.served.request(request("POST", &path, Body::from(body.to_vec()))).await, &what);
    }
}

fn drawn<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

#[tokio::test]
async fn a_spec_that_is_spoilt_anywhere_is_refused_or_taken() {
    let (target, mut runner) = (Target::start().await, TestRunner::deterministic());
    let mut places = Vec::new();
    pointers(&whole_spec(), "", &mut places);
    let strategy = (proptest::sample::select(places.clone()), any_value());
    let every_place = places.into_iter().flat_map(|place| [(place.clone(), json!({})), (place, json!(-1))]);

    let cases: Vec<_> = every_place.chain((0..CASES).map(|_| drawn(&strategy, &mut runner))).collect();
    for (place, value) in cases {
        let mut spec = whole_spec();
        *spec.pointer_mut(&place).unwrap() = value;
        target.send(spec.to_string().as_bytes()).await;
    }
}

#[tokio::test]
async fn a_body_that_is_no_spec_is_refused() {
    let (target, mut runner) = (Target::start().await, TestRunner::deterministic());
    let whole = whole_spec().to_string();

    for end in (0..whole.len()).step_by(37) {
        target.send(&whole.as_bytes()[..end]).await;
    }
    let bytes = proptest::collection::vec(any::<u8>(), 0..64);
    for _ in 0..CASES {
        target.send(&drawn(&bytes, &mut runner)).await;
    }
    for body in ["[".repeat(100_000), format!("{{\"Name\":\"{}\"}}", "x".repeat(2 << 20))] {
        target.send(body.as_bytes()).await;
    }
}

#[tokio::test]
async fn queries_paths_and_headers_that_are_nonsense_are_refused() {
    let (target, mut runner) = (Target::start().await, TestRunner::deterministic());
    let text = "[-%=&+{}\\[\\]\":,a-f0-9]{0,24}";
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();

    for _ in 0..CASES {
        let nonsense = encode(&drawn(&text, &mut runner));
        for path in [
            format!("/services?filters={nonsense}"),
            format!("/services?status={nonsense}"),
            format!("/tasks?filters={nonsense}"),
            format!("/tasks?filters={}", encode(&format!("{{\"service\":[\"{nonsense}\"]}}"))),
            format!("/services/x{nonsense}"),
            format!("/services/web?insertDefaults={nonsense}"),
            format!("/tasks/x{nonsense}"),
        ] {
            check(&target.served.send("GET", &path).await, &path);
        }
        let path = format!("/services/web/update?version={nonsense}");
        let answer = target.served.post(&path, &whole_spec()).await;
        // A number of a version that is not the present one is out of sequence, as in Docker.
        if answer.status.as_u16() != 500 || !answer.body.contains("update out of sequence") {
            check(&answer, &path);
        }
    }
    for path in ["/services/%ff", "/tasks/%ff", "/nodes/%ff", "/services/%00", "/services/create"] {
        check(&target.served.send("GET", path).await, path);
    }
    let mut odd = request("POST", "/services/create", Body::from(whole_spec().to_string()));
    odd.headers_mut().insert("x-registry-auth", http::HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    assert_eq!(target.served.request(odd).await.refusal().0, 400);
}
