//! How instances live, and what is written down.

use std::time::Duration;

use fake_gcp::Settings;
use serde_json::{Value, json};

use crate::caller::{BULK, Caller, bulk, firewall};

async fn status(caller: &Caller) -> String {
    let (_, instance) = caller.get("zones/us-central1-a/instances/a").await;
    instance["status"].as_str().unwrap_or("gone").to_owned()
}

/// Bug: a machine counts as reachable before it has its address outside.
#[tokio::test]
async fn an_address_comes_after_the_machine() {
    let caller = Caller::with(Settings { boot: Duration::from_secs(10), ..Settings::default() }).await;
    caller.machines(&["a"]).await;
    let outside = |instance: &Value| instance["networkInterfaces"][0]["accessConfigs"][0]["natIP"].clone();

    let (_, early) = caller.get("zones/us-central1-a/instances/a").await;
    caller.fake.advance(Duration::from_secs(6));
    let (_, later) = caller.get("zones/us-central1-a/instances/a").await;

    assert_eq!((early["status"].as_str(), outside(&early)), (Some("PROVISIONING"), Value::Null));
    assert!(outside(&later).as_str().unwrap().starts_with("203.0.113."));
    caller.fake.advance(Duration::from_secs(6));
    assert_eq!(status(&caller).await, "RUNNING");
}

/// Bug: a machine that was stopped is shown with its old address, or its stop is not waited for.
#[tokio::test]
async fn a_machine_that_is_stopped_loses_its_address_and_keeps_the_other() {
    let caller = Caller::new().await;
    caller.machines(&["a"]).await;
    let before = caller.fake.machines().swap_remove(0);

    caller.done(caller.send("POST", "zones/us-central1-a/instances/a/stop", None).await.unwrap()).await;
    let stopped = caller.fake.machines().swap_remove(0);
    caller.done(caller.send("POST", "zones/us-central1-a/instances/a/start", None).await.unwrap()).await;
    let after = caller.fake.machines().swap_remove(0);

    assert_eq!((stopped.status.as_str(), stopped.public_address), ("TERMINATED", None));
    assert_eq!(before.private_address, after.private_address);
    assert_ne!(before.public_address, after.public_address);
}

/// Bug: the limit of the run time is not sent, or is sent without `DELETE`, so that machines live on.
#[tokio::test]
async fn a_machine_whose_time_is_up_is_deleted_or_stopped() {
    for (action, left) in [("DELETE", 0), ("STOP", 1)] {
        let caller = Caller::new().await;
        let mut body = bulk(&["a"]);
        body["instanceProperties"]["scheduling"] = json!({
            "maxRunDuration": { "seconds": "60" }, "automaticRestart": false, "instanceTerminationAction": action,
        });
        caller.done(caller.post(BULK, body).await).await;

        caller.fake.advance(Duration::from_secs(50));
        let before = caller.fake.machines().len();
        caller.fake.advance(Duration::from_secs(20));

        assert_eq!((before, caller.fake.machines().len()), (1, left));
        assert!(caller.fake.machines().iter().all(|machine| machine.status == "TERMINATED"));
    }
}

/// Bug: the end of a machine is moved while it runs, which Compute Engine refuses.
#[tokio::test]
async fn the_scheduling_of_a_running_machine_cannot_be_changed() {
    let caller = Caller::new().await;
    caller.machines(&["a"]).await;
    let limit = json!({
        "maxRunDuration": { "seconds": "60" }, "automaticRestart": false, "instanceTerminationAction": "DELETE",
    });
    let path = "zones/us-central1-a/instances/a/setScheduling";

    assert_eq!(caller.post(path, limit.clone()).await.0, 400);
    caller.done(caller.send("POST", "zones/us-central1-a/instances/a/stop", None).await.unwrap()).await;
    caller.done(caller.post(path, limit).await).await;
}

/// Bug: labels are set without reading them first, so that somebody else's are lost.
#[tokio::test]
async fn labels_are_set_by_those_who_have_read_them() {
    let caller = Caller::new().await;
    caller.machines(&["a"]).await;
    let (_, instance) = caller.get("zones/us-central1-a/instances/a").await;
    let body = |fingerprint: &Value| json!({ "labels": { "team": "lab" }, "labelFingerprint": fingerprint });
    let path = "zones/us-central1-a/instances/a/setLabels";

    assert_eq!(caller.post(path, json!({ "labels": {} })).await.0, 412);
    caller.done(caller.post(path, body(&instance["labelFingerprint"])).await).await;

    assert_eq!(caller.post(path, body(&instance["labelFingerprint"])).await.0, 412);
    assert_eq!(caller.fake.machines()[0].labels["team"], "lab");
}

/// Bug: a patch is sent for a rule that does not stand, or to change its name.
#[tokio::test]
async fn a_rule_is_changed_in_part() {
    let caller = Caller::new().await;
    caller.done(caller.post("global/firewalls", firewall("x")).await).await;
    let patch = |body: Value| caller.send("PATCH", "global/firewalls/x", Some(body));

    caller.done(patch(json!({ "name": "x", "sourceRanges": ["203.0.113.8/32"] })).await.unwrap()).await;

    let (_, rule) = caller.get("global/firewalls/x").await;
    assert_eq!((&rule["sourceRanges"], &rule["allowed"][0]["ports"]), (&json!(["203.0.113.8/32"]), &json!(["22"])));
    assert_eq!(patch(json!({ "name": "y" })).await.unwrap().0, 400);
    assert_eq!(caller.send("PATCH", "global/firewalls/y", Some(json!({}))).await.unwrap().0, 404);
}

/// Bug: permissions are asked for on a thing that does not exist.
#[tokio::test]
async fn permissions_are_told_of_things_that_exist() {
    let caller = Caller::new().await;
    let asked = json!({ "permissions": ["compute.subnetworks.use"] });

    let (_, told) = caller.post("regions/us-central1/subnetworks/default/testIamPermissions", asked.clone()).await;

    assert_eq!(told["permissions"], asked["permissions"]);
    let nowhere = caller.post("regions/us-central1/subnetworks/nowhere/testIamPermissions", asked).await;
    assert_eq!(nowhere.0, 404);
}

/// Bug: a request that Google's document does not allow goes unnoticed.
#[tokio::test]
async fn every_request_is_written_down_and_judged_by_google_s_document() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("requests.jsonl");
    let caller = Caller::with(Settings { log: Some(log.clone()), ..Settings::default() }).await;
    let oracle = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("gce-oracle");
    caller.machines(&["a"]).await;
    let right = fake_gcp::judge(&caller.fake.requests(), &oracle).await.unwrap();

    let mut wrong = bulk(&["b"]);
    wrong["instanceProperties"]["image"] = json!("x");
    caller.post(BULK, wrong).await;

    assert_eq!(right, None);
    let complaint = fake_gcp::judge(&caller.fake.requests(), &oracle).await.unwrap().unwrap();
    assert!(complaint.contains("/instanceProperties/image: unknown field"), "{complaint}");
    let lines = std::fs::read_to_string(log).unwrap();
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), 3);
    assert_eq!((entries[0]["method"].as_str(), entries[0]["status"].as_i64()), (Some("POST"), Some(200)));
    assert!(entries.iter().all(|entry| entry["headers"]["authorization"].is_null()));
}
