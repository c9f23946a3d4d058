//! What destroying takes away, and what it leaves alone.

use std::collections::BTreeMap;
use std::time::Duration;

use driver::DriverError;
use fake_azure::{Fault, How, Settings};

use crate::lab::{Lab, cluster, create, destroy, gone, told};

fn ids_of(lab: &Lab, part: &str) -> Vec<String> {
    lab.fake.resources().into_iter().filter(|id| id.contains(part)).collect()
}

#[tokio::test]
async fn one_machine_goes_with_all_that_came_with_it_in_one_call() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let driver = lab.open();
    let made = create(&*driver, &cluster).await.unwrap();

    driver.destroy(&[made[4].id.clone()]).await.unwrap();

    assert_eq!(ids_of(&lab, "lab-node-5"), Vec::<String>::new());
    assert_eq!(lab.machine_names().len(), 4);
    let deletes: Vec<_> = lab.fake.requests().into_iter().filter(|entry| entry.method == "DELETE").collect();
    assert_eq!(deletes.len(), 1, "what came with it was made to go with it");
    assert!(deletes[0].url.contains("forceDeletion=true"), "{}", deletes[0].url);
    lab.judge().await;
}

#[tokio::test]
async fn an_interface_that_is_still_reserved_is_waited_for() {
    let lab = Lab::with(Settings { interface_reserved: Duration::from_millis(1500), ..Settings::default() });
    let cluster = cluster("lab");
    let driver = lab.open();
    let made = create(&*driver, &cluster).await.unwrap();

    driver.destroy(&[made[3].id.clone(), made[4].id.clone()]).await.unwrap();

    assert_eq!([ids_of(&lab, "lab-node-4"), ids_of(&lab, "lab-node-5")].concat(), Vec::<String>::new());
    let refused = lab.fake.requests().into_iter().filter(|entry| entry.status == 400).count();
    assert!(refused > 0, "it was reserved");
}

#[tokio::test]
async fn a_machine_comes_back_under_the_name_of_one_whose_interface_is_reserved() {
    let lab = Lab::with(Settings { interface_reserved: Duration::from_millis(300), ..Settings::default() });
    let cluster = cluster("lab");
    let driver = lab.open();
    create(&*driver, &cluster).await.unwrap();
    lab.fake.take_machine_away("lab-node-2");

    let made = create(&*driver, &cluster).await.unwrap();

    assert_eq!((made.len(), lab.machine_names().len()), (5, 5));
}

#[tokio::test]
async fn a_whole_cluster_goes_through_reserved_interfaces() {
    let lab = Lab::with(Settings { interface_reserved: Duration::from_millis(200), ..Settings::default() });
    let cluster = cluster("lab");
    let driver = lab.open();
    create(&*driver, &cluster).await.unwrap();

    destroy(&*driver, &cluster).await.unwrap();

    assert_eq!(lab.fake.resources(), Vec::<String>::new());
}

#[tokio::test]
async fn what_does_not_carry_the_mark_is_never_deleted() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let driver = lab.open();
    let made = create(&*driver, &cluster).await.unwrap();
    assert!(lab.fake.set_tags(&made[0].id.0, BTreeMap::new()));

    let of_machine = driver.destroy(&[made[0].id.clone()]).await.unwrap_err();
    let of_group = driver.remove_network(&cluster.id).await.unwrap_err();

    assert!(told(&of_machine).contains("does not carry swarmup's mark"), "{}", told(&of_machine));
    assert!(matches!(&of_group, DriverError::Unmet { what, .. } if what.contains("lab-node-1")), "{of_group:?}");
    assert_eq!(lab.machine_names().len(), 5);
}

#[tokio::test]
async fn clusters_are_found_and_removed_each_by_itself() {
    let lab = Lab::start();
    let (one, other) = (cluster("one"), cluster("other"));
    let driver = lab.open();
    create(&*driver, &one).await.unwrap();
    create(&*driver, &other).await.unwrap();

    destroy(&*lab.open(), &one).await.unwrap();

    let left = lab.open().find(None).await.unwrap();
    assert!(left.iter().all(|resource| resource.cluster == other.id));
    assert_eq!(left.iter().filter(|resource| resource.instance.is_some()).count(), 5);
    lab.judge().await;
}

#[tokio::test]
async fn every_answer_of_destroying_may_be_lost_once() {
    for (method, kind) in [
        ("GET", "resourceGroups"),
        ("GET", "resources"),
        ("DELETE", "virtualMachines"),
        ("GET", "virtualMachines"),
        ("DELETE", "resourceGroups"),
    ] {
        let lab = Lab::start();
        let cluster = cluster("lab");
        create(&*lab.open(), &cluster).await.unwrap();
        lab.fake.set_fault(Fault::new(method, kind, 1, How::Lose));

        destroy(&*lab.open(), &cluster).await.unwrap();

        assert_eq!(lab.fake.resources(), Vec::<String>::new(), "{method} {kind}");
    }
}

#[tokio::test]
async fn a_group_that_is_going_already_needs_nothing_more() {
    let lab = Lab::with(Settings { group_deletion: Duration::from_millis(200), ..Settings::default() });
    let cluster = cluster("lab");
    let driver = lab.open();
    let made = create(&*driver, &cluster).await.unwrap();
    driver.remove_network(&cluster.id).await.unwrap();

    lab.open().remove_network(&cluster.id).await.unwrap();
    lab.open().destroy(&[made[0].id.clone()]).await.unwrap();

    gone(&*driver, &cluster).await.unwrap();
    assert_eq!(lab.count("DELETE", "resourceGroups"), 1);
}
