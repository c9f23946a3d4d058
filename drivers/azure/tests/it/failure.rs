//! What goes wrong while machines are made.

use std::time::Duration;

use driver::cloud::{TYPE, ZONE};
use driver::{DriverError, Silent};
use fake_azure::{Fault, How, MachineState, Settings, Shortage, ShortageHow};

use crate::lab::{Heard, Lab, cluster, create, destroy, machines, told, with_option};

fn short(size: &str, zone: Option<&str>, how: ShortageHow) -> Shortage {
    Shortage { size: size.to_owned(), zone: zone.map(str::to_owned), how }
}

/// Machines whose provisioning fails before they have addresses, so that the driver sees it.
fn slow_addresses() -> Settings {
    Settings { boot: Duration::from_millis(20), addresses_after: Duration::from_millis(60), ..Settings::default() }
}

#[tokio::test]
async fn every_answer_may_be_lost_once() {
    for (method, kind) in [
        ("POST", "token"),
        ("PUT", "resourceGroups"),
        ("PUT", "networkSecurityGroups"),
        ("PUT", "virtualNetworks"),
        ("GET", "operations"),
        ("PUT", "virtualMachines"),
        ("GET", "virtualMachines"),
        ("GET", "networkInterfaces"),
        ("GET", "publicIPAddresses"),
    ] {
        let lab = Lab::start();
        lab.fake.set_fault(Fault::new(method, kind, 1, How::Lose));

        let made = create(&*lab.open(), &cluster("lab")).await.unwrap();

        assert_eq!((made.len(), lab.machine_names().len()), (5, 5), "{method} {kind}");
    }
}

#[tokio::test]
async fn a_burst_of_throttling_is_sat_out_as_azure_asks() {
    let lab = Lab::start();
    let how = How::Refuse { status: 429, code: "SubscriptionRequestsThrottled", retry_after: Some(1) };
    lab.fake.set_fault(Fault::new("PUT", "virtualMachines", 1, how).times(5));
    let begin = std::time::Instant::now();

    create(&*lab.open(), &cluster("lab")).await.unwrap();

    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(lab.count("PUT", "virtualMachines"), 10);
}

#[tokio::test]
async fn throttling_without_end_is_an_error() {
    let lab = Lab::start();
    let how = How::Refuse { status: 503, code: "ServerBusy", retry_after: None };
    lab.fake.set_fault(Fault::new("PUT", "virtualNetworks", 1, how).times(u32::MAX));

    let error = create(&*lab.open(), &cluster("lab")).await.unwrap_err();

    assert!(!error.is_transient(), "nobody tries again on top: {error}");
    assert!(told(&error).contains("make the network"), "{}", told(&error));
}

#[tokio::test]
async fn a_token_that_expires_midway_is_followed_by_another() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let driver = lab.open();
    let network = driver.ensure_network(&cluster).await.unwrap();

    lab.fake.expire_tokens();
    driver.create(&network, &machines(&cluster), &Silent).await.unwrap();

    assert_eq!(lab.count("POST", "token"), 2);
}

#[tokio::test]
async fn tokens_that_are_over_soon_are_replaced_before_they_are() {
    let lab = Lab::with(Settings { token_lifetime: Duration::from_secs(1), ..Settings::default() });
    let cluster = cluster("lab");
    let driver = lab.open();
    let network = driver.ensure_network(&cluster).await.unwrap();

    tokio::time::sleep(Duration::from_millis(1100)).await;
    driver.create(&network, &machines(&cluster), &Silent).await.unwrap();

    assert!(lab.fake.requests().iter().all(|entry| entry.status != 401));
}

#[tokio::test]
async fn credentials_that_end_midway_are_told_with_what_to_do() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let driver = lab.open();
    let network = driver.ensure_network(&cluster).await.unwrap();

    lab.fake.expire_tokens();
    lab.fake.change_settings(|settings| "revoked".clone_into(&mut settings.secret));
    let error = driver.create(&network, &machines(&cluster), &Silent).await.unwrap_err();

    assert!(matches!(&error, DriverError::Unmet { hint, .. } if hint.contains("az login")), "{error:?}");
}

#[tokio::test]
async fn a_type_that_cannot_be_had_is_followed_by_the_next() {
    let lab = Lab::start();
    lab.fake.set_shortage(short("Standard_B2als_v2", None, ShortageHow::AtOnce));

    create(&*lab.open(), &cluster("lab")).await.unwrap();

    let sizes: Vec<_> = lab.fake.machines().into_iter().map(|machine| machine.size).collect();
    assert_eq!(sizes, ["Standard_B2s"; 5]);
    lab.judge().await;
}

#[tokio::test]
async fn a_zone_without_capacity_is_followed_by_the_next() {
    let lab = Lab::start();
    lab.fake.set_shortage(short("Standard_B2s", Some("1"), ShortageHow::AtOnce));
    let cluster = with_option(with_option(cluster("lab"), ZONE, &["1", "2"]), TYPE, &["Standard_B2s"]);

    create(&*lab.open(), &cluster).await.unwrap();

    let zones: Vec<_> = lab.fake.machines().into_iter().filter_map(|machine| machine.zone).collect();
    assert_eq!(zones, ["2"; 5]);
}

