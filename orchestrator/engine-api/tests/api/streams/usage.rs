//! What takes room, and what there is nothing of.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::lab::{Lab, script};

#[tokio::test]
async fn what_takes_room_is_told_by_kind() {
    let lab = Lab::start().await;
    let mut wanted = script("dd if=/dev/zero of=/large bs=1000 count=100; dd if=/dev/zero of=/data/x bs=1000 count=7");
    wanted.host_config.binds = Some(vec!["kept:/data".to_owned()]);
    lab.run("web", wanted).await;
    lab.wait("web").await;

    let all = lab.expect("GET", "/system/df", 200).await.json();
    let volumes = lab.expect("GET", "/system/df?type=volume", 200).await.json();
    let old = lab.expect("GET", "/v1.41/system/df?type=container&type=build-cache", 200).await.json();

    let image = &all["Images"][0];
    assert_eq!((&image["RepoTags"][0], &image["Containers"]), (&json!("busybox:test"), &json!(1)));
    assert_eq!((&all["LayersSize"], &image["SharedSize"]), (&image["Size"], &json!(0)));
    let container = &all["Containers"][0];
    assert_eq!((&container["Names"][0], &container["State"]), (&json!("/web"), &json!("exited")));
    assert_eq!((&container["Mounts"][0]["Driver"], &container["Mounts"][0]["Name"]), (&json!("local"), &json!("kept")));
    assert!(container["Command"].as_str().unwrap().starts_with("sh -c 'dd if="), "{container}");
    assert!(container["Status"].as_str().unwrap().starts_with("Exited (0) "), "{container}");
    assert!(container["SizeRw"].as_u64().unwrap() >= 100_000, "{container}");
    assert!(container["SizeRootFs"].as_u64() > image["Size"].as_u64(), "{container}");
    assert_eq!(all["Volumes"][0]["UsageData"], json!({"RefCount": 1, "Size": 7000}));
    assert_eq!(all["BuildCache"], json!([]));
    assert_eq!((&volumes["Images"], &volumes["Volumes"]), (&Value::Null, &all["Volumes"]));
    assert_eq!((&old["Volumes"], &old["BuilderSize"], &old["BuildCache"]), (&Value::Null, &json!(0), &json!([])));
    assert_eq!(lab.send("GET", "/system/df?type=disk").await.refusal(), (400, "unknown object type: disk".to_owned()));
}

#[tokio::test]
async fn images_are_built_elsewhere_and_nothing_is_left_of_builds() {
    let lab = Lab::start().await;

    for path in ["/build?t=x", "/session"] {
        let (status, message) = lab.send("POST", path).await.refusal();
        assert_eq!((status, message.contains("`docker save IMAGE | docker load`")), (501, true), "{message}");
    }
    let pruned = lab.expect("POST", "/build/prune", 200).await.json();

    assert_eq!(pruned, json!({"CachesDeleted": null, "SpaceReclaimed": 0}));
}

#[tokio::test]
async fn events_are_found_by_what_is_before_their_colon_and_by_their_image() {
    let lab = Lab::start().await;
    lab.run("web", script("sleep 1000")).await;
    let body = json!({"Cmd": ["true", "one"]});
    lab.post("/containers/web/exec", &body).await;
    let check = async |filters: Value, expected: &[&str]| {
        let encoded = utf8_percent_encode(&filters.to_string(), NON_ALPHANUMERIC).to_string();
        let answer = lab.send("GET", &format!("/events?since=1&until=0s&filters={encoded}")).await;
        let actions = answer.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["Action"].clone());
        assert_eq!(actions.collect::<Vec<_>>(), expected, "{filters}");
    };

    check(json!({"event": ["exec_create"]}), &["exec_create: true one"]).await;
    check(json!({"event": ["exec_create: true one"]}), &["exec_create: true one"]).await;
    check(json!({"event": ["exec_start"]}), &[]).await;
    check(json!({"type": ["container"], "image": ["busybox"]}), &["create", "start", "exec_create: true one"]).await;
    check(json!({"type": ["container"], "image": ["busy"]}), &[]).await;
    check(json!({"container": ["web"], "event": ["start"]}), &["start"]).await;
}
