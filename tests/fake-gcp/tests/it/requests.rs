//! What is wrong in a request itself.

use fake_gcp::{NetworkSetting, Settings};
use serde_json::{Value, json};

use crate::caller::{BULK, Caller, bulk, firewall, reason};

/// Sends a request for instances with one thing changed; the status.
async fn changed(caller: &Caller, pointer: &str, value: Value) -> u16 {
    let mut body = bulk(&["a"]);
    let (above, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(above).unwrap()[name] = value;
    caller.post(BULK, body).await.0
}

/// Bug: a field is sent under another name or in another place; a count is sent as a number.
#[tokio::test]
async fn unknown_fields_and_wrong_shapes_are_refused() {
    let caller = Caller::new().await;

    assert_eq!(changed(&caller, "/instanceProperties/image", json!("x")).await, 400);
    assert_eq!(changed(&caller, "/count", json!(1)).await, 400);
    assert_eq!(changed(&caller, "/instanceProperties/tags", json!(["swu-x"])).await, 400);
    assert_eq!(changed(&caller, "/instanceProperties/scheduling", json!({ "provisioningModel": "CHEAP" })).await, 400);
    let mut rule = firewall("x");
    rule["labels"] = json!({ "swarmup-id": "x" });
    assert_eq!(caller.post("global/firewalls", rule).await.0, 400);
    assert_eq!(caller.get("aggregated/instances?labels=x").await.0, 400);
    assert_eq!(caller.fake.holdings(), Vec::<String>::new());
}

/// Bug: a body is forgotten, or sent where none is taken.
#[tokio::test]
async fn a_body_is_needed_exactly_where_one_is_taken() {
    let caller = Caller::new().await;

    assert_eq!(caller.send("POST", BULK, None).await.unwrap().0, 400);
    assert_eq!(
        caller.send("POST", "zones/us-central1-a/instances/a/stop", Some(json!({ "x": 1 }))).await.unwrap().0,
        400
    );
}

/// Bug: a type or an image of the other architecture, an address of a machine type instead of its name, a network that
/// was never made, a zone of another provider.
#[tokio::test]
async fn what_does_not_exist_is_refused() {
    let caller = Caller::new().await;
    let disk = "/instanceProperties/disks/0/initializeParams";

    assert_eq!(changed(&caller, "/instanceProperties/machineType", json!("e2-tiny")).await, 400);
    assert_eq!(changed(&caller, "/instanceProperties/machineType", json!("zones/z/machineTypes/e2-small")).await, 400);
    assert_eq!(changed(&caller, &format!("{disk}/sourceImage"), json!("ubuntu-2404")).await, 404);
    let arm = json!("projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-arm64");
    assert_eq!(changed(&caller, &format!("{disk}/sourceImage"), arm).await, 400);
    assert_eq!(changed(&caller, &format!("{disk}/diskType"), json!("hyperdisk-balanced")).await, 400);
    assert_eq!(changed(&caller, &format!("{disk}/diskSizeGb"), json!("5")).await, 400);
    let interface = "/instanceProperties/networkInterfaces/0";
    assert_eq!(changed(&caller, &format!("{interface}/network"), json!("global/networks/nowhere")).await, 404);
    assert_eq!(
        changed(&caller, &format!("{interface}/subnetwork"), json!("regions/us-central1/subnetworks/nowhere")).await,
        404
    );
    assert_eq!(caller.post("zones/eu-west-1a/instances/bulkInsert", bulk(&["a"])).await.0, 404);
    assert_eq!(caller.get("regions/eu-west-1").await.0, 404);
    assert_eq!(caller.fake.holdings(), Vec::<String>::new());
}

/// Bug: no subnetwork is named in a network that has none of its own accord.
#[tokio::test]
async fn a_network_in_custom_mode_needs_a_subnetwork() {
    let network =
        NetworkSetting { name: "lab".to_owned(), region: "us-central1".to_owned(), prefix: "10.77.1.0/24".to_owned() };
    let caller = Caller::with(Settings { networks: vec![network], ..Settings::default() }).await;

    assert_eq!(
        changed(&caller, "/instanceProperties/networkInterfaces/0/network", json!("global/networks/lab")).await,
        400
    );
    let interface = json!([{ "subnetwork": "regions/us-central1/subnetworks/lab" }]);
    let mut body = bulk(&["a", "b"]);
    body["instanceProperties"]["networkInterfaces"] = interface;
    caller.done(caller.post(BULK, body).await).await;
    let addresses: Vec<_> =
        caller.fake.machines().into_iter().map(|m| (m.private_address.to_string(), m.public_address)).collect();
    assert_eq!(addresses, [("10.77.1.2".to_owned(), None), ("10.77.1.3".to_owned(), None)]);
}

/// Bug: an owner such as `me@here` is put into a label as it is; a name is too long or begins with a digit.
#[tokio::test]
async fn labels_names_tags_and_metadata_have_their_alphabets() {
    let caller = Caller::new().await;

    assert_eq!(changed(&caller, "/instanceProperties/labels/owner", json!("me@here")).await, 400);
    assert_eq!(changed(&caller, "/instanceProperties/labels/owner", json!("x".repeat(64))).await, 400);
    assert_eq!(changed(&caller, "/instanceProperties/tags/items", json!(["Swu"])).await, 400);
    assert_eq!(changed(&caller, "/instanceProperties/description", json!("x".repeat(2049))).await, 400);
    let twice = json!({ "items": [{ "key": "a", "value": "1" }, { "key": "a", "value": "2" }] });
    assert_eq!(changed(&caller, "/instanceProperties/metadata", twice).await, 400);
    let long = json!({ "items": [{ "key": "user-data", "value": "x".repeat(262_145) }] });
    assert_eq!(changed(&caller, "/instanceProperties/metadata", long).await, 400);
    let too_long = "x".repeat(64);
    for name in ["1st", "Lab", "a-", too_long.as_str()] {
        assert_eq!(caller.post(BULK, bulk(&[name])).await.0, 400, "{name}");
        assert_eq!(caller.post("global/firewalls", firewall(name)).await.0, 400, "{name}");
    }
}

/// Bug: `count` and the names do not agree, so that fewer or more machines are made.
#[tokio::test]
async fn count_is_the_number_of_names() {
    let caller = Caller::new().await;

    assert_eq!(changed(&caller, "/count", json!("2")).await, 400);
    assert_eq!(changed(&caller, "/minCount", json!("2")).await, 400);
    assert_eq!(changed(&caller, "/namePattern", json!("a-#")).await, 400);
    assert_eq!(caller.post(BULK, bulk(&[])).await.0, 400);
}

/// Bug: a termination action without a limit; a limit with automatic restart; both kinds of limit.
#[tokio::test]
async fn a_limit_of_the_run_time_has_its_rules() {
    let caller = Caller::new().await;
    let limit = |seconds: &str| json!({ "maxRunDuration": { "seconds": seconds }, "automaticRestart": false, "instanceTerminationAction": "DELETE" });
    let check = async |scheduling: Value| changed(&caller, "/instanceProperties/scheduling", scheduling).await;

    assert_eq!(check(json!({ "instanceTerminationAction": "DELETE" })).await, 400);
    assert_eq!(check(json!({ "maxRunDuration": { "seconds": "3600" } })).await, 400);
    assert_eq!(check(limit("29")).await, 400);
    assert_eq!(check(limit("10368001")).await, 400);
    let mut both = limit("3600");
    both["terminationTime"] = json!("2100-01-01T00:00:00Z");
    assert_eq!(check(both).await, 400);
    assert_eq!(check(json!({ "provisioningModel": "SPOT", "automaticRestart": true })).await, 400);
    assert_eq!(check(limit("3600")).await, 200);
}

/// Bug: ports for ESP, ranges with bits beyond their length, rules that allow nothing.
#[tokio::test]
async fn a_firewall_rule_has_its_rules() {
    let caller = Caller::new().await;
    let with = async |field: &str, value: Value| {
        let mut rule = firewall("x");
        rule[field] = value;
        caller.post("global/firewalls", rule).await.0
    };

    assert_eq!(with("allowed", json!([{ "IPProtocol": "esp", "ports": ["22"] }])).await, 400);
    assert_eq!(with("allowed", json!([{ "IPProtocol": "tcp", "ports": ["70000"] }])).await, 400);
    assert_eq!(with("allowed", json!([{ "IPProtocol": "quic" }])).await, 400);
    assert_eq!(with("allowed", json!([])).await, 400);
    assert_eq!(with("denied", json!([{ "IPProtocol": "tcp" }])).await, 400);
    assert_eq!(with("sourceRanges", json!(["203.0.113.7/24"])).await, 400);
    assert_eq!(with("sourceTags", json!(["Swu"])).await, 400);
    assert_eq!(with("priority", json!(65_536)).await, 400);
    assert_eq!(with("direction", json!("EGRESS")).await, 400);
    assert_eq!(with("network", json!("global/networks/nowhere")).await, 404);
}

/// Bug: a request id that is no UUID, so that repetitions are refused or not recognized.
#[tokio::test]
async fn a_request_id_is_a_uuid() {
    let caller = Caller::new().await;

    for id in ["lab-1", "00000000-0000-0000-0000-000000000000", "0123456789abcdef0123456789abcdef"] {
        assert_eq!(caller.post(&format!("{BULK}?requestId={id}"), bulk(&["a"])).await.0, 400, "{id}");
    }
}

/// Bug: a filter in a language that Google does not speak matches nothing or everything.
#[tokio::test]
async fn filters_select_by_label_and_by_name() {
    let caller = Caller::new().await;
    caller.machines(&["a", "b"]).await;
    caller.done(caller.post("global/firewalls", firewall("swu-x-members")).await).await;
    caller.done(caller.post("global/firewalls", firewall("web")).await).await;
    let count = async |path: &str| {
        let (status, list) = caller.get(path).await;
        assert_eq!(status, 200, "{list}");
        let zone = &list["items"]["zones/us-central1-a"]["instances"];
        zone.as_array().or(list["items"].as_array()).map_or(0, Vec::len)
    };

    assert_eq!(count("aggregated/instances?filter=labels.swarmup-id%3Dx").await, 2);
    assert_eq!(count("aggregated/instances?filter=labels.swarmup-id%3Dy").await, 0);
    assert_eq!(count("aggregated/instances?filter=labels.swarmup-id:*").await, 2);
    assert_eq!(count("aggregated/instances?filter=labels.team:*").await, 0);
    assert_eq!(count("global/firewalls?filter=name+eq+%22swu-.*%22").await, 1);
    assert_eq!(caller.get("global/firewalls?filter=name+~+swu").await.0, 400);
    assert_eq!(caller.get("global/firewalls?filter=name+eq+%22swu-(a|b)%22").await.0, 400);
}

/// Bug: only the first page of a list is read.
#[tokio::test]
async fn lists_come_in_pages() {
    let caller = Caller::with(Settings { page: 2, ..Settings::default() }).await;
    for name in ["a", "b", "c"] {
        caller.done(caller.post("global/firewalls", firewall(name)).await).await;
    }

    let (_, first) = caller.get("global/firewalls").await;
    let token = first["nextPageToken"].as_str().unwrap();
    let (_, second) = caller.get(&format!("global/firewalls?pageToken={token}")).await;

    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (2, 1));
    assert!(second["nextPageToken"].is_null());
    assert_eq!(caller.get("global/firewalls?maxResults=501").await.0, 400);
}

/// Bug: another project's name is in the path.
#[tokio::test]
async fn only_the_project_exists() {
    let caller = Caller::new().await;

    let reply = caller.get("../other-project").await;

    assert_eq!((reply.0, reason(&reply).as_str()), (404, "notFound"));
}
