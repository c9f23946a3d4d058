//! Creating machines: what is asked of EC2, in how many calls, and what becomes of it.

use std::collections::BTreeMap;

use driver::cloud::{ARCH, DISK, IMAGE, NETWORK, PRIVATE, SPOT, TYPE, ZONE};
use driver::{Access, DriverError, InstanceState, Silent, TAG_ID};
use serde_json::{Value, json};

use crate::cloud::{Cloud, REGION};
use crate::request::{self, cluster, machines};

/// The calls that create and destroy three managers and two workers may take; repetitions and polls are not counted.
const MOST_TO_CREATE: usize = 14;
const MOST_TO_DESTROY: usize = 10;

/// A parameter of a call.
fn parameter<'a>(call: &'a Value, name: &str) -> Option<&'a str> {
    call["parameters"][name].as_str()
}

/// The calls of an action.
fn of<'a>(calls: &'a [Value], action: &str) -> Vec<&'a Value> {
    calls.iter().filter(|call| call["action"] == action).collect()
}

/// The launches, the largest first: they are sent at once.
fn launches(calls: &[Value]) -> Vec<&Value> {
    let mut launches = of(calls, "RunInstances");
    launches.sort_by_key(|call| std::cmp::Reverse(parameter(call, "MinCount").map(ToOwned::to_owned)));
    launches
}

/// The tags that a launch puts on a kind of resource.
fn tags(call: &Value, kind: &str) -> BTreeMap<String, String> {
    let index = (1..9).find(|index| parameter(call, &format!("TagSpecification.{index}.ResourceType")) == Some(kind));
    let Some(index) = index else { return BTreeMap::new() };
    let tag = |at| {
        let part = |part: &str| parameter(call, &format!("TagSpecification.{index}.Tag.{at}.{part}"));
        Some((part("Key")?.to_owned(), part("Value")?.to_owned()))
    };
    (1..).map_while(tag).collect()
}

#[tokio::test]
async fn three_managers_and_two_workers_take_no_more_calls_than_allowed() {
    let cloud = Cloud::start();
    let cluster = cluster("calls");
    let driver = cloud.driver();

    driver.preflight(&cluster).await.unwrap();
    driver.estimate(&cluster).await.unwrap();
    request::create(&*driver, &cluster).await.unwrap();
    let create = cloud.actions().await;
    let driver = cloud.driver();
    request::destroy(&*driver, &cluster.id).await.unwrap();
    let destroy = cloud.actions().await;

    // The last look at the machines is the poll for their addresses; the second one of destroying, that for their end.
    assert!(create.len() - 1 <= MOST_TO_CREATE, "{create:?}");
    assert!(destroy.len() <= MOST_TO_DESTROY, "{destroy:?}");
    assert_eq!(create.len(), 10, "{create:?}");
    assert_eq!(destroy.len(), 10, "{destroy:?}");
}

#[tokio::test]
async fn a_group_is_launched_by_one_call_that_says_all_about_its_machines() {
    let cloud = Cloud::start();
    let cluster = cluster("lab");

    let created = request::create(&*cloud.driver_with(&[(DISK, "33")]), &cluster).await.unwrap();

    let calls = cloud.calls().await;
    let launches = launches(&calls);
    let counts: Vec<_> =
        launches.iter().map(|call| (parameter(call, "MinCount"), parameter(call, "MaxCount"))).collect();
    assert_eq!(counts, [(Some("3"), Some("3")), (Some("2"), Some("2"))]);
    for launch in &launches {
        for (name, value) in [
            ("ImageId", "ami-0000000000000aaa2"),
            ("InstanceType", "t3.small"),
            ("InstanceInitiatedShutdownBehavior", "terminate"),
            ("MetadataOptions.HttpTokens", "required"),
            ("MetadataOptions.HttpPutResponseHopLimit", "1"),
            ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
            ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
            ("BlockDeviceMapping.1.Ebs.VolumeSize", "33"),
            ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
            ("UserData", "I2Nsb3VkLWNvbmZpZwo="),
        ] {
            assert_eq!(parameter(launch, name), Some(value), "{name}");
        }
        for kind in ["instance", "volume", "network-interface"] {
            assert_eq!(tags(launch, kind).get(TAG_ID), Some(&cluster.id.0), "{kind}");
        }
        assert_eq!(parameter(launch, "ClientToken").map(str::len), Some(64));
        assert_eq!(parameter(launch, "InstanceMarketOptions.MarketType"), None);
    }
    assert_eq!(tags(launches[0], "instance")["swarmup-numbers"], "1-3");
    assert_eq!(tags(launches[1], "instance")["Name"], "lab-workers");
    let names: Vec<_> = created.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(names, ["lab-node-1", "lab-node-2", "lab-node-3", "lab-node-4", "lab-node-5"]);
    for instance in &created {
        let Some(Access::Ssh(access)) = &instance.access else { panic!("{instance:?}") };
        assert_eq!(Some(access.host.clone()), instance.public_address.map(|address| address.to_string()));
        assert_eq!((access.user.as_str(), access.port), ("ubuntu", 22));
        assert_eq!(access.host_key.as_deref(), Some("ssh-ed25519 AAAA bootstrap"));
        assert_eq!((instance.state, instance.arch.as_deref()), (InstanceState::Running, Some("x86_64")));
    }
}

