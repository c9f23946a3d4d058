//! Containers that cannot be, and what is said of them.

use serde_json::{Value, json};

use super::lab::{self, Lab};
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
    let beside = "container cannot be connected to multiple networks";
    check("/NetworkingConfig", json!({"EndpointsConfig": {"web": {}}}), 400, beside).await;
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
