//! The fake driver keeps the contract, and goes wrong exactly as it is told to.

#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "this whole file is tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use driver::conformance::{self, Bench, cluster_request};
use driver::{ClusterRequest, Driver, DriverError, MachineRequest, Network, OptionValue, Options, Silent};
use fake::Fake;
use jiff::{SignedDuration, Timestamp};

struct Folder(PathBuf);

impl Bench for Folder {
    fn driver(&self) -> Arc<dyn Driver> {
        fake::open(&Options::default(), &self.0).unwrap()
    }

    fn cluster(&self, name: &str) -> ClusterRequest {
        cluster_request(format!("mark-{name}"), name)
    }
}

/// A cluster with a network, three machines asked for, and a driver with faults.
async fn faulty(folder: &Path, faults: &[&str]) -> (Arc<dyn Driver>, Network, Vec<MachineRequest>) {
    let bench = Folder(folder.to_owned());
    let request = bench.cluster("faulty");
    let faults = OptionValue::Many(faults.iter().map(|fault| (*fault).to_owned()).collect());
    let options = Options([("fault".to_owned(), faults)].into());
    let driver = fake::open(&options, folder).unwrap();
    let network = driver.ensure_network(&request).await.unwrap();
    let machines = (1..=3).map(|number| bench.machine(&request, number)).collect();
    (driver, network, machines)
}

async fn count_machines(driver: &dyn Driver) -> usize {
    driver.find(None).await.unwrap().iter().filter(|resource| resource.instance.is_some()).count()
}

#[tokio::test]
async fn the_fake_driver_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();

    conformance::run(&Folder(folder.path().to_owned())).await;
}

#[tokio::test]
async fn a_lost_answer_leaves_the_machines_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (driver, network, machines) = faulty(folder.path(), &["create:1=lost"]).await;

    let lost = driver.create(&network, &machines, &Silent).await.unwrap_err();

    assert!(lost.is_transient());
    assert_eq!(count_machines(&*driver).await, 3);
    assert_eq!(driver.create(&network, &machines, &Silent).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_partial_create_leaves_some_machines_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (driver, network, machines) = faulty(folder.path(), &["create:1=partial:2"]).await;

    let cut_short = driver.create(&network, &machines, &Silent).await.unwrap_err();

    assert!(!cut_short.is_transient());
    assert_eq!(count_machines(&*driver).await, 2);
}

#[tokio::test]
async fn repetitions_are_counted_across_processes() {
    let folder = tempfile::tempdir().unwrap();
    let faults = ["create:2=fail"];
    let (first, network, machines) = faulty(folder.path(), &faults).await;
    first.create(&network, &machines[..1], &Silent).await.unwrap();
    let (second, network, machines) = faulty(folder.path(), &faults).await;

    let refused = second.create(&network, &machines, &Silent).await;

    assert_eq!(refused.unwrap_err().to_string(), "failed to create");
    assert_eq!(count_machines(&*second).await, 1);
}

#[tokio::test]
async fn quota_and_throttling_look_like_a_providers() {
    let folder = tempfile::tempdir().unwrap();
    let faults = ["create:1=quota", "create:2=throttled:50", "create:3=transient"];
    let (driver, network, machines) = faulty(folder.path(), &faults).await;

    let quota = driver.create(&network, &machines, &Silent).await.unwrap_err();
    let throttled = driver.create(&network, &machines, &Silent).await.unwrap_err();
    let hiccup = driver.create(&network, &machines, &Silent).await.unwrap_err();

    assert!(matches!(quota, DriverError::QuotaExhausted { .. }) && quota.hint().is_some());
    assert_eq!(throttled.retry_after(), Some(Duration::from_millis(50)));
    assert!(hiccup.is_transient());
    assert_eq!(count_machines(&*driver).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_takes_its_time_and_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let (driver, network, machines) = faulty(folder.path(), &["create=slow:3000"]).await;
    let begin = tokio::time::Instant::now();

    driver.create(&network, &machines, &Silent).await.unwrap();

    assert_eq!(begin.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn machines_end_when_their_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let (driver, network, machines) = faulty(folder.path(), &[]).await;
    driver.create(&network, &machines, &Silent).await.unwrap();
    let expires = Timestamp::now() + SignedDuration::from_hours(1);
    driver.extend(&network.cluster, expires).await.unwrap();

    let before = Fake::open(folder.path(), Vec::new()).with_clock(move || expires - SignedDuration::from_secs(1));
    let after = Fake::open(folder.path(), Vec::new()).with_clock(move || expires);

    assert_eq!(count_machines(&before).await, 3);
    assert_eq!(count_machines(&after).await, 0);
}

#[test]
fn a_fault_that_cannot_be_read_is_refused() {
    let faults = OptionValue::One("create=explode".to_owned());

    let refused = fake::open(&Options([("fault".to_owned(), faults)].into()), Path::new("/nowhere")).unwrap_err();

    assert!(matches!(refused, DriverError::InvalidOption { ref option, .. } if option == "fault"), "{refused}");
}
