//! What there is not enough of.

use fake_azure::{MachineState, Rates, Settings, Shortage, ShortageHow};
use serde_json::json;

use crate::caller::{COMPUTE, Caller, RESOURCES, machine, machine_path};

fn short(how: ShortageHow) -> Shortage {
    Shortage { size: "Standard_B2als_v2".to_owned(), zone: Some("1".to_owned()), how }
}

/// A driver that gives up where a size cannot be had in one zone.
#[tokio::test]
async fn a_size_that_cannot_be_had_is_refused_at_once() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.fake.set_shortage(short(ShortageHow::AtOnce));
    let mut body = machine(&caller, "one");
    body["zones"] = json!(["1"]);

    assert_eq!(caller.put(&machine_path("one"), COMPUTE, body).await.refusal(), (409, "SkuNotAvailable"));
    assert!(caller.fake.machines().is_empty());
}

/// A driver that takes a machine which was accepted for one that comes up.
#[tokio::test]
async fn a_size_that_cannot_be_had_fails_later_and_the_machine_stays() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.fake.set_shortage(short(ShortageHow::Later));
    let mut body = machine(&caller, "one");
    body["zones"] = json!(["1"]);

    let made = caller.put(&machine_path("one"), COMPUTE, body).await;
    caller.until(&machine_path("one"), COMPUTE, |got| got.state() == "Failed").await;

    assert_eq!(made.status, 201);
    let operation = caller.send(reqwest::Method::GET, made.operation.as_ref().unwrap(), None).await;
    assert_eq!(operation.body["error"]["code"], "ZonalAllocationFailed");
    let view = caller.get(&format!("{}/instanceView", machine_path("one")), COMPUTE).await;
    assert_eq!(view.body["statuses"][0]["code"], "ProvisioningState/failed/ZonalAllocationFailed");
    assert_eq!(caller.fake.machines()[0].state, MachineState::Failed);
}

/// A driver that writes to a machine whose making failed, and takes it for mended.
#[tokio::test]
async fn a_machine_that_failed_is_not_mended_by_making_it_again() {
    let caller = Caller::start(Settings::default()).await;
    caller.network().await;
    caller.fake.fail_provisioning("one", "OSProvisioningTimedOut", 1);
    caller.machine("one").await;
    caller.until(&machine_path("one"), COMPUTE, |got| got.state() == "Failed").await;

    caller.machine("one").await;

    assert_eq!(caller.get(&machine_path("one"), COMPUTE).await.state(), "Failed");
}

/// A driver that tries again where a quota is used up.
#[tokio::test]
async fn more_than_a_quota_grants_is_refused() {
    let caller = Caller::start(Settings { cores: 2, ..Settings::default() }).await;
    caller.network().await;
    caller.machine("one").await;

    assert_eq!(caller.machine("two").await.refusal(), (409, "QuotaExceeded"));
    caller.fake.change_settings(|settings| (settings.cores, settings.addresses) = (100, 1));
    assert_eq!(caller.machine("two").await.refusal(), (400, "PublicIPCountLimitReached"));
    let usages = caller.get("/providers/Microsoft.Compute/locations/eastus2/usages", COMPUTE).await;
    assert_eq!(usages.body["value"][0]["currentValue"], 2);
}

/// A driver that calls faster than it may.
#[tokio::test]
async fn calls_beyond_the_rate_are_refused() {
    let slow = Rates { reads: (2.0, 0.1), ..Rates::PUBLISHED };
    let caller = Caller::start(Settings { rates: Some(slow), ..Settings::default() }).await;

    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(caller.get("/resourceGroups", RESOURCES).await.status);
    }

    assert_eq!(statuses, [200, 200, 429]);
}

/// A driver that does not know of the calls that were made before it began.
#[tokio::test]
async fn buckets_may_be_nearly_empty_from_the_beginning() {
    let slow = Rates { reads: (200.0, 0.1), ..Rates::PUBLISHED };
    let caller = Caller::start(Settings { rates: Some(slow), calls_left: Some(1.0), ..Settings::default() }).await;

    let first = caller.get("/resourceGroups", RESOURCES).await;
    let second = caller.get("/resourceGroups", RESOURCES).await;

    assert_eq!((first.status, second.refusal()), (200, (429, "SubscriptionRequestsThrottled")));
    let reads = caller.fake.requests().iter().filter(|entry| entry.bucket == "reads").count();
    assert_eq!((reads, second.retry_after.as_deref()), (2, Some("1")));
}
