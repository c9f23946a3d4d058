//! Machines that exist: stopping, starting, consoles, and their time.

use driver::{DriverError, InstanceId, TAG_EXPIRES};
use jiff::{Timestamp, ToSpan as _};

use crate::cloud::Cloud;
use crate::request::{self, cluster};

#[tokio::test]
async fn a_machine_that_was_stopped_has_an_address_again_once_it_is_started() {
    let cloud = Cloud::start();
    let driver = cloud.driver();
    let created = request::create(&*driver, &cluster("power")).await.unwrap();
    let ids: Vec<_> = created.iter().map(|instance| instance.id.clone()).collect();

    driver.stop(&ids).await.unwrap();
    let started = driver.start(&ids).await.unwrap();

    let names = |instances: &[driver::Instance]| instances.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&started), names(&created));
    assert!(started.iter().all(|one| one.public_address.is_some() && one.access.is_some()));
}

#[tokio::test]
async fn a_stopped_machine_is_returned_as_it_is_when_it_is_created_again() {
    let cloud = Cloud::start();
    let cluster = cluster("asleep");
    let driver = cloud.driver();
    let created = request::create(&*driver, &cluster).await.unwrap();
    driver.stop(&[created[1].id.clone()]).await.unwrap();

    let again = request::create(&*driver, &cluster).await.unwrap();

    assert_eq!(again[1].state, driver::InstanceState::Stopped);
    assert_eq!(again[1].id, created[1].id);
}

#[tokio::test]
async fn extending_moves_the_time_of_everything_in_one_call() {
    let cloud = Cloud::start();
    let cluster = cluster("extend");
    let driver = cloud.driver();
    request::create(&*driver, &cluster).await.unwrap();
    let expires = Timestamp::from_second(1_800_000_000).unwrap() + 3.hours();
    cloud.actions().await;

    driver.extend(&cluster.id, expires).await.unwrap();

    let actions = cloud.actions().await;
    assert_eq!(actions.iter().filter(|action| *action == "CreateTags").count(), 1, "{actions:?}");
    let found = driver.find(Some(&cluster.id)).await.unwrap();
    assert!(found.iter().all(|resource| resource.expires == Some(expires)), "{TAG_EXPIRES}: {found:?}");
    let unknown = driver.extend(&driver::ClusterId("nobody".to_owned()), expires).await;
    assert!(unknown.is_err(), "nothing carries that mark");
}

#[tokio::test]
async fn a_console_is_shown_as_text() {
    let cloud = Cloud::start();
    let driver = cloud.driver();
    let created = request::create(&*driver, &cluster("console")).await.unwrap();

    let console = driver.console(&created[0].id).await.unwrap();
    let unknown = driver.console(&InstanceId("i-0123456789abcdef0".to_owned())).await.unwrap_err();

    assert!(!console.output.is_empty());
    assert!(matches!(unknown, DriverError::NoSuchMachine { .. }), "{unknown:?}");
}
