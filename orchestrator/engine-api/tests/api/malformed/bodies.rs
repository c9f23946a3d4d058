//! Bodies of every other call that takes a document: spoilt at each of their places, or no document at all.

use axum::body::Body;
use serde_json::{Value, json};

use super::drawing::{broken_bodies, check, check_refused, spoilt};
use super::scene::Scene;
use crate::memory::MemoryNode;
use crate::served::{Answer, Served, request};

/// Sends all of them; what each answer leads to is up to `undo`.
async fn send(served: &Served, path: impl AsyncFn() -> String, whole: &Value, undo: impl AsyncFn(&Answer)) {
    let bodies = spoilt(whole).map(|body| body.to_string().into_bytes()).chain(broken_bodies(whole));
    for body in bodies {
        let what = String::from_utf8_lossy(&body).into_owned();
        let answer = served.request(request("POST", &path().await, Body::from(body))).await;
        check(&answer, &what);
        undo(&answer).await;
    }
}

#[tokio::test]
async fn no_program_is_added_by_a_broken_request() {
    let scene = Scene::start().await;
    let before = scene.state().await;
    let whole = json!({
        "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "DetachKeys": "ctrl-p,ctrl-q", "Tty": true,
        "Cmd": ["sh", "-c", "true"], "Env": ["A=b"], "WorkingDir": "/tmp", "User": "root", "Privileged": false,
        "ConsoleSize": [24, 80],
    });
    let start = |id: String| async move {
        // What nobody is on is begun or refused; how it ends is its own affair.
        request("POST", &format!("/exec/{id}/start"), Body::from(r#"{"Detach":true}"#))
    };

    send(
        &scene,
        async || "/containers/run/exec".to_owned(),
        &whole,
        async |answer| {
            if answer.status.as_u16() == 201 {
                let id = answer.json()["Id"].as_str().unwrap().to_owned();
                assert_eq!(scene.send("GET", &format!("/exec/{id}/json")).await.status.as_u16(), 200);
                check(&scene.request(start(id).await).await, "start");
            }
        },
    )
    .await;

    assert_eq!(scene.state().await[..before.len() - 2], before[..before.len() - 2]);
}

#[tokio::test]
async fn no_program_is_begun_by_a_broken_request() {
    let scene = Scene::start().await;
    let whole = json!({"Detach": true, "Tty": false, "ConsoleSize": [24, 80]});
    let made = scene.post("/containers/run/exec", &json!({"Cmd": ["true"]})).await.json();
    let id = made["Id"].as_str().unwrap().to_owned();

    for body in spoilt(&whole).map(|body| body.to_string().into_bytes()).chain(broken_bodies(&whole)) {
        let what = String::from_utf8_lossy(&body).into_owned();
        let nothing = request("POST", "/exec/nothing/start", Body::from(body.clone()));
        check_refused(&scene.ask(nothing).await, &what);
        check(&scene.ask(request("POST", &format!("/exec/{id}/start"), Body::from(body))).await, &what);
    }
}

#[tokio::test]
async fn no_volume_is_made_by_a_broken_request() {
    let scene = Scene::start().await;
    let before = scene.state().await;
    let whole = json!({
        "Name": "other", "Driver": "local", "Labels": {"a": "b"},
        "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}, "ClusterVolumeSpec": {"Group": "a"},
    });
    let mut plain = whole.clone();
    plain.as_object_mut().unwrap().remove("ClusterVolumeSpec");

    for whole in [whole, plain] {
        send(
            &scene,
            async || "/volumes/create".to_owned(),
            &whole,
            async |answer| {
                if answer.status.as_u16() == 201 {
                    let name = super::drawing::encode(answer.json()["Name"].as_str().unwrap());
                    assert_eq!(scene.send("GET", &format!("/volumes/{name}")).await.status.as_u16(), 200);
                    if name != "data" {
                        assert_eq!(scene.send("DELETE", &format!("/volumes/{name}")).await.status.as_u16(), 204);
                    }
                }
            },
        )
        .await;
    }

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn no_network_is_made_by_a_broken_request() {
    let scene = Scene::start().await;
    let before = scene.state().await;
    let whole = json!({
        "Name": "net", "Driver": "bridge", "Scope": "local", "EnableIPv6": false, "Internal": false, "Attachable": true,
        "Ingress": false, "Options": {"a": "b"}, "Labels": {"a": "b"}, "ConfigOnly": false,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [{
            "Subnet": "10.99.0.0/24", "IPRange": "10.99.0.0/25", "Gateway": "10.99.0.1", "AuxiliaryAddresses": {}
        }]},
    });

    send(
        &scene,
        async || "/networks/create".to_owned(),
        &whole,
        async |answer| {
            if answer.status.as_u16() == 201 {
                let id = answer.json()["Id"].as_str().unwrap().to_owned();
                assert_eq!(scene.send("DELETE", &format!("/networks/{id}")).await.status.as_u16(), 204);
            }
        },
    )
    .await;

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn no_image_is_made_by_a_broken_request() {
    let scene = Scene::start().await;
    let before = scene.state().await;
    let whole = json!({
        "User": "root", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Cmd": ["sh"], "Entrypoint": ["sh"],
        "Volumes": {"/v": {}}, "WorkingDir": "/", "Labels": {"a": "b"}, "StopSignal": "TERM", "Shell": ["sh"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Retries": 1},
    });

    send(
        &scene,
        async || "/commit?container=web&pause=0".to_owned(),
        &whole,
        async |answer| {
            if answer.status.as_u16() == 201 {
                let id = answer.json()["Id"].as_str().unwrap().to_owned();
                assert_eq!(scene.send("GET", &format!("/images/{id}/json")).await.status.as_u16(), 200);
                assert_eq!(scene.send("DELETE", &format!("/images/{id}?force=1")).await.status.as_u16(), 200);
            }
        },
    )
    .await;

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn no_array_is_taken_for_the_fields_of_an_object() {
    let scene = Scene::start().await;
    let before = scene.state().await;

    for (path, body) in [
        ("/containers/create", json!({"Image": "busybox:test", "HostConfig": []})),
        ("/containers/create", json!({"Image": "busybox:test", "HostConfig": {"RestartPolicy": ["always", 1]}})),
        ("/containers/run/update", json!({"RestartPolicy": ["always", 1]})),
        ("/services/create", json!({"Name": "x", "TaskTemplate": [{"Image": "busybox:test"}]})),
        ("/services/create", json!({"Name": "x", "TaskTemplate": {"ContainerSpec": ["busybox:test"]}})),
        ("/swarm/update?version=1", json!({"Raft": [1, 2]})),
    ] {
        let what = body.to_string();
        check_refused(&scene.post(path, &body).await, &what);
    }

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn questions_that_are_none_are_refused() {
    let scene = Scene::start().await;
    let before = scene.state().await;
    // Whatever else is in it, this is no registry that could be asked.
    let login = json!({"username": "u", "password": "p", "auth": "", "identitytoken": "", "registrytoken": ""});
    let blobs = json!({"Blobs": [format!("sha256:{}", "a".repeat(64)), format!("sha256:{}", "b".repeat(64))]});
    let nothing = async |_: &Answer| {};

    send(&scene, async || "/images/lacking".to_owned(), &blobs, nothing).await;
    for mut body in spoilt(&login) {
        if let Some(login) = body.as_object_mut() {
            login.insert("serveraddress".to_owned(), json!("no registry"));
        }
        let text = body.to_string();
        // A body that is no document at all says nothing of a registry, and must not come to be asked about Docker's.
        if body.is_object() || !body.is_null() {
            check_refused(&scene.request(request("POST", "/auth", Body::from(text.clone()))).await, &text);
        }
    }
    for address in [json!(1), json!([]), json!({}), json!("a b"), json!("user@host.x"), json!("x".repeat(5_000))] {
        let text = json!({"serveraddress": address}).to_string();
        check_refused(&scene.request(request("POST", "/auth", Body::from(text.clone()))).await, &text);
    }

    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn no_node_and_no_swarm_is_changed_by_what_is_no_setting() {
    let scene = Scene::start().await;
    let node = json!({"Name": "", "Labels": {"a": "b"}, "Role": "manager", "Availability": "active"});
    let swarm = scene.send("GET", "/swarm").await.json()["Spec"].clone();
    let nothing = async |_: &Answer| {};
    let version = async |path: &str| scene.send("GET", path).await.json()["Version"]["Index"].clone();

    let of_node = async || format!("/nodes/self/update?version={}", version("/nodes/self").await);
    send(&scene, of_node, &node, nothing).await;
    let of_swarm = async || format!("/swarm/update?version={}", version("/swarm").await);
    send(&scene, of_swarm, &swarm, nothing).await;

    let after = scene.send("GET", "/swarm").await.json();
    assert_eq!(after["Spec"]["Name"], "default");
}

#[tokio::test]
async fn no_swarm_is_made_or_joined_by_what_is_no_request() {
    let served = Served::start(MemoryNode::inactive()).await;
    let init = json!({
        "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "127.0.0.1", "DataPathAddr": "127.0.0.1", "DataPathPort": 4789,
        "DefaultAddrPool": ["10.0.0.0/8"], "SubnetSize": 24, "ForceNewCluster": false, "AutoLockManagers": false,
        "Availability": "active", "Spec": {
            "Name": "default", "Labels": {"a": "b"}, "Orchestration": {"TaskHistoryRetentionLimit": 5},
            "Raft": {"SnapshotInterval": 10_000, "KeepOldSnapshots": 0, "ElectionTick": 10, "HeartbeatTick": 1},
            "Dispatcher": {"HeartbeatPeriod": 5_000_000_000_u64}, "CAConfig": {"NodeCertExpiry": 7_776_000_000_000_000_u64},
            "TaskDefaults": {}, "EncryptionConfig": {"AutoLockManagers": false},
        },
    });
    let join = json!({
        "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "127.0.0.1", "DataPathAddr": "127.0.0.1",
        "RemoteAddrs": ["127.0.0.1:1"], "JoinToken": "no token", "Availability": "active",
    });

    send(
        &served,
        async || "/swarm/init".to_owned(),
        &init,
        async |answer| {
            if answer.status.as_u16() == 200 {
                assert_eq!(served.send("POST", "/swarm/leave?force=1").await.status.as_u16(), 200);
            }
        },
    )
    .await;
    send(&served, async || "/swarm/join".to_owned(), &join, async |answer| check_refused(answer, "join")).await;
    let key = json!({"UnlockKey": "no key"});
    for body in broken_bodies(&key) {
        let answer = served.request(request("POST", "/swarm/unlock", Body::from(body))).await;
        // In no swarm there is nothing to unlock, whatever the key.
        assert!(answer.status.as_u16() == 503 || answer.status.is_client_error(), "{}", answer.body);
    }

    assert_eq!(served.send("HEAD", "/_ping").await.headers["swarm"], "inactive");
}
