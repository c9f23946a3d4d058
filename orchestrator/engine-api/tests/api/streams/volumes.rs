//! Volumes over raw HTTP.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::lab::{Lab, next_event, script};

async fn names(lab: &Lab, filters: &Value) -> Vec<String> {
    let filters = utf8_percent_encode(&filters.to_string(), NON_ALPHANUMERIC).to_string();
    let listed = lab.expect("GET", &format!("/volumes?filters={filters}"), 200).await.json();
    let volumes = listed["Volumes"].as_array().unwrap();
    volumes.iter().map(|volume| volume["Name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_volume_is_made_once_shown_and_removed() {
    let lab = Lab::start().await;
    let made = lab.post("/volumes/create", &json!({"Name": "data", "Labels": {"tier": "db"}})).await;
    let again = lab.post("/volumes/create", &json!({"Name": "data", "Driver": "local", "Labels": null})).await;
    let nameless = lab.post("/volumes/create", &Value::Null).await.json();
    let shown = lab.expect("GET", "/volumes/data", 200).await.json();

    assert_eq!((made.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!((&made.json(), &again.json()), (&shown, &shown));
    assert_eq!(
        (&shown["Driver"], &shown["Scope"], &shown["Options"]),
        (&json!("local"), &json!("local"), &Value::Null)
    );
    assert_eq!(shown["Labels"], json!({"tier": "db"}));
    assert!(std::path::Path::new(shown["Mountpoint"].as_str().unwrap()).is_dir());
    assert_eq!(nameless["Name"].as_str().unwrap().len(), 64);
    assert_eq!(nameless["Labels"], json!({"com.docker.volume.anonymous": ""}));
    lab.expect("DELETE", "/volumes/data", 204).await;
    assert_eq!(lab.send("DELETE", "/volumes/data").await.refusal(), (404, "get data: no such volume".to_owned()));
    lab.expect("DELETE", "/volumes/data?force=1", 204).await;
}

#[tokio::test]
async fn volumes_are_listed_by_filters_and_pruned() {
    let lab = Lab::start().await;
    let mut events = lab.events();
    for (name, labels) in [("one", json!({"a": "1"})), ("two", json!({})), ("used", json!({}))] {
        lab.post("/volumes/create", &json!({"Name": name, "Labels": labels})).await;
    }
    let mut wanted = script("true");
    wanted.host_config.binds = Some(vec!["used:/data".to_owned()]);
    let id = lab.run("web", wanted).await;
    lab.wait("web").await;

    let mounted = next_event(&mut events, "mount").await;
    let unmounted = next_event(&mut events, "unmount").await;
    assert_eq!(names(&lab, &json!({})).await, ["one", "two", "used"]);
    assert_eq!(names(&lab, &json!({"dangling": ["true"]})).await, ["one", "two"]);
    assert_eq!(names(&lab, &json!({"dangling": {"0": true}})).await, ["used"]);
    assert_eq!(names(&lab, &json!({"label": ["a=1"]})).await, ["one"]);
    assert_eq!(names(&lab, &json!({"name": ["o"], "driver": ["local"]})).await, ["one", "two"]);
    assert_eq!(names(&lab, &json!({"driver": ["nfs"]})).await, [""; 0]);
    assert_eq!((mounted.actor.id.as_str(), mounted.actor.attributes["destination"].as_str()), ("used", "/data"));
    assert_eq!((&unmounted.actor.id, &unmounted.actor.attributes["container"]), (&mounted.actor.id, &id));
    let in_use = lab.send("DELETE", "/volumes/used").await.refusal();
    assert_eq!(in_use, (409, format!("remove used: volume is in use - [{id}]")));

    let none = lab.expect("POST", "/volumes/prune", 200).await.json();
    let all = lab.expect("POST", "/volumes/prune?filters=%7B%22all%22:%5B%22true%22%5D%7D", 200).await.json();
    assert_eq!(none, json!({"VolumesDeleted": [], "SpaceReclaimed": 0}));
    assert_eq!(all["VolumesDeleted"], json!(["one", "two"]));
    lab.post("/volumes/create", &json!({"Name": "old"})).await;
    let old = lab.expect("POST", "/v1.41/volumes/prune", 200).await.json();
    assert_eq!(old["VolumesDeleted"], json!(["old"]));
}

#[tokio::test]
async fn what_no_volume_can_be_is_refused() {
    let lab = Lab::start().await;
    let check = async |body: Value, status: u16, words: &str| {
        let (found, message) = lab.post("/volumes/create", &body).await.refusal();
        assert_eq!((found, message.contains(words)), (status, true), "{message}");
    };
    check(json!({"Name": "a/b"}), 400, "includes invalid characters for a local volume name").await;
    check(json!({"Name": "ab", "Driver": "nfs"}), 404, "plugin \"nfs\" not found").await;
    check(json!({"Name": "ab", "DriverOpts": {"type": "nfs"}}), 400, "missing required option: \"device\"").await;
    check(json!({"Name": "ab", "ClusterVolumeSpec": {}}), 501, "no cluster volumes").await;
}
