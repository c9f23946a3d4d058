//! Zones without capacity, and quotas that are used up.

use std::collections::BTreeMap;

use driver::DriverError;
use fake_gcp::{Fault, FaultKind, Settings};

use crate::bench::Bench;

fn exhausted(skip: usize, count: usize) -> Fault {
    Fault { kind: Some("instances.bulkInsert"), skip, count, what: FaultKind::exhausted() }
}

#[tokio::test]
async fn the_next_type_is_tried_where_the_first_has_no_capacity() {
    let bench = Bench::with(Settings::default(), &[("zone", &["us-central1-a"])]).await;
    bench.fake.fault(exhausted(0, 2));

    bench.create(&*bench.open(), &bench.request("lab")).await.unwrap();

    let machines = bench.fake.machines();
    assert_eq!(machines.len(), 5);
    assert!(machines.iter().all(|machine| machine.machine_type == "e2-medium" && machine.zone == "us-central1-a"));
    bench.judge().await;
}

#[tokio::test]
async fn the_next_zone_is_tried_where_the_first_has_no_capacity() {
    let bench = Bench::with(Settings::default(), &[]).await;
    bench.fake.fault(exhausted(0, 6));

    bench.create(&*bench.open(), &bench.request("lab")).await.unwrap();

    let machines = bench.fake.machines();
    assert_eq!(machines.len(), 5);
    assert!(machines.iter().all(|machine| machine.machine_type == "e2-small" && machine.zone == "us-central1-b"));
    bench.judge().await;
}

#[tokio::test]
async fn no_capacity_anywhere_names_what_was_tried_and_leaves_no_half_batch() {
    let zones: &[&str] = &["us-central1-a", "us-central1-b"];
    let bench = Bench::with(Settings::default(), &[("zone", zones), ("machine-type", &["e2-small"])]).await;
    bench.fake.fault(exhausted(0, 1000));
    let request = bench.request("lab");

    let failed = bench.create(&*bench.open(), &request).await.unwrap_err();

    let text = failed.to_string();
    assert!(text.contains("e2-small in us-central1-a") && text.contains("e2-small in us-central1-b"), "{text}");
    assert!(failed.hint().unwrap().contains("--zone"));
    assert_eq!(bench.fake.machines(), []);
    bench.fake.forget_faults();
    // Google still knows the ids of the calls that failed; they do not stand in the way.
    assert_eq!(bench.create(&*bench.open(), &request).await.unwrap().len(), 5);
    bench.judge().await;
}

#[tokio::test]
async fn zones_that_are_named_are_taken_in_turn() {
    let zones: &[&str] = &["us-central1-a", "us-central1-b", "us-central1-c"];
    let bench = Bench::with(Settings::default(), &[("zone", zones)]).await;

    let created = bench.create(&*bench.open(), &bench.request("lab")).await.unwrap();

    let zones: Vec<_> = created.iter().map(|instance| instance.id.0.split('/').next().unwrap().to_owned()).collect();
    assert_eq!(zones, ["us-central1-a", "us-central1-b", "us-central1-c", "us-central1-a", "us-central1-b"]);
    bench.judge().await;
}

#[tokio::test]
async fn machines_that_were_made_in_two_zones_are_kept_once() {
    let bench = Bench::with(Settings::default(), &[("zone", &["us-central1-a"])]).await;
    let request = bench.request("lab");
    bench.create(&*bench.open(), &request).await.unwrap();
    let mut body = bench.bodies("instances.bulkInsert")[0].clone();
    body["instanceProperties"]["machineType"] = "e2-medium".into();
    bench.fake.insert("us-central1-b", &body);
    assert_eq!(bench.fake.machines().len(), 8);

    let created = bench.create(&*bench.open(), &request).await.unwrap();

    assert_eq!((created.len(), bench.fake.machines().len()), (5, 5));
    bench.judge().await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_named() {
    let bench =
        Bench::with(Settings { quotas: BTreeMap::from([("CPUS".to_owned(), 8)]), ..Settings::default() }, &[]).await;
    let (driver, request) = (bench.open(), bench.request("lab"));

    let beforehand = driver.preflight(&request).await.unwrap_err();
    let then = bench.create(&*driver, &request).await.unwrap_err();

    for failed in [beforehand, then] {
        assert!(
            matches!(&failed, DriverError::QuotaExhausted { quota, region } if quota == "CPUS" && region == "us-central1"),
            "{failed:?}"
        );
    }
    assert_eq!(bench.destroy(&*driver, &request).await.unwrap(), []);
    bench.judge().await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_inside_an_operation_is_named_too() {
    let bench = Bench::new().await;
    bench.fake.fault(Fault::first("instances.bulkInsert", FaultKind::quota()));

    let failed = bench.create(&*bench.open(), &bench.request("lab")).await.unwrap_err();

    assert!(matches!(failed, DriverError::QuotaExhausted { .. }), "{failed:?}");
}

#[tokio::test]
async fn machines_on_arm_get_a_type_an_image_and_a_disk_that_fit() {
    let bench = Bench::with(Settings::default(), &[("arch", &["aarch64"]), ("size", &["large"])]).await;
    bench.fake.fault(exhausted(0, 2));

    let created = bench.create(&*bench.open(), &bench.request("lab")).await.unwrap();

    assert!(created.iter().all(|instance| instance.arch.as_deref() == Some("aarch64")));
    assert!(bench.fake.machines().iter().all(|machine| machine.machine_type == "c4a-standard-2"));
    bench.judge().await;
}
