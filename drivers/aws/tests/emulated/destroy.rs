//! Destroying: what is ours goes, in the order in which it can; nothing else does.

use aws_sdk_ec2::types::{InstanceType, ResourceType, Tag, TagSpecification, VolumeType};
use driver::{InstanceId, Silent, TAG_ID};
use serde_json::json;

use crate::cloud::Cloud;
use crate::request::{self, cluster, machines};

#[tokio::test]
async fn a_machine_without_a_mark_is_not_destroyed_even_when_it_is_named() {
    let cloud = Cloud::start();
    let request = cloud.client().run_instances().image_id("ami-0000000000000eee1").instance_type(InstanceType::T3Small);
    let theirs = request.min_count(1).max_count(1).send().await.unwrap().instances.unwrap().remove(0);
    let id = InstanceId(theirs.instance_id.unwrap());

    cloud.driver().destroy(std::slice::from_ref(&id)).await.unwrap();

    assert_eq!(cloud.machines().await.len(), 1);
}

#[tokio::test]
async fn ids_that_nobody_knows_are_no_obstacle() {
    let cloud = Cloud::start();
    let cluster = cluster("known");
    let driver = cloud.driver();
    let created = request::create(&*driver, &cluster).await.unwrap();
    let mut ids: Vec<_> = created.into_iter().map(|instance| instance.id).collect();
    ids.push(InstanceId("i-0123456789abcdef0".to_owned()));
    ids.push(InstanceId("nonsense".to_owned()));

    cloud.driver().destroy(&ids).await.unwrap();

    assert_eq!(cloud.machines().await.len(), 0);
}

#[tokio::test]
async fn a_network_is_removed_once_its_machines_have_vanished() {
    let cloud = Cloud::start();
    cloud.set(json!({ "vanish": 0.5 })).await;
    let cluster = cluster("slow");
    let driver = cloud.driver();
    let created = request::create(&*driver, &cluster).await.unwrap();

    driver.destroy(&created.into_iter().map(|instance| instance.id).collect::<Vec<_>>()).await.unwrap();
    let vanishing = driver.find(Some(&cluster.id)).await.unwrap();
    driver.remove_network(&cluster.id).await.unwrap();

    assert!(vanishing.iter().filter(|resource| resource.kind == "machine").all(|resource| resource.is_vanishing));
    assert_eq!(driver.find(Some(&cluster.id)).await.unwrap(), []);
    assert_eq!(cloud.remains().await, [""; 0]);
}

#[tokio::test]
async fn what_something_hangs_on_is_tried_again() {
    let cloud = Cloud::start();
    let cluster = cluster("hangs");
    request::create(&*cloud.driver(), &cluster).await.unwrap();
    let violation =
        json!([{ "action": "DeleteSecurityGroup", "kind": "error", "code": "DependencyViolation", "times": 4 }]);
    cloud.faults(violation).await;

    request::destroy(&*cloud.driver(), &cluster.id).await.unwrap();

    assert_eq!(cloud.remains().await, [""; 0]);
}

#[tokio::test]
async fn a_machine_that_is_listed_late_keeps_its_network() {
    let cloud = Cloud::start();
    let cluster = cluster("late");
    let driver = cloud.driver();
    request::create(&*driver, &cluster).await.unwrap();

    let refused = driver.remove_network(&cluster.id).await.unwrap_err();

    assert!(std::error::Error::source(&refused).unwrap().to_string().contains("late-node-1"), "{refused:?}");
    assert_eq!(cloud.machines().await.len(), 5);
}

#[tokio::test]
async fn what_machines_left_behind_goes_with_the_network() {
    let cloud = Cloud::start();
    let cluster = cluster("behind");
    let client = cloud.client();
    request::create(&*cloud.driver(), &cluster).await.unwrap();
    let mark = Tag::builder().key(TAG_ID).value(&cluster.id.0).build();
    let marked = |kind| TagSpecification::builder().resource_type(kind).tags(mark.clone()).build();
    let disk = client.create_volume().availability_zone("us-east-1a").size(9).volume_type(VolumeType::Gp3);
    disk.tag_specifications(marked(ResourceType::Volume)).send().await.unwrap();
    let subnet = client.describe_subnets().send().await.unwrap().subnets.unwrap().remove(0).subnet_id.unwrap();
    let interface = client.create_network_interface().subnet_id(subnet);
    interface.tag_specifications(marked(ResourceType::NetworkInterface)).send().await.unwrap();
    let unmarked = client.create_volume().availability_zone("us-east-1a").size(9).send().await.unwrap();

    request::destroy(&*cloud.driver(), &cluster.id).await.unwrap();

    assert_eq!(cloud.remains().await, [format!("disk {}", unmarked.volume_id().unwrap())]);
}

#[tokio::test]
async fn a_machine_that_was_destroyed_can_be_made_again() {
    let cloud = Cloud::start();
    // EC2 tells of what ended long before it tells of what was launched.
    cloud.set(json!({ "unseen": 0.1 })).await;
    let cluster = cluster("again");
    let driver = cloud.driver();
    let network = request::network(&*driver, &cluster).await;
    let wanted = machines(&cluster);
    let mut ids = Vec::new();

    for _ in 0..3 {
        let made = driver.create(&network, &wanted[..2], &Silent).await.unwrap();
        ids.extend(made.iter().map(|instance| instance.id.clone()));
        driver.destroy(&ids).await.unwrap();
    }

    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "each time they are others");
    assert_eq!(cloud.machines().await.len(), 0);
}
