//! What goes wrong on the way, and what the driver makes of it.

use std::time::Duration;

use driver::DriverError;
use fake_gcp::{Fault, FaultKind, Settings};

use crate::bench::{Bench, machines};

/// Tries a whole life of a cluster while every call of one kind meets a fault once.
async fn survives(bench: &Bench, fault: &Fault) {
    let (driver, request) = (bench.open(), bench.request("lab"));
    bench.fake.fault(fault.clone());

    let created = bench.create(&*driver, &request).await.unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));

    assert_eq!((created.len(), bench.fake.machines().len()), (5, 5), "{fault:?}");
    bench.fake.fault(fault.clone());
    let left = bench.destroy(&*driver, &request).await.unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
    assert_eq!((left.len(), bench.fake.holdings().len()), (0, 0), "{fault:?}");
    bench.fake.forget_faults();
}

#[tokio::test]
async fn an_answer_that_is_lost_anywhere_makes_no_duplicate() {
    let bench = Bench::new().await;
    for number in 1..=20 {
        survives(&bench, &Fault::nth(number, FaultKind::LoseAfter)).await;
        survives(&bench, &Fault::nth(number, FaultKind::Lose)).await;
    }
    bench.judge().await;
}

#[tokio::test]
async fn answers_that_are_all_lost_for_a_while_make_no_duplicate() {
    let bench = Bench::new().await;
    for kind in ["instances.bulkInsert", "firewalls.insert", "instances.delete", "firewalls.delete"] {
        survives(&bench, &Fault::first(kind, FaultKind::LoseAfter).times(4)).await;
    }
    bench.judge().await;
}

#[tokio::test]
async fn a_burst_of_throttling_is_waited_out() {
    let bench = Bench::new().await;
    survives(&bench, &Fault::nth(1, FaultKind::throttled(None)).times(20)).await;
    let too_many = FaultKind::Fail { status: 429, reason: "tooManyRequests", retry_after: Some(0) };
    survives(&bench, &Fault::nth(3, too_many).times(10)).await;
    survives(
        &bench,
        &Fault::nth(2, FaultKind::Fail { status: 503, reason: "backendError", retry_after: None }).times(6),
    )
    .await;
    bench.judge().await;
}

#[tokio::test]
async fn a_time_that_google_names_is_waited_for() {
    let bench = Bench::new().await;
    bench.fake.fault(Fault::first("firewalls.list", FaultKind::throttled(Some(1))));
    let begin = std::time::Instant::now();

    bench.open().find(None).await.unwrap();

    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn throttling_that_does_not_end_is_a_final_failure() {
    let bench = Bench::new().await;
    bench.fake.fault(Fault::first("firewalls.list", FaultKind::throttled(None)).times(1000));

    let failed = bench.open().find(None).await.unwrap_err();

    assert!(!failed.is_transient(), "{failed:?}");
}

#[tokio::test]
async fn credentials_that_expire_midway_are_named_with_the_way_to_log_in() {
    let bench = Bench::new().await;
    let (driver, request) = (bench.open(), bench.request("lab"));
    let network = driver.ensure_network(&request).await.unwrap();
    bench.fake.expire_tokens();

    let failed = driver.create(&network, &machines(&request), &driver::Silent).await.unwrap_err();

    assert!(failed.hint().unwrap().contains("gcloud auth application-default login"), "{failed:?}");
    assert!(!failed.is_transient());
    let left = bench.destroy(&*bench.open(), &request).await.unwrap();
    assert_eq!((left.len(), bench.fake.holdings().len()), (0, 0));
}

#[tokio::test]
async fn a_call_that_is_not_permitted_is_named_with_the_roles() {
    let bench = Bench::new().await;
    bench.fake.fault(Fault::first(
        "firewalls.insert",
        FaultKind::Fail { status: 403, reason: "forbidden", retry_after: None },
    ));

    let failed = bench.create(&*bench.open(), &bench.request("lab")).await.unwrap_err();

    assert!(failed.hint().unwrap().contains("roles/compute"), "{failed:?}");
}

#[tokio::test]
async fn a_firewall_rule_that_fails_inside_its_operation_is_never_silently_missing() {
    let bench = Bench::new().await;
    let (driver, request) = (bench.open(), bench.request("lab"));
    let inside = FaultKind::Operation { code: "INTERNAL_ERROR", message: "Try again later." };
    bench.fake.fault(Fault::first("firewalls.insert", inside));

    let failed = bench.create(&*driver, &request).await.unwrap_err();

    assert!(failed.to_string().contains("firewall rule"), "{failed:?}");
    assert_eq!(bench.create(&*driver, &request).await.unwrap().len(), 5);
    assert_eq!(bench.fake.holdings().iter().filter(|name| name.starts_with("firewalls/")).count(), 3);
    bench.judge().await;
}

#[tokio::test]
async fn a_rule_that_another_process_failed_to_make_is_missed() {
    let bench = Bench::new().await;
    let request = bench.request("lab");
    let inside = FaultKind::Operation { code: "INTERNAL_ERROR", message: "Try again later." };
    bench.fake.fault(Fault::first("firewalls.insert", inside));
    let network = bench.open().ensure_network(&request).await.unwrap();

    let failed = bench.open().create(&network, &machines(&request), &driver::Silent).await.unwrap_err();

    assert!(failed.to_string().contains("firewall rules"), "{failed:?}");
}

#[tokio::test]
async fn a_machine_that_vanishes_while_it_is_waited_for_is_an_error_that_names_it() {
    let bench = Bench::with(Settings { boot: Duration::from_millis(200), ..Settings::default() }, &[]).await;
    let (driver, request) = (bench.open(), bench.request("lab"));
    bench.fake.fault(Fault { kind: Some("instances.aggregatedList"), skip: 1, count: 1, what: FaultKind::Vanish });

    let failed = bench.create(&*driver, &request).await.unwrap_err();

    assert!(failed.to_string().contains("lab-node-1"), "{failed:?}");
    assert_eq!(bench.create(&*driver, &request).await.unwrap().len(), 5);
    assert_eq!(bench.fake.machines().len(), 5);
    bench.judge().await;
}

#[tokio::test]
async fn a_machine_that_was_destroyed_can_be_made_again() {
    let bench = Bench::new().await;
    let (driver, request) = (bench.open(), bench.request("lab"));
    let created = bench.create(&*driver, &request).await.unwrap();
    driver.destroy(&crate::bench::ids(&created)).await.unwrap();

    let again = bench.create(&*bench.open(), &request).await.unwrap();

    assert_eq!((again.len(), bench.fake.machines().len()), (5, 5));
    bench.judge().await;
}

#[tokio::test]
async fn an_unknown_failure_inside_an_operation_is_shown_in_google_s_words() {
    let bench = Bench::new().await;
    let inside =
        FaultKind::Operation { code: "CONDITION_NOT_MET", message: "Constraint compute.vmExternalIpAccess violated." };
    bench.fake.fault(Fault::first("instances.bulkInsert", inside).times(100));

    let failed = bench.create(&*bench.open(), &bench.request("lab")).await.unwrap_err();

    let DriverError::Provider { source, .. } = &failed else { panic!("{failed:?}") };
    assert!(source.to_string().contains("vmExternalIpAccess"), "{failed:?}");
    assert_eq!(bench.fake.machines(), []);
}
