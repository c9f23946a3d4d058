//! What exists already, is in use, is not ready, or is not there any more.

use std::collections::BTreeMap;
use std::time::Duration;

use fake_gcp::{Fault, FaultKind, Rates, Settings};
use serde_json::json;

use crate::caller::{BULK, Caller, bulk, firewall, reason};

const ID: &str = "requestId=01234567-89ab-8def-8123-456789abcdef";

/// Bug: what was made before is made again, and the driver does not look first.
#[tokio::test]
async fn names_are_taken_once() {
    let caller = Caller::new().await;
    caller.machines(&["a"]).await;
    caller.done(caller.post("global/firewalls", firewall("x")).await).await;

    let machine = caller.post(BULK, bulk(&["a", "b"])).await;
    let rule = caller.post("global/firewalls", firewall("x")).await;

    assert_eq!((machine.0, reason(&machine).as_str()), (409, "alreadyExists"));
    assert_eq!((rule.0, reason(&rule).as_str()), (409, "alreadyExists"));
    assert_eq!(caller.fake.machines().len(), 1);
}

/// Bug: a repeated call has another id, and fails with 409 though all is well.
#[tokio::test]
async fn a_repetition_with_the_same_id_joins_its_operation() {
    let caller = Caller::new().await;

    let (_, first) = caller.post(&format!("{BULK}?{ID}"), bulk(&["a"])).await;
    let (_, again) = caller.post(&format!("{BULK}?{ID}"), bulk(&["a"])).await;
    let (status, _) = caller.post(BULK, bulk(&["a"])).await;

    assert_eq!(first["name"], again["name"]);
    assert_eq!(status, 409);
}

/// Bug: an operation that is accepted counts as done.
#[tokio::test]
async fn an_operation_waits_runs_and_ends() {
    let caller = Caller::with(Settings { operation: Duration::from_millis(200), ..Settings::default() }).await;

    let accepted = caller.post(BULK, bulk(&["a"])).await;

    assert_eq!(accepted.1["status"], "PENDING");
    assert_eq!(caller.fake.machines(), []);
    caller.fake.advance(Duration::from_millis(100));
    let name = accepted.1["name"].as_str().unwrap().to_owned();
    let (_, running) = caller.get(&format!("zones/us-central1-a/operations/{name}")).await;
    assert_eq!(running["status"], "RUNNING");
    caller.done(accepted).await;
    assert_eq!(caller.fake.machines().len(), 1);
    assert_eq!(caller.get(&format!("global/operations/{name}")).await.0, 404);
}

/// Bug: the first answer of `wait` counts as the end.
#[tokio::test]
async fn waiting_has_its_limit() {
    let settings =
        Settings { operation: Duration::from_mins(1), wait: Duration::from_millis(30), ..Settings::default() };
    let caller = Caller::with(settings).await;
    let (_, operation) = caller.post(BULK, bulk(&["a"])).await;
    let name = operation["name"].as_str().unwrap();

    let path = format!("zones/us-central1-a/operations/{name}/wait");
    let (status, waited) = caller.send("POST", &path, None).await.unwrap();

    assert_eq!(status, 200);
    assert_ne!(waited["status"], "DONE");
}

/// Bug: the error inside an operation is not read, and a machine that was taken back counts as made.
#[tokio::test]
async fn a_batch_that_fails_is_taken_back_whole() {
    let caller = Caller::new().await;
    caller.fake.fault(Fault::first("instances.bulkInsert", FaultKind::exhausted()));

    let ended = caller.machines(&["a", "b"]).await;

    assert_eq!(ended["error"]["errors"][0]["code"], "ZONE_RESOURCE_POOL_EXHAUSTED");
    assert_eq!(caller.fake.holdings(), Vec::<String>::new());
}

/// Bug: a subnetwork, rule or machine is made in a network whose operation has not ended; a machine is deleted that is
/// being made, and the refusal is final.
#[tokio::test]
async fn what_is_being_made_is_not_ready() {
    let caller = Caller::with(Settings { operation: Duration::from_millis(200), ..Settings::default() }).await;
    let network = caller.post("global/networks", json!({ "name": "own", "autoCreateSubnetworks": false })).await;
    let subnetwork = json!({ "name": "own", "network": "global/networks/own", "ipCidrRange": "10.200.0.0/20" });

    let early = caller.post("regions/us-central1/subnetworks", subnetwork.clone()).await;
    let machine = caller.post(BULK, bulk(&["a"])).await;
    caller.fake.advance(Duration::from_millis(60));
    let deleted = caller.delete("zones/us-central1-a/instances/a").await;

    assert_eq!(reason(&early), "resourceNotReady");
    assert_eq!(reason(&deleted), "resourceNotReady");
    caller.done(network).await;
    caller.done(machine).await;
    assert_eq!(caller.post("regions/us-central1/subnetworks", subnetwork).await.0, 200);
}

/// Bug: a network goes before its rules and subnetwork, a subnetwork before its machines.
#[tokio::test]
async fn what_is_in_use_stays() {
    let caller = Caller::new().await;
    let network = json!({ "name": "own", "autoCreateSubnetworks": false });
    caller.done(caller.post("global/networks", network).await).await;
    let subnetwork = json!({ "name": "own", "network": "global/networks/own", "ipCidrRange": "10.200.0.0/20" });
    caller.done(caller.post("regions/us-central1/subnetworks", subnetwork).await).await;
    let mut body = bulk(&["a"]);
    body["instanceProperties"]["networkInterfaces"] = json!([{ "subnetwork": "regions/us-central1/subnetworks/own" }]);
    caller.done(caller.post(BULK, body).await).await;
    let mut rule = firewall("x");
    rule["network"] = json!("global/networks/own");
    caller.done(caller.post("global/firewalls", rule).await).await;
    let in_use = "resourceInUseByAnotherResource";

    assert_eq!(reason(&caller.delete("regions/us-central1/subnetworks/own").await), in_use);
    assert_eq!(reason(&caller.delete("global/networks/own").await), in_use);
    caller.done(caller.delete("zones/us-central1-a/instances/a").await).await;
    caller.done(caller.delete("regions/us-central1/subnetworks/own").await).await;
    assert_eq!(reason(&caller.delete("global/networks/own").await), in_use);
    caller.done(caller.delete("global/firewalls/x").await).await;
    caller.done(caller.delete("global/networks/own").await).await;
    assert_eq!(caller.fake.holdings(), Vec::<String>::new());
}

