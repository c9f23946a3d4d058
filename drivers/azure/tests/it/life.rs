//! Between creating and destroying: finding, stopping, extending, looking.

use std::collections::BTreeSet;

use driver::{DriverError, InstanceState};
use fake_azure::{MachineState, Settings};
use jiff::{Timestamp, ToSpan as _};

use crate::lab::{Lab, cluster, create};

#[tokio::test]
async fn everything_of_a_cluster_is_found_with_kind_owner_and_price() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    create(&*lab.open(), &cluster).await.unwrap();

    let found = lab.open().find(Some(&cluster.id)).await.unwrap();

    let count = |kind: &str| found.iter().filter(|resource| resource.kind == kind).count();
    assert_eq!((count("group"), count("network"), count("firewall")), (1, 1, 1));
    assert_eq!((count("machine"), count("interface"), count("address"), count("disk")), (5, 5, 5, 5));
    assert_eq!(found.len(), lab.fake.resources().len());
    for resource in &found {
        assert_eq!(
            (resource.cluster_name.as_deref(), resource.owner.as_deref()),
            (Some("lab"), Some("somebody@somewhere"))
        );
        assert_eq!(resource.created_at, Some(cluster.created_at));
        assert_eq!((resource.kind == "machine", resource.is_vanishing), (resource.price.is_some(), false));
    }
    lab.judge().await;
}

#[tokio::test]
async fn stopped_machines_are_charged_no_more() {
    let lab = Lab::start();
    let driver = lab.open();
    let made = create(&*driver, &cluster("lab")).await.unwrap();
    let ids: Vec<_> = made.iter().map(|instance| instance.id.clone()).collect();

    driver.stop(&ids).await.unwrap();
    assert!(lab.fake.machines().iter().all(|machine| machine.state == MachineState::Deallocated));
    let started = driver.start(&ids).await.unwrap();

    assert!(started.iter().all(|instance| instance.state == InstanceState::Running));
    let addresses = |instances: &[driver::Instance]| {
        instances.iter().map(|instance| (instance.private_address, instance.public_address)).collect::<Vec<_>>()
    };
    assert_eq!(addresses(&started), addresses(&made));
    lab.judge().await;
}

#[tokio::test]
async fn an_expiry_moves_on_everything_and_nothing_else_does() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let driver = lab.open();
    create(&*driver, &cluster).await.unwrap();
    let before: Vec<_> = lab.fake.resources().iter().map(|id| lab.fake.tags(id).unwrap()).collect();
    let expires = Timestamp::UNIX_EPOCH + 1_800_000_000.seconds();

    driver.extend(&cluster.id, expires).await.unwrap();

    for (id, mut before) in lab.fake.resources().iter().zip(before) {
        if !before.is_empty() {
            before.insert("swarmup-expires".to_owned(), "1800000000".to_owned());
        }
        assert_eq!(lab.fake.tags(id).unwrap(), before, "{id}");
    }
    let found = driver.find(Some(&cluster.id)).await.unwrap();
    assert!(found.iter().all(|resource| resource.expires == Some(expires)));
    lab.judge().await;
}

#[tokio::test]
async fn a_disk_that_carries_the_mark_is_changed_by_the_version_of_disks() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let driver = lab.open();
    create(&*driver, &cluster).await.unwrap();
    let disk = lab.fake.resources().into_iter().find(|id| id.ends_with("lab-node-1-disk")).unwrap();
    let tags = lab.fake.tags(&lab.fake.machines()[0].id).unwrap();
    assert!(lab.fake.set_tags(&disk, tags));

    driver.extend(&cluster.id, Timestamp::UNIX_EPOCH + 1_800_000_000.seconds()).await.unwrap();

    assert_eq!(lab.fake.tags(&disk).unwrap()["swarmup-expires"], "1800000000");
}

#[tokio::test]
async fn a_console_is_shown() {
    let lab = Lab::start();
    let driver = lab.open();
    let made = create(&*driver, &cluster("lab")).await.unwrap();

    let console = driver.console(&made[0].id).await.unwrap();

    assert!(console.output.contains("node-1 login:"), "{}", console.output);
    let blobs: Vec<_> = lab.fake.requests().into_iter().filter(|entry| entry.kind == "blob").collect();
    assert!(blobs.iter().all(|entry| !entry.headers.contains_key("authorization")), "the token goes to Azure alone");
}

#[tokio::test]
async fn preflight_names_what_it_checked_and_changes_nothing() {
    let lab = Lab::start();

    let preflight = lab.open().preflight(&cluster("lab")).await.unwrap();

    let checked: BTreeSet<_> = preflight.checked.iter().map(String::as_str).collect();
    assert_eq!(
        checked,
        BTreeSet::from([
            "credentials",
            "subscription `Fake subscription`",
            "quota of 10 cores in eastus2",
            "quota of 5 public addresses in eastus2",
            "permissions",
        ])
    );
    assert_eq!(preflight.unchecked, ["whether eastus2 has the capacity for Standard_B2als_v2"]);
    assert!(lab.fake.requests().iter().all(|entry| entry.method == "GET" || entry.kind == "token"));
    lab.judge().await;
}

#[tokio::test]
async fn preflight_refuses_where_a_quota_is_too_small() {
    for settings in [Settings { cores: 9, ..Settings::default() }, Settings { addresses: 4, ..Settings::default() }] {
        let lab = Lab::with(settings);

        let refused = lab.open().preflight(&cluster("lab")).await.unwrap_err();

        assert!(matches!(refused, DriverError::QuotaExhausted { .. }), "{refused:?}");
    }
}
