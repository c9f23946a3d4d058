//! Networks and the firewall.

use driver::{ClusterRequest, DriverError, FirewallRule, Protocol, RuleSource};
use fake_gcp::{Fault, FaultKind, NetworkSetting, Settings};
use serde_json::json;

use crate::bench::{Bench, firewall, machines};

fn lab_network() -> Settings {
    let network = NetworkSetting {
        name: "lab-net".to_owned(),
        region: "us-central1".to_owned(),
        prefix: "10.77.1.0/24".to_owned(),
    };
    Settings { networks: vec![network], ..Settings::default() }
}

#[tokio::test]
async fn members_reach_members_and_the_operator_reaches_all_and_nobody_else() {
    let bench = Bench::new().await;
    let request = bench.request("lab");

    bench.create(&*bench.open(), &request).await.unwrap();

    let mut rules = bench.bodies("firewalls.insert");
    rules.sort_by_key(|rule| rule["name"].as_str().unwrap().split('-').next_back().unwrap().to_owned());
    let [operator, deny, members] = rules.as_slice() else { panic!("{rules:?}") };
    let tag = &members["targetTags"];
    assert_eq!(&members["sourceTags"], tag);
    assert_eq!(operator["sourceRanges"], json!(["198.51.100.7/32"]));
    assert_eq!(operator["allowed"], json!([{ "IPProtocol": "tcp", "ports": ["22", "2376"] }]));
    assert!(rules.iter().all(|rule| &rule["targetTags"] == tag));
    assert!(deny["priority"].as_i64() > members["priority"].as_i64());
    let machines = bench.bodies("instances.bulkInsert");
    assert!(machines.iter().all(|body| &body["instanceProperties"]["tags"]["items"] == tag));
    bench.judge().await;
}

#[tokio::test]
async fn rules_that_change_are_brought_in_line_and_nothing_else_is_touched() {
    let bench = Bench::new().await;
    let driver = bench.open();
    let (request, other) = (bench.request("lab"), bench.request("other"));
    bench.create(&*driver, &request).await.unwrap();
    driver.ensure_network(&other).await.unwrap();
    bench.fake.forget_requests();

    let again = driver.ensure_network(&request).await.unwrap();
    let unchanged = bench.kinds();
    let web =
        FirewallRule { protocol: Protocol::Tcp, port: Some(80), source: RuleSource::Prefix("0.0.0.0/0".to_owned()) };
    let moved = [firewall("198.51.100.8/32"), vec![web]].concat();
    driver.ensure_network(&ClusterRequest { firewall: moved, ..request.clone() }).await.unwrap();
    let changes: Vec<_> = bench.kinds().into_iter().filter(|kind| !unchanged.contains(kind)).collect();
    driver.ensure_network(&request).await.unwrap();

    assert!(unchanged.iter().all(|kind| kind == "firewalls.list" || kind == "networks.get"), "{unchanged:?}");
    assert_eq!(changes.iter().filter(|kind| *kind == "firewalls.insert").count(), 2);
    assert_eq!(changes.iter().filter(|kind| *kind == "firewalls.delete").count(), 1);
    assert_eq!(driver.ensure_network(&request).await.unwrap(), again);
    assert_eq!(bench.fake.holdings().iter().filter(|name| name.starts_with("firewalls/")).count(), 6);
    bench.judge().await;
}

#[tokio::test]
async fn encrypted_networks_get_esp() {
    let bench = Bench::new().await;
    let esp = FirewallRule { protocol: Protocol::Esp, port: None, source: RuleSource::Members };
    let request = bench.request("lab");
    let driver = bench.open();
    driver.ensure_network(&request).await.unwrap();
    let rules = [request.firewall.clone(), vec![esp]].concat();

    bench.create(&*driver, &ClusterRequest { firewall: rules, ..request }).await.unwrap();

    let patched = &bench.bodies("firewalls.patch")[0];
    assert!(patched["allowed"].as_array().unwrap().contains(&json!({ "IPProtocol": "esp" })));
    bench.judge().await;
}

