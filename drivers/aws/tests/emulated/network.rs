//! A VPC of our own, where the region has no default one.

use driver::cloud::ZONE;
use serde_json::json;

use crate::cloud::Cloud;
use crate::request::{self, cluster};

/// An account whose default network was taken away.
async fn without_default_network() -> Cloud {
    let cloud = Cloud::start();
    take_default_network_away(&cloud).await;
    cloud
}

pub(crate) async fn take_default_network_away(cloud: &Cloud) {
    let client = cloud.client();
    for subnet in client.describe_subnets().send().await.unwrap().subnets.unwrap() {
        client.delete_subnet().subnet_id(subnet.subnet_id.unwrap()).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_vpc_of_our_own_is_made_and_removed_with_all_that_is_in_it() {
    let cloud = without_default_network().await;
    let cluster = cluster("own");
    let driver = cloud.driver();

    let network = driver.ensure_network(&cluster).await.unwrap();
    let created = request::create(&*driver, &cluster).await.unwrap();
    let found = driver.find(Some(&cluster.id)).await.unwrap();
    request::destroy(&*cloud.driver(), &cluster.id).await.unwrap();

    assert_eq!(network.prefix.as_deref(), Some("10.77.0.0/16"));
    assert!(created.iter().all(|one| one.private_address.unwrap().to_string().starts_with("10.77.0.")), "{created:?}");
    for kind in ["network", "subnet", "gateway", "firewall"] {
        assert_eq!(found.iter().filter(|resource| resource.kind == kind).count(), 1, "{kind}");
    }
    assert_eq!(cloud.remains().await, [""; 0]);
}

#[tokio::test]
async fn it_has_a_subnet_in_each_zone_asked_for() {
    let cloud = without_default_network().await;
    let cluster = cluster("own");
    let driver = cloud.driver_with(&[(ZONE, "us-east-1b"), (ZONE, "us-east-1a")]);

    let first = driver.ensure_network(&cluster).await.unwrap();
    let second = driver.ensure_network(&cluster).await.unwrap();

    assert_eq!(first, second);
    let zones: Vec<_> = first.handles.many("place").iter().map(|place| place.split('@').next_back().unwrap()).collect();
    assert_eq!(zones, ["us-east-1b", "us-east-1a"]);
}

#[tokio::test]
async fn a_lost_answer_makes_nothing_twice() {
    let cloud = without_default_network().await;
    let actions = [
        "CreateVpc",
        "CreateSubnet",
        "CreateInternetGateway",
        "AttachInternetGateway",
        "CreateRoute",
        "CreateSecurityGroup",
    ];
    let lost: Vec<_> = actions.iter().map(|action| json!({ "action": action, "kind": "lost" })).collect();
    cloud.faults(json!(lost)).await;
    let cluster = cluster("own");

    request::create(&*cloud.driver(), &cluster).await.unwrap();

    let calls = cloud.calls().await;
    assert!(actions.iter().all(|action| calls.iter().any(|call| call["action"] == *action && call["fault"] == "lost")));
    let found = cloud.driver().find(Some(&cluster.id)).await.unwrap();
    for kind in ["network", "subnet", "gateway", "firewall"] {
        assert_eq!(found.iter().filter(|resource| resource.kind == kind).count(), 1, "{kind}");
    }
    request::destroy(&*cloud.driver(), &cluster.id).await.unwrap();
    assert_eq!(cloud.remains().await, [""; 0]);
}