/// Bug: what is gone already fails a destroy; or the driver never learns that it is.
#[tokio::test]
async fn what_is_gone_is_not_found() {
    let caller = Caller::new().await;

    for path in ["zones/us-central1-a/instances/a", "global/firewalls/x", "global/networks/own"] {
        let reply = caller.delete(path).await;
        assert_eq!((reply.0, reason(&reply).as_str()), (404, "notFound"), "{path}");
    }
}

/// Bug: subnetworks of one network overlap.
#[tokio::test]
async fn prefixes_of_a_network_do_not_overlap() {
    let caller = Caller::new().await;
    let network = json!({ "name": "own", "autoCreateSubnetworks": false });
    caller.done(caller.post("global/networks", network).await).await;
    let subnetwork =
        |name: &str, prefix: &str| json!({ "name": name, "network": "global/networks/own", "ipCidrRange": prefix });
    caller.done(caller.post("regions/us-central1/subnetworks", subnetwork("own", "10.200.0.0/20")).await).await;

    assert_eq!(caller.post("regions/us-east1/subnetworks", subnetwork("more", "10.200.8.0/24")).await.0, 400);
    assert_eq!(caller.post("regions/us-east1/subnetworks", subnetwork("more", "10.201.0.1/24")).await.0, 400);
    assert_eq!(caller.post("regions/us-east1/subnetworks", subnetwork("more", "10.201.0.0/24")).await.0, 200);
}

/// Bug: a quota that is used up is tried again, or is taken for a missing permission.
#[tokio::test]
async fn quotas_are_limits() {
    let quotas = BTreeMap::from([("CPUS".to_owned(), 4)]);
    let caller = Caller::with(Settings { quotas, ..Settings::default() }).await;

    let refused = caller.post(BULK, bulk(&["a", "b", "c"])).await;

    assert_eq!((refused.0, reason(&refused).as_str()), (403, "quotaExceeded"));
    caller.machines(&["a", "b"]).await;
    let (_, region) = caller.get("regions/us-central1").await;
    let cores = region["quotas"].as_array().unwrap().iter().find(|quota| quota["metric"] == "CPUS").unwrap();
    assert_eq!((cores["usage"].as_f64(), cores["limit"].as_f64()), (Some(4.0), Some(4.0)));
}

/// Bug: a token that has expired is used for ever, or its refusal is tried again.
#[tokio::test]
async fn tokens_expire() {
    let mut caller = Caller::new().await;

    caller.fake.expire_tokens();
    let refused = caller.get("").await;
    caller.log_in().await;
    let accepted = caller.get("zones/us-central1-a/instances").await;
    caller.fake.advance(Duration::from_hours(2));

    assert_eq!((refused.0, accepted.0), (401, 200));
    assert_eq!(caller.get("zones/us-central1-a/instances").await.0, 401);
}

/// Bug: throttling is taken for a missing permission, since both come as 403.
#[tokio::test]
async fn faults_strike_the_requests_that_they_wait_for() {
    let caller = Caller::new().await;
    caller.fake.fault(Fault { kind: Some("firewalls.list"), skip: 1, count: 1, what: FaultKind::throttled(Some(2)) });

    let first = caller.get("global/firewalls").await;
    let second = caller.get("global/firewalls").await;
    let third = caller.get("global/firewalls").await;

    assert_eq!((first.0, third.0), (200, 200));
    assert_eq!((second.0, reason(&second).as_str()), (403, "rateLimitExceeded"));
}

/// Bug: a call whose answer is lost is not repeated, or is repeated as another.
#[tokio::test]
async fn an_answer_can_be_lost_before_and_after_the_call_was_executed() {
    let caller = Caller::new().await;
    caller.fake.fault(Fault::first("instances.bulkInsert", FaultKind::Lose));
    assert!(caller.send("POST", BULK, Some(bulk(&["a"]))).await.is_err());
    assert_eq!(caller.fake.holdings(), Vec::<String>::new());

    caller.fake.fault(Fault::first("instances.bulkInsert", FaultKind::LoseAfter));
    assert!(caller.send("POST", BULK, Some(bulk(&["a"]))).await.is_err());

    assert_eq!(caller.fake.holdings(), ["instances/a"]);
}

/// Bug: all calls are made at once, or a refusal for their number is taken for one of permission.
#[tokio::test]
async fn calls_beyond_the_rate_of_their_group_are_refused() {
    let rates = Rates { lists: 2.0, ..Rates::PUBLISHED };
    let caller = Caller::with(Settings { rates: Some(rates), ..Settings::default() }).await;

    caller.get("global/firewalls").await;
    caller.get("global/firewalls").await;
    let refused = caller.get("global/firewalls").await;
    let other = caller.post("global/firewalls", firewall("x")).await;
    caller.fake.advance(Duration::from_secs(31));
    let later = caller.get("global/firewalls").await;

    assert_eq!((refused.0, reason(&refused).as_str()), (403, "rateLimitExceeded"));
    assert_eq!((other.0, later.0), (200, 200));
}
