//! The driver is stopped before and after every call, and another process goes on.

use std::future::Future;
use std::time::Duration;

use driver::{ClusterRequest, DriverError};
use fake_gcp::{Fault, FaultKind, Settings};

use crate::bench::Bench;

/// No create or destroy has more calls.
const MOST_CALLS: usize = 80;

/// Ends a call when it is held: what a SIGKILL leaves. Whether it was held.
async fn cut<T>(bench: &Bench, call: impl Future<Output = Result<T, DriverError>>) -> bool {
    let held = async {
        while bench.fake.held() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = held => true,
        done = tokio::time::timeout(Duration::from_secs(20), call) => {
            done.expect("it ends or is held").expect("nothing else goes wrong");
            false
        }
    }
}

async fn stands(bench: &Bench, request: &ClusterRequest, point: &str) {
    let created = bench.create(&*bench.open(), request).await.unwrap_or_else(|error| panic!("{point}: {error:?}"));
    let mut names: Vec<_> = created.into_iter().map(|instance| instance.name).collect();
    names.sort();
    assert_eq!(names, (1..=5).map(|number| format!("lab-node-{number}")).collect::<Vec<_>>(), "{point}");
    assert_eq!(bench.fake.machines().len(), 5, "{point}: {:?}", bench.fake.machines());
    let firewalls = bench.fake.holdings().into_iter().filter(|name| name.starts_with("firewalls/")).count();
    assert!(firewalls >= 2, "{point}: {:?}", bench.fake.holdings());
}

async fn is_gone(bench: &Bench, request: &ClusterRequest, point: &str) {
    let left = bench.destroy(&*bench.open(), request).await.unwrap_or_else(|error| panic!("{point}: {error:?}"));
    assert_eq!(left, [], "{point}");
    assert_eq!(bench.fake.holdings(), Vec::<String>::new(), "{point}");
}

/// Stops a create at each of its calls; then it is repeated, or all is destroyed.
async fn every_call_of_create(settings: Settings, kind: &FaultKind, is_repeated: bool) -> usize {
    let bench = Bench::with(settings, &[("zone", &["us-central1-a"])]).await;
    let request = bench.request("lab");
    for number in 1..MOST_CALLS {
        bench.fake.fault(Fault::nth(number, kind.clone()));
        let driver = bench.open();
        let was_held = cut(&bench, bench.create(&*driver, &request)).await;
        bench.fake.forget_faults();
        let point = format!("create stopped at call {number} ({kind:?})");
        if was_held && is_repeated {
            stands(&bench, &request, &point).await;
        }
        is_gone(&bench, &request, &point).await;
        if !was_held {
            bench.judge().await;
            return number - 1;
        }
    }
    panic!("create takes more than {MOST_CALLS} calls");
}

/// Stops a destroy at each of its calls; then it is repeated.
async fn every_call_of_destroy(settings: Settings, kind: &FaultKind) -> usize {
    let bench = Bench::with(settings, &[("zone", &["us-central1-a"])]).await;
    let request = bench.request("lab");
    for number in 1..MOST_CALLS {
        bench.create(&*bench.open(), &request).await.unwrap();
        bench.fake.fault(Fault::nth(number, kind.clone()));
        let driver = bench.open();
        let was_held = cut(&bench, bench.destroy(&*driver, &request)).await;
        bench.fake.forget_faults();
        is_gone(&bench, &request, &format!("destroy stopped at call {number} ({kind:?})")).await;
        if !was_held {
            bench.judge().await;
            return number - 1;
        }
    }
    panic!("destroy takes more than {MOST_CALLS} calls");
}

/// Operations that take no longer than they must: there are many.
fn brief() -> Settings {
    Settings { operation: Duration::from_millis(8), boot: Duration::from_millis(4), ..Settings::default() }
}

fn own_network() -> Settings {
    Settings { has_default_network: false, ..brief() }
}

#[tokio::test]
async fn a_create_stopped_before_any_call_is_repeated_without_duplicates() {
    assert!(every_call_of_create(brief(), &FaultKind::Hold, true).await >= 9);
}

#[tokio::test]
async fn a_create_stopped_after_any_call_is_repeated_without_duplicates() {
    assert!(every_call_of_create(brief(), &FaultKind::HoldAfter, true).await >= 9);
}

#[tokio::test]
async fn a_create_stopped_before_any_call_leaves_nothing_after_destroy() {
    assert!(every_call_of_create(brief(), &FaultKind::Hold, false).await >= 9);
}

#[tokio::test]
async fn a_create_stopped_after_any_call_leaves_nothing_after_destroy() {
    assert!(every_call_of_create(brief(), &FaultKind::HoldAfter, false).await >= 9);
}

#[tokio::test]
async fn a_create_in_a_network_of_its_own_is_repeated_and_destroyed_from_any_point() {
    for kind in [FaultKind::Hold, FaultKind::HoldAfter] {
        assert!(every_call_of_create(own_network(), &kind, true).await >= 12);
        assert!(every_call_of_create(own_network(), &kind, false).await >= 12);
    }
}

#[tokio::test]
async fn a_destroy_stopped_before_any_call_is_repeated() {
    assert!(every_call_of_destroy(brief(), &FaultKind::Hold).await >= 14);
}

#[tokio::test]
async fn a_destroy_stopped_after_any_call_is_repeated() {
    assert!(every_call_of_destroy(brief(), &FaultKind::HoldAfter).await >= 14);
}

#[tokio::test]
async fn a_destroy_of_a_network_of_its_own_is_repeated_from_any_point() {
    for kind in [FaultKind::Hold, FaultKind::HoldAfter] {
        assert!(every_call_of_destroy(own_network(), &kind).await >= 14);
    }
}