#[tokio::test]
async fn the_regions_of_the_account_are_told() {
    let cloud = Cloud::start();

    let regions = cloud.driver().regions().await.unwrap();

    for region in [REGION, "eu-west-1"] {
        let there = regions[region].find(None).await.unwrap();
        assert!(there.is_empty(), "{region}: {there:?}");
    }
}

#[tokio::test]
async fn what_is_found_tells_whose_it_is_and_what_it_costs() {
    let cloud = Cloud::start();
    let cluster = cluster("found");
    let driver = cloud.driver();
    request::create(&*driver, &cluster).await.unwrap();

    let found = driver.find(Some(&cluster.id)).await.unwrap();

    let count = |kind: &str| found.iter().filter(|resource| resource.kind == kind).count();
    let counts = ["machine", "disk", "network-interface", "firewall"].map(count);
    assert_eq!((counts, found.len()), ([5, 5, 5, 1], 16));
    for resource in &found {
        assert_eq!(resource.cluster_name.as_deref(), Some("found"));
        assert_eq!(
            (resource.owner.as_deref(), resource.created_at),
            (Some("somebody@somewhere"), Some(cluster.created_at))
        );
        assert!(!resource.is_vanishing);
    }
    let machine = found.iter().find(|resource| resource.name == "found-node-4").unwrap();
    assert!((0.02..0.04).contains(&machine.price.as_ref().unwrap().per_hour), "{machine:?}");
}

#[tokio::test]
async fn machines_go_round_the_zones_asked_for() {
    let cloud = Cloud::start();
    let cluster = cluster("zones");
    let driver = cloud.driver_with(&[(ZONE, "us-east-1c"), (ZONE, "us-east-1b")]);

    let created = request::create(&*driver, &cluster).await.unwrap();

    let machines = cloud.machines().await;
    let zone = |instance: &driver::Instance| {
        let machine = machines.iter().find(|machine| machine.instance_id() == Some(&instance.id.0)).unwrap();
        machine.placement().unwrap().availability_zone().unwrap().to_owned()
    };
    let zones: Vec<_> = created.iter().map(zone).collect();
    assert_eq!(zones, ["us-east-1c", "us-east-1b", "us-east-1c", "us-east-1b", "us-east-1c"]);
    assert_eq!(of(&cloud.calls().await, "RunInstances").len(), 4);
}

#[tokio::test]
async fn a_zone_without_a_subnet_is_refused_by_name() {
    let cloud = Cloud::start();

    let refused = cloud.driver_with(&[(ZONE, "us-east-1z")]).ensure_network(&cluster("zone")).await.unwrap_err();

    assert!(matches!(refused, DriverError::InvalidOption { ref option, .. } if option == ZONE), "{refused:?}");
    assert_eq!(cloud.remains().await, [""; 0]);
}

#[tokio::test]
async fn private_machines_have_no_public_address_and_are_reached_by_their_own() {
    let cloud = Cloud::start();
    let cluster = cluster("private");

    let created = request::create(&*cloud.driver_with(&[(PRIVATE, "true")]), &cluster).await.unwrap();

    for instance in created {
        let Some(Access::Ssh(access)) = &instance.access else { panic!("{instance:?}") };
        assert_eq!(
            (instance.public_address, Some(access.host.clone())),
            (None, instance.private_address.map(|a| a.to_string()))
        );
    }
}

#[tokio::test]
async fn spot_machines_are_asked_for_once_and_carry_the_mark_on_their_request() {
    let cloud = Cloud::start();
    let cluster = cluster("spot");
    let driver = cloud.driver_with(&[(SPOT, "true")]);

    let created = request::create(&*driver, &cluster).await.unwrap();

    let calls = cloud.calls().await;
    let launch = of(&calls, "RunInstances")[0];
    assert_eq!(parameter(launch, "InstanceMarketOptions.MarketType"), Some("spot"));
    assert_eq!(parameter(launch, "InstanceMarketOptions.SpotOptions.SpotInstanceType"), Some("one-time"));
    assert_eq!(parameter(launch, "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior"), Some("terminate"));
    assert_eq!(tags(launch, "spot-instances-request").get(TAG_ID), Some(&cluster.id.0));
    assert!(!driver.capabilities().has_stop_start);
    let refused = driver.stop(&[created[0].id.clone()]).await.unwrap_err();
    assert!(matches!(refused, DriverError::Unsupported { .. }), "{refused:?}");
}

