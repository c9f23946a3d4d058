//! Lists of containers, as Docker filters them.

use serde_json::{Value, json};

use super::lab::{self, Lab};
use crate::busybox::BUSYBOX;

/// Three containers: `runs`, `ended` (with 3) and `fresh`, which was never started.
async fn three(lab: &Lab) {
    let mut runs = lab::script("sleep 1000");
    runs["Labels"] = json!({"tier": "front", "zone": "a"});
    runs["ExposedPorts"] = json!({"80/tcp": {}, "53/udp": {}});
    runs["HostConfig"]["Mounts"] = json!([{"Type": "volume", "Source": "data", "Target": "/data"}]);
    lab.run("runs", &runs).await;
    lab.run("ended", &lab::script("exit 3")).await;
    lab.expect("POST", "/containers/ended/wait", 200).await;
    let mut fresh = lab::script("true");
    fresh["HostConfig"] = json!({"NetworkMode": "host", "PortBindings": {"8000/tcp": [{"HostPort": "80"}]}});
    lab.create("fresh", &fresh).await;
}

async fn names(lab: &Lab, query: &str) -> Vec<String> {
    let answer = lab.send("GET", &format!("/containers/json?{query}")).await;
    let listed = answer.json();
    let containers = listed.as_array().unwrap_or_else(|| panic!("{query}: {listed}"));
    containers.iter().map(|container| container["Names"][0].as_str().unwrap()[1..].to_owned()).collect()
}

#[tokio::test]
async fn lists_are_filtered_as_docker_filters_them() {
    let lab = Lab::start().await;
    three(&lab).await;
    let id = lab.id("ended").await;
    let check = async |filters: Value, expected: &[&str]| {
        let query = format!("all=1&filters={}", lab::encode(&filters));
        assert_eq!(names(&lab, &query).await, expected, "{filters}");
    };

    assert_eq!(names(&lab, "").await, ["runs"]);
    assert_eq!(names(&lab, "all=1").await, ["fresh", "ended", "runs"], "the youngest first");
    assert_eq!(names(&lab, "limit=2").await, ["fresh", "ended"], "a number is of all");
    assert_eq!(names(&lab, "limit=-1").await, ["runs"]);
    assert_eq!(names(&lab, "all=1&since=runs").await, ["fresh", "ended"]);
    assert_eq!(names(&lab, "all=1&before=fresh").await, ["ended", "runs"]);
    let status = lab::encode(&json!({"status": ["exited"]}));
    assert_eq!(names(&lab, &format!("filters={status}")).await, ["ended"], "whoever names a state wants all");

    check(json!({"status": ["created", "running"]}), &["fresh", "runs"]).await;
    check(json!({"exited": ["3"]}), &["ended"]).await;
    check(json!({"exited": ["0"]}), &[]).await;
    check(json!({"name": ["n"]}), &["ended", "runs"]).await;
    check(json!({"name": ["^/?fr", "^ended$"]}), &["fresh", "ended"]).await;
    check(json!({"id": [id]}), &["ended"]).await;
    check(json!({"id": [format!("^{}", &id[..8])]}), &["ended"]).await;
    check(json!({"label": ["tier"]}), &["runs"]).await;
    check(json!({"label": ["tier=front", "zone=b"]}), &[]).await;
    check(json!({"ancestor": [BUSYBOX]}), &["fresh", "ended", "runs"]).await;
    check(json!({"ancestor": ["nothing"]}), &[]).await;
    check(json!({"before": ["ended"]}), &["runs"]).await;
    check(json!({"since": {"ended": true}}), &["fresh"]).await;
    check(json!({"volume": ["data"]}), &["runs"]).await;
    check(json!({"volume": ["/data"]}), &["runs"]).await;
    check(json!({"network": ["host"]}), &["fresh"]).await;
    check(json!({"expose": ["80"]}), &["runs"]).await;
    check(json!({"expose": ["50-60/udp"]}), &["runs"]).await;
    check(json!({"publish": ["8000"]}), &["fresh"]).await;
    check(json!({"health": ["none"]}), &["fresh", "ended", "runs"]).await;
    check(json!({"health": ["healthy"]}), &[]).await;
    check(json!({"is-task": ["false"]}), &["fresh", "ended", "runs"]).await;
    check(json!({"is-task": ["true"]}), &[]).await;
    check(json!({"isolation": ["default"]}), &["fresh", "ended", "runs"]).await;
}

#[tokio::test]
async fn filters_that_say_nothing_are_refused() {
    let lab = Lab::start().await;
    let check = async |filters: Value, status: u16, message: &str| {
        let refusal = lab.send("GET", &format!("/containers/json?filters={}", lab::encode(&filters))).await.refusal();
        assert!(refusal.0 == status && refusal.1.starts_with(message), "{filters}: {refusal:?}");
    };

    check(json!({"colour": ["red"]}), 400, "invalid filter 'colour'").await;
    check(json!({"status": ["resting"]}), 400, "invalid filter 'status=resting'").await;
    check(json!({"health": ["fine"]}), 400, "invalid filter 'health=fine'").await;
    check(json!({"exited": ["x"]}), 400, "invalid filter 'exited=x'").await;
    check(json!({"is-task": ["perhaps"]}), 400, "invalid filter 'is-task=[perhaps]'").await;
    check(json!({"name": ["["]}), 400, "invalid filter 'name=['").await;
    check(json!({"name": ["(a{1000}){1000}"]}), 400, "invalid filter 'name=").await;
    check(json!({"expose": ["high"]}), 400, "invalid port: \"high\"").await;
    check(json!({"before": ["nobody"]}), 404, "No such container: nobody").await;
    assert_eq!(lab.send("GET", "/containers/json?limit=many").await.refusal().0, 400);
}

#[tokio::test]
async fn a_line_of_a_list_has_what_docker_ps_shows() {
    let lab = Lab::start().await;
    three(&lab).await;

    let listed = lab.send("GET", "/containers/json?all=1&size=1").await.json();
    let image = lab.send("GET", &format!("/images/{BUSYBOX}/json")).await.json()["Id"].clone();

    let [fresh, ended, runs] = [0, 1, 2].map(|at| &listed[at]);
    assert_eq!((&runs["Image"], &runs["ImageID"], &runs["State"]), (&json!(BUSYBOX), &image, &json!("running")));
    assert_eq!(runs["Command"], "sh -c 'sleep 1000'");
    assert!(runs["Created"].as_i64().unwrap() > 1_700_000_000);
    assert_eq!((&runs["Ports"], &runs["HostConfig"]), (&json!([]), &json!({"NetworkMode": "none"})));
    assert_eq!(runs["Labels"], json!({"origin": "test", "tier": "front", "zone": "a"}));
    assert_eq!((&runs["Mounts"][0]["Name"], &runs["Mounts"][0]["Destination"]), (&json!("data"), &json!("/data")));
    assert!(runs["NetworkSettings"]["Networks"]["none"].is_object());
    assert!(runs["SizeRootFs"].as_u64().unwrap() > 1 << 20 && runs["SizeRw"].is_u64());
    assert!(ended["Status"].as_str().unwrap().starts_with("Exited (3) "), "{}", ended["Status"]);
    assert_eq!(fresh["Status"], "Created");

    lab.expect("DELETE", &format!("/images/{BUSYBOX}?force=1"), 200).await;
    assert_eq!(lab.send("GET", "/containers/json").await.json()[0]["Image"], image, "its name means nothing any more");
}
