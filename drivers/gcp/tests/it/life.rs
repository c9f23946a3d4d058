//! Machines stop, start, are given time, and end.

use std::time::Duration;

use driver::{ClusterRequest, DriverError, InstanceId};
use fake_gcp::Settings;
use jiff::Timestamp;

use crate::bench::{Bench, ids};

fn hence(seconds: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap()
}

async fn until(bench: &Bench, seconds: i64) -> ClusterRequest {
    let request = ClusterRequest { expires: Some(hence(seconds)), ..bench.request("lab") };
    bench.create(&*bench.open(), &request).await.unwrap();
    request
}

#[tokio::test]
async fn compute_engine_itself_ends_machines_whose_time_is_up() {
    let bench = Bench::new().await;
    let request = until(&bench, 3600).await;

    bench.fake.advance(Duration::from_secs(3500));
    let before = bench.fake.machines().len();
    bench.fake.advance(Duration::from_secs(200));

    assert_eq!((before, bench.fake.machines().len()), (5, 0));
    // Its tokens have aged as well: a new process gets new ones.
    assert_eq!(bench.destroy(&*bench.open(), &request).await.unwrap(), []);
    assert_eq!(bench.fake.holdings(), Vec::<String>::new());
    bench.judge().await;
}

#[tokio::test]
async fn the_end_of_running_machines_cannot_be_moved_and_nothing_pretends_it_was() {
    let bench = Bench::new().await;
    let request = until(&bench, 3600).await;
    let before = bench.open().find(Some(&request.id)).await.unwrap();

    let refused = bench.open().extend(&request.id, hence(7200)).await.unwrap_err();

    assert!(refused.to_string().contains("all the same"), "{refused}");
    assert!(refused.hint().unwrap().contains("stop the cluster"), "{refused:?}");
    assert_eq!(bench.open().find(Some(&request.id)).await.unwrap(), before);
    bench.judge().await;
}

#[tokio::test]
async fn the_end_of_stopped_machines_is_moved_with_all_marks() {
    let bench = Bench::new().await;
    let request = until(&bench, 3600).await;
    let driver = bench.open();
    let machines: Vec<_> =
        driver.find(Some(&request.id)).await.unwrap().into_iter().filter_map(|resource| resource.instance).collect();
    driver.stop(&machines).await.unwrap();
    let later = hence(7200);

    driver.extend(&request.id, later).await.unwrap();
    driver.start(&machines).await.unwrap();

    let found = driver.find(Some(&request.id)).await.unwrap();
    assert!(found.iter().all(|resource| resource.expires == Some(later)), "{found:?}");
    bench.fake.advance(Duration::from_secs(3700));
    let before = bench.fake.machines().len();
    bench.fake.advance(Duration::from_secs(3700));
    assert_eq!((before, bench.fake.machines().len()), (5, 0));
    bench.judge().await;
}

#[tokio::test]
async fn an_earlier_end_is_marked_and_a_first_one_is_said_to_be_marked_only() {
    let bench = Bench::new().await;
    let request = until(&bench, 7200).await;
    let sooner = hence(3600);
    bench.open().extend(&request.id, sooner).await.unwrap();
    let found = bench.open().find(Some(&request.id)).await.unwrap();
    assert!(found.iter().all(|resource| resource.expires == Some(sooner)), "{found:?}");
    bench.destroy(&*bench.open(), &request).await.unwrap();
    let endless = bench.request("lab");
    bench.create(&*bench.open(), &endless).await.unwrap();

    let told = bench.open().extend(&endless.id, sooner).await.unwrap_err();

    assert!(told.hint().unwrap().contains("swarmup gc"), "{told:?}");
    let found = bench.open().find(Some(&endless.id)).await.unwrap();
    assert!(found.iter().all(|resource| resource.expires == Some(sooner)), "{found:?}");
    bench.judge().await;
}

#[tokio::test]
async fn spot_machines_are_deleted_when_google_needs_them() {
    let bench = Bench::with(Settings::default(), &[("spot", &["true"])]).await;
    let request = bench.request("lab");

    bench.create(&*bench.open(), &request).await.unwrap();

    let scheduling = &bench.bodies("instances.bulkInsert")[0]["instanceProperties"]["scheduling"];
    assert_eq!(scheduling["provisioningModel"], "SPOT");
    assert_eq!(scheduling["instanceTerminationAction"], "DELETE");
    bench.judge().await;
}

#[tokio::test]
async fn a_time_too_short_for_compute_engine_is_refused_before_anything_is_made() {
    let bench = Bench::new().await;
    let request = ClusterRequest { expires: Some(hence(5)), ..bench.request("lab") };

    let refused = bench.create(&*bench.open(), &request).await.unwrap_err();

    assert!(refused.hint().is_some(), "{refused:?}");
    assert_eq!(bench.fake.machines(), []);
}

#[tokio::test]
async fn a_stopped_machine_starts_under_another_address() {
    let bench = Bench::new().await;
    let (driver, request) = (bench.open(), bench.request("lab"));
    let created = bench.create(&*driver, &request).await.unwrap();
    let first = &created[0];

    driver.stop(std::slice::from_ref(&first.id)).await.unwrap();
    let stopped = bench.fake.machines().into_iter().find(|machine| first.id.0.ends_with(&machine.name)).unwrap();
    let started = driver.start(std::slice::from_ref(&first.id)).await.unwrap().swap_remove(0);

    assert_eq!((stopped.status.as_str(), stopped.public_address), ("TERMINATED", None));
    assert_eq!((&started.name, started.private_address), (&first.name, first.private_address));
    assert_ne!(started.public_address, first.public_address);
    bench.judge().await;
}

#[tokio::test]
async fn a_console_shows_what_the_machine_wrote() {
    let bench = Bench::new().await;
    let (driver, request) = (bench.open(), bench.request("lab"));
    let created = bench.create(&*driver, &request).await.unwrap();

    let console = driver.console(&created[0].id).await.unwrap();

    assert!(console.output.contains("lab-node-1"), "{console:?}");
    let nobody = driver.console(&InstanceId("us-central1-a/nobody".to_owned())).await.unwrap_err();
    assert!(matches!(nobody, DriverError::NoSuchMachine { .. }), "{nobody:?}");
    bench.judge().await;
}

#[tokio::test]
async fn a_machine_without_our_mark_is_never_touched() {
    let bench = Bench::new().await;
    let (driver, request) = (bench.open(), bench.request("lab"));
    let created = bench.create(&*driver, &request).await.unwrap();
    let mut body = bench.bodies("instances.bulkInsert")[1].clone();
    body["instanceProperties"]["labels"] = serde_json::json!({ "team": "lab" });
    body["perInstanceProperties"] = serde_json::json!({ "web-1": {} });
    body["count"] = "1".into();
    body["minCount"] = "1".into();
    bench.fake.insert("us-central1-a", &body);
    let foreign = InstanceId("us-central1-a/web-1".to_owned());

    let stopped = driver.stop(std::slice::from_ref(&foreign)).await.unwrap_err();
    let both: Vec<_> = ids(&created).into_iter().chain([foreign]).collect();
    driver.destroy(&both).await.unwrap();

    assert!(matches!(stopped, DriverError::NoSuchMachine { .. }));
    let left: Vec<_> = bench.fake.machines().into_iter().map(|machine| machine.name).collect();
    assert_eq!(left, ["web-1"]);
    assert_eq!(bench.destroy(&*bench.open(), &request).await.unwrap(), []);
    assert_eq!(bench.fake.holdings(), ["instances/web-1"]);
    bench.judge().await;
}
