//! Malformed requests for services and tasks.

use std::sync::Arc;

use axum::body::Body;
use serde_json::{Value, json};

use super::drawing::{CASES, Drawing, broken_bodies, check, encode, spoilt};
use crate::memory::MemoryNode;
use crate::served::{Served, request};

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

#[tokio::test]
async fn a_spec_that_is_spoilt_anywhere_is_refused_or_taken() {
    let target = Target::start().await;

    for spec in spoilt(&whole_spec()) {
        target.send(spec.to_string().as_bytes()).await;
    }
}

#[tokio::test]
async fn a_body_that_is_no_spec_is_refused() {
    let target = Target::start().await;

    for body in broken_bodies(&whole_spec()) {
        target.send(&body).await;
    }
}

#[tokio::test]
async fn queries_paths_and_headers_that_are_nonsense_are_refused() {
    let (target, mut drawing) = (Target::start().await, Drawing::default());

    for _ in 0..CASES {
        let nonsense = drawing.nonsense();
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