#[tokio::test]
async fn a_machine_for_which_there_turns_out_to_be_no_capacity_is_made_again_elsewhere() {
    let lab = Lab::with(slow_addresses());
    lab.fake.set_shortage(short("Standard_B2s", Some("1"), ShortageHow::Later));
    let cluster = with_option(with_option(cluster("lab"), ZONE, &["1", "2"]), TYPE, &["Standard_B2s"]);
    let heard = Heard::default();
    let driver = lab.open();
    let network = driver.ensure_network(&cluster).await.unwrap();

    let made = driver.create(&network, &machines(&cluster), &heard).await.unwrap();

    let machines = lab.fake.machines();
    assert!(machines.iter().all(|machine| machine.zone.as_deref() == Some("2")), "{machines:#?}");
    assert_eq!((made.len(), machines.len()), (5, 5));
    assert!(heard.said.lock().unwrap().iter().any(|line| line.contains("ZonalAllocationFailed")));
    lab.judge().await;
}

#[tokio::test]
async fn where_there_is_no_capacity_at_all_the_error_names_what_was_tried() {
    let lab = Lab::start();
    for size in ["Standard_B2s", "Standard_B2ms"] {
        lab.fake.set_shortage(short(size, None, ShortageHow::AtOnce));
    }
    let cluster = with_option(with_option(cluster("lab"), ZONE, &["1", "3"]), TYPE, &["Standard_B2s", "Standard_B2ms"]);
    let driver = lab.open();

    let error = create(&*driver, &cluster).await.unwrap_err();

    assert_eq!(
        told(&error),
        "Azure has no capacity for machine `lab-node-1`: tried Standard_B2s, Standard_B2ms in eastus2 (zones 1, 3)"
    );
    assert!(lab.machine_names().is_empty());
    destroy(&*driver, &cluster).await.unwrap();
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_named() {
    let lab = Lab::with(Settings { cores: 4, ..Settings::default() });
    let cluster = cluster("lab");
    let driver = lab.open();

    let error = create(&*driver, &cluster).await.unwrap_err();

    assert!(
        matches!(&error, DriverError::QuotaExhausted { quota, region } if quota == "Total Regional Cores" && region == "eastus2"),
        "{error:?}"
    );
    destroy(&*driver, &cluster).await.unwrap();
    assert_eq!(lab.fake.resources(), Vec::<String>::new());
}

#[tokio::test]
async fn a_machine_whose_making_fails_is_made_again_once() {
    let lab = Lab::with(slow_addresses());
    lab.fake.fail_provisioning("lab-node-2", "OSProvisioningTimedOut", 1);

    let made = create(&*lab.open(), &cluster("lab")).await.unwrap();

    assert_eq!(made.len(), 5);
    assert!(lab.fake.machines().iter().all(|machine| machine.state != MachineState::Failed));
    assert_eq!(lab.count("PUT", "virtualMachines"), 6);
}

#[tokio::test]
async fn a_machine_that_failed_after_the_driver_had_gone_is_made_again_by_the_next() {
    let lab = Lab::start();
    lab.fake.fail_provisioning("lab-node-2", "AllocationFailed", 1);
    lab.fake.set_fault(Fault::new("GET", "networkInterfaces", 1, How::HoldBefore));
    let cluster = cluster("lab");
    let first = lab.open();
    tokio::select! {
        created = create(&*first, &cluster) => panic!("it was to be stopped: {created:?}"),
        held = lab.fake.held(Duration::from_secs(10)) => assert!(held),
    }
    lab.fake.clear_faults();
    lab.until(|| lab.fake.machines().iter().any(|machine| machine.state == MachineState::Failed)).await;

    let made = create(&*lab.open(), &cluster).await.unwrap();

    assert_eq!(made.len(), 5);
    let sizes: Vec<_> = lab.fake.machines().into_iter().map(|machine| machine.size).collect();
    assert_eq!(
        sizes.iter().filter(|size| *size == "Standard_B2s").count(),
        1,
        "the next type after the one that failed"
    );
}

#[tokio::test]
async fn a_machine_that_fails_twice_is_an_error_that_says_why() {
    let lab = Lab::with(slow_addresses());
    lab.fake.fail_provisioning("lab-node-2", "OSProvisioningTimedOut", 2);
    let cluster = cluster("lab");
    let driver = lab.open();

    let created = create(&*driver, &cluster).await;

    let error = told(&created.unwrap_err());
    assert_eq!(error, "failed to create machine `lab-node-2`: it failed twice: OSProvisioningTimedOut");
    destroy(&*driver, &cluster).await.unwrap();
}

#[tokio::test]
async fn a_machine_that_vanishes_while_it_is_waited_for_is_an_error() {
    let lab = Lab::with(Settings { addresses_after: Duration::from_mins(1), ..Settings::default() });
    let cluster = cluster("lab");
    let driver = lab.open();
    let network = driver.ensure_network(&cluster).await.unwrap();
    let wanted = machines(&cluster);

    let creating = driver.create(&network, &wanted, &Silent);
    let taking = async {
        lab.until(|| lab.machine_names().len() == 5).await;
        lab.fake.take_machine_away("lab-node-3");
    };
    let (created, ()) = tokio::join!(creating, taking);

    let error = told(&created.unwrap_err());
    assert_eq!(error, "failed to create machine `lab-node-3`: it vanished while it was waited for");
    destroy(&*driver, &cluster).await.unwrap();
    assert_eq!(lab.fake.resources(), Vec::<String>::new());
}

#[tokio::test]
async fn a_group_that_is_not_known_everywhere_yet_is_tried_again() {
    let lab = Lab::start();
    let how = How::Refuse { status: 404, code: "ResourceGroupNotFound", retry_after: None };
    lab.fake.set_fault(Fault::new("PUT", "networkSecurityGroups", 1, how.clone()).times(2));
    lab.fake.set_fault(Fault::new("PUT", "virtualMachines", 1, how).times(2));

    assert_eq!(create(&*lab.open(), &cluster("lab")).await.unwrap().len(), 5);
}
