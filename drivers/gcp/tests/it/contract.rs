//! The contract's own suite, and what machines look like.

use std::net::IpAddr;
use std::time::Duration;

use driver::{Access, InstanceState, SshAccess, conformance};
use fake_gcp::Settings;

use crate::bench::{AUTHORIZED_KEY, Appeared, Bench, HOST_KEY, USER_DATA, machines};

#[tokio::test]
async fn the_driver_keeps_the_contract() {
    let bench = Bench::new().await;

    conformance::run(&bench).await;

    assert_eq!(bench.fake.holdings(), Vec::<String>::new());
    bench.judge().await;
}

#[tokio::test]
async fn the_driver_keeps_the_contract_in_a_network_of_its_own() {
    let settings = Settings { has_default_network: false, ..Settings::default() };
    let bench = Bench::with(settings, &[]).await;

    conformance::run(&bench).await;

    assert_eq!(bench.fake.holdings(), Vec::<String>::new());
    bench.judge().await;
}

#[tokio::test]
async fn lists_of_several_pages_are_read_to_the_end() {
    let bench = Bench::with(Settings { page: 2, ..Settings::default() }, &[]).await;
    let (driver, request) = (bench.open(), bench.request("lab"));

    bench.create(&*driver, &request).await.unwrap();

    let found = driver.find(None).await.unwrap();
    assert_eq!(found.iter().filter(|resource| resource.kind == "machine").count(), 5);
    assert_eq!(found.iter().filter(|resource| resource.kind == "firewall").count(), 3);
    bench.judge().await;
}

#[tokio::test]
async fn a_machine_gets_what_it_needs_and_is_told_of_once_with_its_address() {
    let bench = Bench::new().await;
    let (driver, request) = (bench.open(), bench.request("lab"));
    let network = driver.ensure_network(&request).await.unwrap();
    let appeared = Appeared::default();

    let created = driver.create(&network, &machines(&request), &appeared).await.unwrap();

    let machines = bench.fake.machines();
    let first = machines.iter().find(|machine| machine.name.starts_with("lab-node-1-")).unwrap();
    assert_eq!(first.user_data.as_deref(), Some(USER_DATA));
    assert_eq!(first.ssh_keys.as_deref(), Some(format!("ubuntu:{AUTHORIZED_KEY}").as_str()));
    assert_eq!(first.labels["swarmup-owner"], "somebody_40somewhere");
    let public = IpAddr::V4(first.public_address.unwrap());
    let access = Access::Ssh(SshAccess {
        host: public.to_string(),
        port: 22,
        user: "ubuntu".to_owned(),
        key_file: None,
        host_key: Some(HOST_KEY.to_owned()),
    });
    assert_eq!((created[0].name.as_str(), created[0].access.as_ref()), ("lab-node-1", Some(&access)));
    assert_eq!(created[0].private_address, Some(IpAddr::V4(first.private_address)));
    assert!(matches!(created[0].state, InstanceState::Starting | InstanceState::Running));
    let mut told = appeared.0.lock().unwrap().clone();
    told.sort();
    assert_eq!(told.len(), 5);
    assert_eq!(told[0], format!("lab-node-1 {public}"));
    let metadata = &bench.bodies("instances.bulkInsert")[0]["instanceProperties"]["metadata"]["items"];
    for (key, value) in [("enable-oslogin", "FALSE"), ("block-project-ssh-keys", "TRUE")] {
        assert!(metadata.as_array().unwrap().iter().any(|item| item["key"] == key && item["value"] == value));
    }
    bench.judge().await;
}

#[tokio::test]
async fn a_machine_counts_as_made_once_it_has_its_address_outside() {
    let bench = Bench::with(Settings { boot: Duration::from_millis(400), ..Settings::default() }, &[]).await;
    let (driver, request) = (bench.open(), bench.request("lab"));

    let created = bench.create(&*driver, &request).await.unwrap();

    assert!(created.iter().all(|instance| instance.public_address.is_some() && instance.access.is_some()));
    assert!(created.iter().all(|instance| instance.state == InstanceState::Starting), "nothing waits for the boot");
}

#[tokio::test]
async fn machines_without_public_addresses_are_reached_by_their_private_ones() {
    let bench = Bench::with(Settings::default(), &[("private-address", &["true"])]).await;
    let (driver, request) = (bench.open(), bench.request("lab"));

    let created = bench.create(&*driver, &request).await.unwrap();

    assert!(bench.fake.machines().iter().all(|machine| machine.public_address.is_none()));
    let Some(Access::Ssh(access)) = &created[0].access else { panic!("no access by SSH") };
    assert_eq!(access.host, created[0].private_address.unwrap().to_string());
    assert_eq!(created[0].public_address, None);
    bench.judge().await;
}

#[tokio::test]
async fn clusters_of_one_name_do_not_collide() {
    let bench = Bench::new().await;
    let driver = bench.open();
    let one = bench.request("lab");
    let other = driver::ClusterRequest { id: driver::ClusterId("another".to_owned()), ..bench.request("lab") };

    let in_one = bench.create(&*driver, &one).await.unwrap();
    let in_other = bench.create(&*driver, &other).await.unwrap();

    assert_eq!(in_one[0].name, in_other[0].name);
    assert_eq!(bench.fake.machines().len(), 10);
    assert_eq!(bench.destroy(&*driver, &one).await.unwrap(), []);
    assert_eq!(bench.fake.machines().len(), 5);
    bench.judge().await;
}

#[tokio::test]
async fn what_is_found_says_whose_it_is_and_what_it_costs() {
    let bench = Bench::new().await;
    let driver = bench.open();
    let expires = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 7200).unwrap();
    let owner = "Älice@Wörkstation.example_".repeat(6);
    let request = driver::ClusterRequest { expires: Some(expires), owner, ..bench.request("lab") };
    bench.create(&*driver, &request).await.unwrap();

    let found = bench.open().find(None).await.unwrap();

    assert_eq!(found.len(), 8);
    for resource in found {
        assert_eq!(resource.owner.as_ref(), Some(&request.owner), "{resource:?}");
        assert_eq!(resource.cluster_name.as_deref(), Some("lab"));
        assert_eq!((resource.created_at, resource.expires), (Some(request.created_at), Some(expires)));
        assert_eq!(resource.price.is_some(), resource.kind == "machine");
    }
    bench.judge().await;
}
