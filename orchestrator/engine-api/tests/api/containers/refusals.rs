//! Containers that cannot be, and requests that are nonsense: each is answered, with a refusal that has a message.

use axum::body::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::lab::{self, Lab};
use crate::busybox::BUSYBOX;
use crate::served::{Answer, request};

/// Drawn requests of each kind: a seeded generator draws the same ones in every run.
const CASES: usize = 300;

#[tokio::test]
async fn what_no_container_can_be_is_refused_in_dockers_words() {
    let lab = Lab::start().await;
    let check = async |place: &str, value: Value, status: u16, message: &str| {
        let mut body = lab::script("true");
        let (parent, key) = place.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        let refusal = lab.post("/containers/create", &body).await.refusal();
        assert!(refusal.0 == status && refusal.1.starts_with(message), "{place}: {refusal:?}");
    };

    check("/Image", json!("nothing"), 404, "No such image: nothing:latest").await;
    check("/Image", json!("Not a name"), 400, "invalid reference format").await;
    check("/Image", json!(""), 400, "no image is named").await;
    check("/WorkingDir", json!("srv"), 400, "the working directory 'srv' is invalid").await;
    check("/Env", json!(["=x"]), 400, "invalid environment variable: =x").await;
    check("/Env", json!("A=b"), 400, "invalid JSON: ").await;
    check("/StopSignal", json!("WHAT"), 400, "Invalid signal: WHAT").await;
    check("/ExposedPorts", json!({"high": {}}), 400, "invalid port specification: \"high\"").await;
    check("/HostConfig/PortBindings", json!({"80/tcp": [{"HostIp": "x"}]}), 400, "invalid IP address: x").await;
    check("/HostConfig/NetworkMode", json!("web"), 400, "network web not found").await;
    check("/HostConfig/Memory", json!(1000), 400, "Minimum memory limit allowed is 6MB").await;
    check("/HostConfig/Memory", json!("much"), 400, "invalid JSON: ").await;
    check("/HostConfig/Binds", json!(["x"]), 400, "").await;
    check("/HostConfig/Runtime", json!("kata"), 400, "unknown or invalid runtime name: kata").await;
    check("/HostConfig/LogConfig", json!({"Type": "syslog"}), 400, "logger: no log driver named 'syslog'").await;
    check("/HostConfig/Links", json!(["a:b"]), 501, "this engine does not link containers").await;
    check("/NetworkingConfig", json!({"EndpointsConfig": {"web": {}}}), 501, "this engine does not connect").await;
    check("/NetworkingConfig", json!(7), 400, "invalid JSON: ").await;
    assert_eq!(lab.send("GET", "/containers/json?all=1").await.json(), json!([]), "nothing is left of them");
}

#[tokio::test]
async fn names_are_checked_and_taken_once() {
    let lab = Lab::start().await;
    let create = async |query: &str| lab.post(&format!("/containers/create?{query}"), &lab::script("true")).await;

    let id = lab.create("web", &lab::script("true")).await;
    let twice = create("name=%2Fweb").await.refusal();
    let nameless = create("").await;
    let other = lab.create("other", &lab::script("true")).await;
    let taken = lab.send("POST", "/containers/other/rename?name=web").await.refusal();
    let same = lab.send("POST", "/containers/other/rename?name=other").await.refusal();
    let empty = lab.send("POST", "/containers/other/rename").await.refusal();
    let platform = create("name=p&platform=linux/s390x").await.refusal();
    let nonsense = create("name=p&platform=a/b/c/d").await.refusal();

    let words = format!(
        "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove (or rename) \
         that container to be able to reuse that name."
    );
    assert_eq!((&twice, &taken), (&(409, words.clone()), &(409, words)));
    assert_eq!(nameless.status.as_u16(), 201);
    assert_eq!(same, (400, "Renaming a container with the same name as its current name".to_owned()));
    assert_eq!(empty, (400, "Neither old nor new names may be empty".to_owned()));
    assert!(platform.0 == 404 && platform.1.contains("does not match the specified platform"), "{platform:?}");
    assert_eq!(nonsense.0, 400);
    for wrong in ["a", "-web", "a%20b", "a%2Fb", "%E2%82%AC%E2%82%AC", &"x".repeat(300)] {
        let (status, message) = create(&format!("name={wrong}")).await.refusal();
        assert!(status == 400 && message.starts_with("Invalid container name ("), "{wrong}: {message}");
    }
    let ambiguous = lab.send("GET", "/containers//json").await;
    assert_eq!(ambiguous.status.as_u16(), 404);
    assert_ne!(id, other);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_by_dockers_words() {
    let lab = Lab::start().await;
    let start = async |name: &str, body: Value| {
        lab.create(name, &body).await;
        let refusal = lab.send("POST", &format!("/containers/{name}/start")).await.refusal();
        let state = lab.send("GET", &format!("/containers/{name}/json")).await.json()["State"].clone();
        (refusal, state)
    };
    let mut missing = lab::script("true");
    missing["Cmd"] = json!(["nothing-like-this"]);
    let mut folder = lab::script("true");
    folder["Cmd"] = json!(["/tmp"]);

    let (not_found, state) = start("missing", missing).await;
    let (not_executable, _) = start("folder", folder).await;

    assert!(not_found.0 == 400 && not_found.1.contains("executable file not found"), "{not_found:?}");
    assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("created"), &json!(127)));
    assert!(
        not_executable.0 == 400
            && (not_executable.1.contains("permission denied") || not_executable.1.contains("is a directory")),
        "{not_executable:?}"
    );
}