#[tokio::test]
async fn the_operator_s_address_must_be_a_prefix() {
    let bench = Bench::new().await;
    let rule = FirewallRule { protocol: Protocol::Tcp, port: Some(22), source: RuleSource::Operator };
    let request = ClusterRequest { firewall: vec![rule], ..bench.request("lab") };

    assert!(bench.open().ensure_network(&request).await.is_err());
    assert_eq!(bench.fake.holdings(), Vec::<String>::new());
}

#[tokio::test]
async fn a_network_that_is_named_is_used_with_its_subnetwork_and_stays() {
    for name in ["lab-net", "lab-net/lab-net"] {
        let bench = Bench::with(lab_network(), &[("network", &[name])]).await;
        let (driver, request) = (bench.open(), bench.request("lab"));

        let created = bench.create(&*driver, &request).await.unwrap();

        let mut addresses: Vec<_> =
            created.iter().map(|machine| machine.private_address.unwrap().to_string()).collect();
        addresses.sort();
        assert_eq!(addresses[0], "10.77.1.2");
        assert!(addresses.iter().all(|address| address.starts_with("10.77.1.")), "{addresses:?}");
        assert_eq!(bench.destroy(&*driver, &request).await.unwrap(), []);
        assert!(!bench.kinds().contains(&"networks.delete".to_owned()));
        bench.judge().await;
    }
}

#[tokio::test]
async fn a_network_that_does_not_exist_or_has_no_such_subnetwork_is_refused() {
    for name in ["nowhere", "lab-net/nowhere"] {
        let bench = Bench::with(lab_network(), &[("network", &[name])]).await;

        let refused = bench.open().ensure_network(&bench.request("lab")).await.unwrap_err();

        assert!(matches!(&refused, DriverError::InvalidOption { option, .. } if option == "network"), "{refused:?}");
        assert_eq!(bench.fake.holdings(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn without_a_default_network_the_cluster_gets_one_of_its_own() {
    let bench = Bench::with(Settings { has_default_network: false, ..Settings::default() }, &[]).await;
    let (driver, request) = (bench.open(), bench.request("lab"));

    let network = driver.ensure_network(&request).await.unwrap();
    driver.create(&network, &machines(&request), &driver::Silent).await.unwrap();

    assert_eq!(network.prefix.as_deref(), Some("10.200.0.0/20"));
    assert!(bench.fake.machines().iter().all(|machine| machine.private_address.octets()[..2] == [10, 200]));
    let kinds: Vec<_> = driver.find(None).await.unwrap().into_iter().map(|resource| resource.kind).collect();
    assert!(kinds.contains(&"network".to_owned()), "{kinds:?}");
    assert_eq!(bench.destroy(&*driver, &request).await.unwrap(), []);
    assert_eq!(bench.fake.holdings(), Vec::<String>::new());
    // Each waits for what it needs; nothing is tried before.
    let requests = bench.fake.requests();
    let refused: Vec<_> = requests.iter().filter(|request| request["status"] != 200).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["kind"], "networks.get");
    bench.judge().await;
}

#[tokio::test]
async fn a_network_that_fails_inside_its_operation_is_an_error() {
    for kind in ["networks.insert", "subnetworks.insert"] {
        let bench = Bench::with(Settings { has_default_network: false, ..Settings::default() }, &[]).await;
        let inside = FaultKind::Operation { code: "INTERNAL_ERROR", message: "Try again later." };
        bench.fake.fault(Fault::first(kind, inside));
        let (driver, request) = (bench.open(), bench.request("lab"));

        let failed = driver.ensure_network(&request).await.unwrap_err();

        assert!(failed.to_string().contains("network `swu-"), "{failed}");
        assert_eq!(bench.create(&*driver, &request).await.unwrap().len(), 5);
        bench.judge().await;
    }
}
