//! Containers over raw HTTP: real ones, of a real image, from their making to their end.

mod filters;
pub(crate) mod lab;
mod logs;
mod refusals;
mod uses;

use axum::body::Body;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use self::lab::Lab;
use crate::busybox::BUSYBOX;
use crate::served::{PATIENCE, open, request};

#[tokio::test]
async fn a_container_is_made_started_waited_for_and_removed() {
    let lab = Lab::start().await;
    let made = lab.post("/containers/create?name=web", &lab::script("echo hello; exit 7")).await;
    let id = made.json()["Id"].as_str().unwrap().to_owned();

    // The head of the answer comes before the container ends, and before it is started at all.
    let (wait, _connection) =
        open(&lab.socket(), request("POST", "/containers/web/wait?condition=next-exit", Body::empty())).await;
    let started = lab.send("POST", "/containers/web/start").await;
    let outcome = tokio::time::timeout(PATIENCE, wait.into_body().collect()).await.unwrap().unwrap().to_bytes();
    let ended = lab.send("GET", &format!("/containers/{}/json", &id[..12])).await.json();
    let again = lab.send("POST", "/containers/web/stop").await;
    let at_once = lab.send("POST", "/containers/web/wait").await.json();
    let removed = lab.send("DELETE", "/containers/web").await;
    let gone = lab.send("GET", "/containers/web/json").await.refusal();

    assert_eq!((made.status, &made.json()["Warnings"]), (StatusCode::CREATED, &json!([])));
    assert_eq!((started.status, started.body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(outcome, "{\"StatusCode\":7}\n");
    assert_eq!((&ended["State"]["Status"], &ended["State"]["ExitCode"]), (&json!("exited"), &json!(7)));
    assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(at_once, json!({"StatusCode": 7}));
    assert_eq!((removed.status, removed.body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(gone, (404, "No such container: web".to_owned()));
}

#[tokio::test]
async fn a_wait_for_the_removal_ends_with_the_container() {
    let lab = Lab::start().await;
    let mut body = lab::script("exit 3");
    body["HostConfig"]["AutoRemove"] = json!(true);
    lab.post("/containers/create?name=once", &body).await;

    let waiting = request("POST", "/containers/once/wait?condition=removed", Body::empty());
    let (wait, _connection) = open(&lab.socket(), waiting).await;
    lab.expect("POST", "/containers/once/start", 204).await;
    let outcome = tokio::time::timeout(PATIENCE, wait.into_body().collect()).await.unwrap().unwrap().to_bytes();

    assert_eq!(outcome, "{\"StatusCode\":3}\n");
    assert_eq!(lab.send("GET", "/containers/once/json").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_container_runs_stands_still_is_renamed_changed_and_ended() {
    let lab = Lab::start().await;
    lab.run("web", &lab::server()).await;
    let status = async || lab.send("GET", "/containers/json?all=1").await.json()[0]["Status"].clone();
    let inspected = async || lab.send("GET", "/containers/web/json").await.json();

    assert_eq!(lab.send("POST", "/containers/web/start").await.status, StatusCode::NOT_MODIFIED);
    lab.expect("POST", "/containers/web/pause", 204).await;
    assert!(status().await.as_str().unwrap().ends_with(" (Paused)"));
    assert_eq!(inspected().await["State"]["Paused"], true);
    assert_eq!(lab.send("POST", "/containers/web/pause").await.status, StatusCode::CONFLICT);
    lab.expect("POST", "/containers/web/unpause", 204).await;
    assert!(status().await.as_str().unwrap().starts_with("Up "));

    lab.expect("POST", "/containers/web/rename?name=shop", 204).await;
    assert_eq!(lab.send("GET", "/containers/web/json").await.status, StatusCode::NOT_FOUND);
    lab.expect("POST", "/containers/shop/rename?name=%2Fweb", 204).await;
    assert_eq!(inspected().await["Name"], "/web");

    let change = json!({"Memory": 67_108_864, "PidsLimit": 50, "RestartPolicy": {"Name": "unless-stopped"}});
    assert_eq!(lab.post("/containers/web/update", &change).await.json(), json!({"Warnings": []}));
    let changed = inspected().await["HostConfig"].clone();
    assert_eq!((&changed["Memory"], &changed["PidsLimit"]), (&json!(67_108_864), &json!(50)));
    assert_eq!(changed["RestartPolicy"], json!({"Name": "unless-stopped", "MaximumRetryCount": 0}));

    let first = inspected().await["State"]["StartedAt"].clone();
    lab.expect("POST", "/containers/web/restart?t=5", 204).await;
    assert_ne!(inspected().await["State"]["StartedAt"], first);
    assert_eq!(
        lab.send("DELETE", "/containers/web").await.refusal(),
        (
            409,
            "cannot remove container \"/web\": container is running: stop the container before removing or force \
               remove"
                .to_owned()
        )
    );
    lab.expect("POST", "/containers/web/kill?signal=SIGINT", 204).await;
    lab.expect("POST", "/containers/web/stop?t=30&signal=TERM", 204).await;
    assert_eq!(inspected().await["State"]["ExitCode"], 0, "it ended by itself when it was asked");
    let (status, message) = lab.send("POST", "/containers/web/kill").await.refusal();
    assert!(status == 409 && message.starts_with("cannot kill container: "), "{message}");
    lab.expect("POST", "/containers/web/start", 204).await;
    lab.expect("DELETE", "/containers/web?force=1&v=1", 204).await;
    assert_eq!(lab.send("GET", "/containers/json?all=1").await.json(), json!([]));
}

#[tokio::test]
async fn an_inspection_has_all_that_clients_read() {
    let lab = Lab::start().await;
    let mut body = lab::script("sleep 1000");
    body["Healthcheck"] = json!({"Test": ["CMD", "true"], "Interval": 1_000_000_000});
    body["Labels"] = json!({"tier": "front"});
    body["ExposedPorts"] = json!({"80/tcp": {}});
    body["Volumes"] = json!({"/data": {}});
    body["HostConfig"] = json!({
        "NetworkMode": "none", "Binds": ["/tmp:/host:ro"], "Tmpfs": {"/run": "size=1m"}, "Memory": 67_108_864,
        "Mounts": [{"Type": "volume", "Source": "kept", "Target": "/kept"}],
    });
    let id = lab.run("web", &body).await;

    let it = lab.until("web", |it| it["State"]["Health"]["Status"] == "healthy").await;
    let sized = lab.send("GET", "/containers/web/json?size=1").await.json();

    assert_eq!((&it["Id"], &it["Name"], &it["Path"]), (&json!(id), &json!("/web"), &json!("sh")));
    assert_eq!(it["Args"], json!(["-c", "sleep 1000"]));
    let state = &it["State"];
    assert_eq!((&state["Running"], &state["Dead"], &state["OOMKilled"]), (&json!(true), &json!(false), &json!(false)));
    assert!(state["Pid"].as_u64().unwrap() > 1 && state["Health"]["Log"][0]["ExitCode"] == 0);
    assert_eq!(state["FinishedAt"], "0001-01-01T00:00:00Z");
    assert_eq!(it["Image"], lab.send("GET", &format!("/images/{BUSYBOX}/json")).await.json()["Id"]);
    assert_eq!(
        (&it["Driver"], &it["Platform"], &it["GraphDriver"]["Name"]),
        (&json!("overlayfs"), &json!("linux"), &json!("overlayfs"))
    );
    for place in ["ResolvConfPath", "HostnamePath", "HostsPath"] {
        assert!(std::path::Path::new(it[place].as_str().unwrap()).exists(), "{place}");
    }
    assert!(it["LogPath"].as_str().unwrap().ends_with(&format!("{id}/logs")), "it has written nothing");
    assert!(std::path::Path::new(it["GraphDriver"]["Data"]["MergedDir"].as_str().unwrap()).join("bin/sh").exists());
    let host = &it["HostConfig"];
    assert_eq!(
        (&host["NetworkMode"], &host["Runtime"], &host["ShmSize"]),
        (&json!("none"), &json!("runc"), &json!(67_108_864))
    );
    assert_eq!(host["RestartPolicy"], json!({"Name": "no", "MaximumRetryCount": 0}));
    assert_eq!(host["LogConfig"], json!({"Type": "json-file", "Config": {}}));
    assert_eq!(host["MemorySwap"], 134_217_728);
    assert_eq!((&it["Config"]["Hostname"], &it["Config"]["Labels"]["origin"]), (&json!(id[..12]), &json!("test")));
    assert_eq!(
        (&it["Config"]["Labels"]["tier"], &it["Config"]["ExposedPorts"]),
        (&json!("front"), &json!({"80/tcp": {}}))
    );
    let networks = &it["NetworkSettings"]["Networks"];
    assert_eq!((&networks["none"]["IPAddress"], &it["NetworkSettings"]["IPAddress"]), (&json!(""), &json!("")));
    assert_eq!(networks["none"]["NetworkID"].as_str().unwrap().len(), 64);

    let mount = |destination: &str| {
        let mounts = it["Mounts"].as_array().unwrap();
        mounts.iter().find(|mount| mount["Destination"] == destination).cloned().unwrap_or_default()
    };
    assert_eq!(
        mount("/host"),
        json!({"Type": "bind", "Source": "/tmp", "Destination": "/host", "Mode": "ro", "RW": false, "Propagation": "rprivate"})
    );
    let kept = mount("/kept");
    assert_eq!(
        (&kept["Type"], &kept["Name"], &kept["Driver"], &kept["RW"]),
        (&json!("volume"), &json!("kept"), &json!("local"), &json!(true))
    );
    assert_eq!(mount("/data")["Name"].as_str().unwrap().len(), 64);
    assert_eq!(mount("/run"), Value::Null);
    assert!(it.get("SizeRw").is_none() && sized["SizeRw"].is_u64());
    assert!(sized["SizeRootFs"].as_u64().unwrap() > 1 << 20);
}

#[tokio::test]
async fn what_does_not_run_is_pruned() {
    let lab = Lab::start().await;
    lab.run("running", &lab::server()).await;
    let mut labelled = lab::script("true");
    labelled["Labels"] = json!({"keep": "yes"});
    for (name, body) in [("kept", &labelled), ("plain", &lab::script("true"))] {
        lab.run(name, body).await;
        lab.expect("POST", &format!("/containers/{name}/wait"), 200).await;
    }
    let plain = lab.id("plain").await;
    let prune =
        async |filters: Value| lab.send("POST", &format!("/containers/prune?filters={}", lab::encode(&filters))).await;

    let too_old = prune(json!({"until": ["24h"]})).await.json();
    let first = prune(json!({"label!": ["keep=yes"]})).await.json();
    let second = prune(json!({"label": {"keep": true}})).await.json();
    let wrong = prune(json!({"colour": ["red"]})).await.refusal();

    assert_eq!(too_old, json!({"ContainersDeleted": null, "SpaceReclaimed": 0}));
    assert_eq!(first["ContainersDeleted"], json!([plain]));
    assert_eq!(second["ContainersDeleted"].as_array().unwrap().len(), 1);
    assert_eq!(wrong, (400, "invalid filter 'colour'".to_owned()));
    let left = lab.send("GET", "/containers/json?all=1").await.json();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["Names"]), (1, &json!(["/running"])));
}

#[tokio::test]
async fn a_container_of_a_task_is_a_container_like_any_other() {
    let lab = Lab::start().await;
    let labels = [("com.docker.swarm.task", ""), ("com.docker.swarm.task.id", "aaaaaaaaaaaaaaaaaaaaaaaa1")];
    let mut body = lab::script("sleep 1000");
    body["Labels"] = labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let task: engine::CreateRequest = serde_json::from_value(body).unwrap();

    let made = lab.engine.containers().ensure("web.1.aaaaaaaaaaaaaaaaaaaaaaaa1", task).await.unwrap();
    lab.engine.containers().start(&made.id).await.unwrap();

    let listed =
        lab.send("GET", &format!("/containers/json?filters={}", lab::encode(&json!({"is-task": ["true"]})))).await;
    assert_eq!(listed.json()[0]["Id"], made.id);
    assert_eq!(listed.json()[0]["Labels"]["com.docker.swarm.task.id"], "aaaaaaaaaaaaaaaaaaaaaaaa1");
    lab.expect("DELETE", "/containers/web.1.aaaaaaaaaaaaaaaaaaaaaaaa1?force=1", 204).await;
    assert!(lab.engine.containers().find(&made.id).is_err());
}