#[tokio::test]
async fn the_image_is_the_newest_ubuntu_of_the_architecture_or_the_one_named() {
    let cloud = Cloud::start();
    let cases = [
        ((ARCH, "aarch64"), "ami-0000000000000bbb1", "/dev/sda1"),
        ((TYPE, "t4g.medium"), "ami-0000000000000bbb1", "/dev/sda1"),
        ((IMAGE, "ami-0000000000000eee1"), "ami-0000000000000eee1", "/dev/xvda"),
    ];

    for (option, image, device) in cases {
        request::create(&*cloud.driver_with(&[option]), &cluster(image)).await.unwrap();

        let calls = cloud.calls().await;
        let launch = of(&calls, "RunInstances")[0];
        assert_eq!(parameter(launch, "ImageId"), Some(image));
        assert_eq!(parameter(launch, "BlockDeviceMapping.1.DeviceName"), Some(device));
        cloud.reset().await;
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named() {
    let cloud = Cloud::start();
    let driver = cloud.driver_with(&[(IMAGE, "ami-0123456789abcdef0")]);

    let refused = driver.preflight(&cluster("image")).await.unwrap_err();

    assert!(refused.to_string().contains("ami-0123456789abcdef0"), "{refused}");
    assert!(refused.hint().is_some());
}

#[tokio::test]
async fn machines_stand_in_the_subnets_that_are_named() {
    let cloud = Cloud::start();
    let client = cloud.client();
    let vpc = client.create_vpc().cidr_block("10.9.0.0/16").send().await.unwrap().vpc.unwrap().vpc_id.unwrap();
    let subnet = client.create_subnet().vpc_id(&vpc).cidr_block("10.9.1.0/24").send().await.unwrap().subnet.unwrap();
    let id = subnet.subnet_id().unwrap();
    let cluster = cluster("named");

    let created = request::create(&*cloud.driver_with(&[(NETWORK, id)]), &cluster).await.unwrap();

    assert!(created.iter().all(|one| one.private_address.unwrap().to_string().starts_with("10.9.1.")), "{created:?}");
    request::destroy(&*cloud.driver(), &cluster.id).await.unwrap();
    assert_eq!(cloud.remains().await, [format!("vpc {vpc}")], "what is not ours stays");
}

#[tokio::test]
async fn a_subnet_that_is_not_there_is_refused_by_name() {
    let cloud = Cloud::start();

    let refused = cloud.driver_with(&[(NETWORK, "subnet-0123")]).ensure_network(&cluster("named")).await.unwrap_err();

    assert!(refused.to_string().contains("subnet-0123"), "{refused}");
}

#[tokio::test]
async fn user_data_that_ec2_does_not_take_is_refused_before_anything_is_launched() {
    let cloud = Cloud::start();
    let cluster = cluster("large");
    let driver = cloud.driver();
    let network = request::network(&*driver, &cluster).await;
    let mut wanted = machines(&cluster);
    wanted[0].user_data = Some("#".repeat(16 * 1024 + 1));

    let refused = driver.create(&network, &wanted[..1], &Silent).await.unwrap_err();

    assert!(std::error::Error::source(&refused).unwrap().to_string().contains("16384"), "{refused:?}");
    assert_eq!(cloud.machines().await.len(), 0);
}

#[tokio::test]
async fn machines_of_which_there_are_two_by_a_race_are_made_one_again() {
    let cloud = Cloud::start();
    let cluster = cluster("twins");
    let driver = cloud.driver();
    let first = request::create(&*driver, &cluster).await.unwrap();
    // A second launch of the same machines, as if EC2 had not told of the first one.
    let calls = cloud.calls().await;
    cloud.set(json!({ "late": 5 })).await;
    again(&cloud, launches(&calls)[0]).await;
    assert_eq!(cloud.machines().await.len(), 8);

    let second = request::create(&*cloud.driver(), &cluster).await.unwrap();

    assert_eq!(second, first);
    assert_eq!(cloud.machines().await.len(), 5);
}

/// Launches once more what a call launched, under no token.
async fn again(cloud: &Cloud, launch: &Value) {
    use aws_sdk_ec2::types::{
        InstanceNetworkInterfaceSpecification, InstanceType, ResourceType, Tag, TagSpecification,
    };
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(parameter(launch, "NetworkInterface.1.SubnetId").unwrap())
        .associate_public_ip_address(true)
        .build();
    let tags = tags(launch, "instance").into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    let specification =
        TagSpecification::builder().resource_type(ResourceType::Instance).set_tags(Some(tags.collect())).build();
    let request = cloud.client().run_instances().image_id(parameter(launch, "ImageId").unwrap());
    let request = request.instance_type(InstanceType::T3Small).min_count(3).max_count(3);
    request.network_interfaces(interface).tag_specifications(specification).send().await.unwrap();
}