#[tokio::test]
async fn queries_that_say_nothing_are_refused() {
    let lab = Lab::start().await;
    lab.run("web", &lab::server()).await;
    let check = async |method: &str, path: &str, status: u16, message: &str| {
        let refusal = lab.send(method, path).await.refusal();
        assert!(refusal.0 == status && refusal.1.starts_with(message), "{method} {path}: {refusal:?}");
    };

    check("POST", "/containers/web/stop?t=soon", 400, "invalid value for t").await;
    check("POST", "/containers/web/restart?t=1.5", 400, "invalid value for t").await;
    check("POST", "/containers/web/stop?signal=WHAT", 400, "Invalid signal: WHAT").await;
    check("POST", "/containers/web/kill?signal=99", 400, "Invalid signal: 99").await;
    check("POST", "/containers/web/wait?condition=bored", 400, "invalid condition: \"bored\"").await;
    check("POST", "/containers/web/unpause", 409, "").await;
    check("GET", "/containers/web/logs?stdout=1&since=soon", 400, "failed to parse value as time").await;
    check("DELETE", "/containers/web?link=1", 501, "this engine does not link containers").await;
    for (method, call) in [
        ("GET", "json"),
        ("POST", "start"),
        ("POST", "stop"),
        ("POST", "restart"),
        ("POST", "kill"),
        ("POST", "pause"),
        ("POST", "unpause"),
        ("POST", "rename?name=x1"),
        ("POST", "update"),
        ("POST", "wait"),
        ("GET", "logs?stdout=1"),
        ("GET", "stats"),
        ("GET", "top"),
    ] {
        check(method, &format!("/containers/nobody/{call}"), 404, "No such container: nobody").await;
    }
    check("DELETE", "/containers/nobody", 404, "No such container: nobody").await;
    // The longest grace is a grace.
    lab.expect("POST", &format!("/containers/web/stop?t={}", i64::MAX), 204).await;
}

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

/// The pointers to everything in a document.
fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Object(members) => {
            let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
            members.iter().for_each(|(key, value)| pointers(value, &format!("{here}/{}", escaped(key)), all));
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
        Just(json!(null)),
        Just(json!([])),
        Just(json!([null])),
        Just(json!("")),
        Just(json!("\u{0}")),
        Just(json!("../../..")),
        Just(json!(1.5)),
        Just(json!(1e300)),
        Just(json!(u64::MAX)),
        Just(json!(i64::MAX)),
        Just(json!(i64::MIN)),
        Just(json!({"": {"": []}})),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[a-z/:.@{}=-]{0,12}".prop_map(Value::from),
    ]
}

fn drawn<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// Refused for a reason, or made: a drawn document may be a good one by chance.
fn check(answer: &Answer, what: &str) {
    let status = answer.status.as_u16();
    if matches!(status, 200 | 201 | 204 | 304) {
        return;
    }
    let (status, message) = answer.refusal();
    let is_not_offered = status == 501 && message.starts_with("this engine does not ");
    assert!((400..500).contains(&status) || is_not_offered, "{status} {message}: {what}");
    assert!(!message.is_empty(), "{status}: {what}");
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
    let (lab, mut runner) = (Lab::start().await, TestRunner::deterministic());
    lab.create("web", &lab::script("true")).await;
    let good = lab.post("/containers/create?name=whole", &whole()).await;
    assert_eq!(good.status.as_u16(), 201, "{}", good.body);
    let mut places = Vec::new();
    pointers(&whole(), "", &mut places);
    let strategy = (proptest::sample::select(places.clone()), any_value());
    let every_place = places.into_iter().flat_map(|place| [(place.clone(), json!({})), (place, json!(-1))]);

    let cases: Vec<_> = every_place.chain((0..CASES).map(|_| drawn(&strategy, &mut runner))).collect();
    for (place, value) in cases {
        let mut body = whole();
        *body.pointer_mut(&place).unwrap() = value;
        send(&lab, body.to_string().as_bytes()).await;
    }
}

#[tokio::test]
async fn a_body_that_is_no_container_is_refused() {
    let (lab, mut runner) = (Lab::start().await, TestRunner::deterministic());
    lab.create("web", &lab::script("true")).await;
    let body = whole().to_string();

    for end in (0..body.len()).step_by(61) {
        send(&lab, &body.as_bytes()[..end]).await;
    }
    let bytes = proptest::collection::vec(any::<u8>(), 0..64);
    for _ in 0..CASES {
        send(&lab, &drawn(&bytes, &mut runner)).await;
    }
    let deep = |place: &str| body.replacen(place, &format!("{place}{}", "[".repeat(200)), 1);
    for body in [
        "[".repeat(100_000),
        format!("{{\"Image\":\"{}\"}}", "x".repeat(2 << 20)),
        deep("\"NetworkingConfig\":"),
        deep("\"Labels\":"),
    ] {
        send(&lab, body.as_bytes()).await;
    }
}

#[tokio::test]
async fn paths_and_queries_that_are_nonsense_are_refused() {
    let (lab, mut runner) = (Lab::start().await, TestRunner::deterministic());
    lab.create("web", &lab::script("true")).await;
    let text = "[-%=&+{}\\[\\]\":,/a-f0-9]{0,24}|\\PC{0,8}";
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();

    for _ in 0..CASES {
        let nonsense = encode(&drawn(&text, &mut runner));
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
