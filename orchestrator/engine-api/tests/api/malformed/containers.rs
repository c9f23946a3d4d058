//! Malformed requests for containers.

use axum::body::Body;
use serde_json::Value;

use super::drawing::{CASES, Drawing, broken_bodies, check, encode, spoilt};
use crate::busybox::BUSYBOX;
use crate::containers::lab::{self, Lab};
use crate::served::request;

/// A request with every kind of field, so that each can be spoilt.
const WHOLE: &str = r#"{
    "Hostname": "h", "Domainname": "d", "User": "root", "AttachStdout": true, "ExposedPorts": {"80/tcp": {}},
    "Tty": true, "OpenStdin": true, "Env": ["A=b"], "Cmd": ["true"], "Image": "busybox:test", "Volumes": {"/v": {}},
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000, "Retries": 1}, "WorkingDir": "/",
    "Entrypoint": ["sh"], "Labels": {"a": "b"}, "StopSignal": "TERM", "StopTimeout": 1, "Shell": ["sh"],
    "HostConfig": {
        "Binds": ["/tmp:/host:ro"], "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "NetworkMode": "none", "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}]},
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}, "VolumeDriver": "local",
        "VolumesFrom": [], "ConsoleSize": [24, 80], "Annotations": {"a": "b"}, "CapAdd": ["CAP_CHOWN"],
        "CapDrop": ["KILL"], "CgroupnsMode": "host", "Dns": ["1.1.1.1"], "DnsOptions": ["ndots:1"],
        "DnsSearch": ["a"], "ExtraHosts": ["a:1.1.1.1"], "GroupAdd": ["0"], "IpcMode": "private",
        "OomScoreAdj": 1, "PidMode": "", "Privileged": false, "ReadonlyRootfs": true,
        "SecurityOpt": ["no-new-privileges"], "Tmpfs": {"/run": "size=1m"}, "UTSMode": "", "UsernsMode": "",
        "ShmSize": 1048576, "Sysctls": {"net.core.somaxconn": "1"}, "Runtime": "runc", "CpuShares": 512,
        "Memory": 67108864, "NanoCpus": 500000000, "BlkioWeight": 100,
        "BlkioWeightDevice": [{"Path": "/dev/null", "Weight": 10}],
        "BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}], "CpusetCpus": "0",
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}],
        "DeviceCgroupRules": ["c 1:3 r"], "MemoryReservation": 33554432, "MemorySwap": -1,
        "MemorySwappiness": 10, "OomKillDisable": false, "PidsLimit": 10,
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
        "Mounts": [
            {"Type": "volume", "Source": "data", "Target": "/data", "VolumeOptions": {
                "NoCopy": true, "Labels": {}, "DriverConfig": {"Name": "local", "Options": {}}
            }},
            {"Type": "tmpfs", "Target": "/memory", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 448}},
            {"Type": "bind", "Source": "/tmp", "Target": "/other", "ReadOnly": true, "BindOptions": {
                "Propagation": "rprivate", "CreateMountpoint": false
            }}
        ],
        "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"], "Init": true
    },
    "NetworkingConfig": {"EndpointsConfig": {"none": {"IPAMConfig": {}, "Aliases": [], "Links": []}}}
}"#;

fn whole() -> Value {
    let whole: Value = serde_json::from_str(WHOLE).unwrap();
    assert_eq!(whole["Image"], BUSYBOX);
    whole
}

/// Sends a body to both calls that take one. What is made by chance can be looked at and goes again.
async fn send(lab: &Lab, body: &[u8]) {
    let what = String::from_utf8_lossy(body).into_owned();
    let made = lab.request(request("POST", "/containers/create", Body::from(body.to_vec()))).await;
    check(&made, &what);
    if made.status.as_u16() == 201 {
        let id = made.json()["Id"].as_str().unwrap().to_owned();
        lab.expect("GET", &format!("/containers/{id}/json"), 200).await;
        lab.expect("GET", "/containers/json?all=1", 200).await;
        lab.expect("DELETE", &format!("/containers/{id}?v=1"), 204).await;
    }
    check(&lab.request(request("POST", "/containers/web/update", Body::from(body.to_vec()))).await, &what);
}

#[tokio::test]
async fn a_request_that_is_spoilt_anywhere_is_refused_or_taken() {
    let lab = Lab::start().await;
    lab.create("web", &lab::script("true")).await;
    let good = lab.post("/containers/create?name=whole", &whole()).await;
    assert_eq!(good.status.as_u16(), 201, "{}", good.body);

    for body in spoilt(&whole()) {
        send(&lab, body.to_string().as_bytes()).await;
    }
}

#[tokio::test]
async fn a_body_that_is_no_container_is_refused() {
    let lab = Lab::start().await;
    lab.create("web", &lab::script("true")).await;

    for body in broken_bodies(&whole()) {
        send(&lab, &body).await;
    }
    let body = whole().to_string();
    for place in ["\"NetworkingConfig\":", "\"Labels\":"] {
        let deep = body.replacen(place, &format!("{place}{}", "[".repeat(200)), 1);
        send(&lab, deep.as_bytes()).await;
    }
}

#[tokio::test]
async fn paths_and_queries_that_are_nonsense_are_refused() {
    let (lab, mut drawing) = (Lab::start().await, Drawing::default());
    lab.create("web", &lab::script("true")).await;

    for _ in 0..CASES {
        let nonsense = drawing.nonsense();
        for (method, path) in [
            ("GET", format!("/containers/json?all=1&filters={nonsense}")),
            ("GET", format!("/containers/json?all=1&limit={nonsense}")),
            ("GET", format!("/containers/json?filters={}", encode(&format!("{{\"name\":[\"{nonsense}\"]}}")))),
            ("GET", format!("/containers/x{nonsense}/json")),
            ("POST", format!("/containers/web/kill?signal={nonsense}")),
            ("POST", format!("/containers/web/stop?t={nonsense}")),
            ("POST", format!("/containers/web/wait?condition=x{nonsense}")),
            ("GET", format!("/containers/web/logs?stdout=1&since={nonsense}&tail={nonsense}")),
            ("GET", format!("/containers/web/top?ps_args={nonsense}")),
            ("POST", format!("/containers/web/rename?name=-{nonsense}")),
            ("POST", format!("/containers/create?name=-{nonsense}")),
            ("POST", format!("/containers/prune?filters={}", encode(&format!("{{\"until\":[\"x{nonsense}\"]}}")))),
        ] {
            check(&lab.send(method, &path).await, &path);
        }
    }
}
