//! A process that is killed right before or right after any call reaches EC2.
//!
//! The emulator holds the call, the driver is dropped with everything that it was doing, and another one goes on: either
//! creating, after which exactly the wanted machines exist, or destroying, after which nothing does.

use std::collections::{BTreeMap, BTreeSet};

use driver::{ClusterRequest, DriverError};
use serde_json::json;

use crate::cloud::Cloud;
use crate::network::take_default_network_away;
use crate::request::{self, cluster};

/// On which side of its execution a call is held.
const SIDES: [&str; 2] = ["hold-before", "hold-after"];
/// What is cut short, and what is done after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Create,
    Destroy,
}

/// Which network the account has.
#[derive(Debug, Clone, Copy)]
enum Ground {
    Default,
    Own,
}

async fn work(cloud: &Cloud, work: Work, cluster: &ClusterRequest) -> Result<(), DriverError> {
    let driver = cloud.driver();
    match work {
        Work::Create => request::create(&*driver, cluster).await.map(drop),
        Work::Destroy => request::destroy(&*driver, &cluster.id).await,
    }
}

/// Does the work and kills it at the n-th call of an action; whether there was such a call.
async fn is_killed(cloud: &Cloud, cut: Work, point: (&str, &str, u32), cluster: &ClusterRequest) -> bool {
    let (side, action, nth) = point;
    cloud.faults(json!([{ "action": action, "kind": side, "nth": nth }])).await;
    let is_held = tokio::select! {
        biased;
        outcome = work(cloud, cut, cluster) => { outcome.unwrap(); false }
        held = cloud.held() => { assert_eq!(held["action"], action); true }
    };
    cloud.faults(json!([])).await;
    cloud.release().await;
    is_held
}

/// An account as it is before the work that is cut short.
async fn prepare(cloud: &Cloud, ground: Ground, cut: Work, cluster: &ClusterRequest) {
    cloud.reset().await;
    cloud.set(json!({ "vanish": 0.05, "pending": 0.02 })).await;
    if matches!(ground, Ground::Own) {
        take_default_network_away(cloud).await;
    }
    if cut == Work::Destroy {
        work(cloud, Work::Create, cluster).await.unwrap();
    }
    cloud.actions().await;
}

/// Kills the work at every call of every action, on both sides of it, and goes on in this way; the work makes at least
/// so many calls of each of these actions.
async fn check(ground: Ground, cut: Work, then: Work, least: &[(&str, u32)]) {
    let cloud = Cloud::start();
    let cluster = cluster("killed");
    prepare(&cloud, ground, cut, &cluster).await;
    work(&cloud, cut, &cluster).await.unwrap();
    let mut calls: BTreeMap<_, u32> = BTreeMap::new();
    for action in cloud.actions().await {
        *calls.entry(action).or_default() += 1;
    }
    for (action, least) in least {
        assert!(calls.get(*action) >= Some(least), "{action} is called less than {least} times: {calls:?}");
    }
    for (action, count) in &calls {
        let points = SIDES.into_iter().flat_map(|side| (1..=*count).map(move |nth| (side, action.as_str(), nth)));
        for point in points {
            prepare(&cloud, ground, cut, &cluster).await;
            // A wait may look less often than it did before.
            let is_poll = action == "DescribeInstances" && point.2 == *count;
            let is_killed = is_killed(&cloud, cut, point, &cluster).await;
            assert!(is_killed || is_poll, "{point:?} was not held");
            go_on(&cloud, then, &cluster, &format!("{point:?}")).await;
        }
    }
}

/// Goes on after a kill: creating leaves exactly the wanted machines, destroying nothing at all.
async fn go_on(cloud: &Cloud, then: Work, cluster: &ClusterRequest, point: &str) {
    if then == Work::Create {
        work(cloud, Work::Create, cluster).await.unwrap_or_else(|error| panic!("{point}: {error:?}"));
        assert_eq!(cloud.machines().await.len(), 5, "{point}");
        let found = cloud.driver().find(Some(&cluster.id)).await.unwrap();
        let staying = found.iter().filter(|one| one.kind == "machine" && !one.is_vanishing);
        let names: BTreeSet<_> = staying.map(|machine| machine.name.as_str()).collect();
        assert_eq!(names.len(), 5, "{point}");
        let groups = found.iter().filter(|resource| resource.kind == "firewall").count();
        assert_eq!(groups, 1, "{point}");
        return;
    }
    work(cloud, Work::Destroy, cluster).await.unwrap_or_else(|error| panic!("{point}: {error:?}"));
    assert_eq!(cloud.remains().await, [""; 0], "{point}");
}

/// What creating calls.
const CREATING: [(&str, u32); 7] = [
    ("DescribeSubnets", 1),
    ("DescribeSecurityGroups", 1),
    ("CreateSecurityGroup", 1),
    ("AuthorizeSecurityGroupIngress", 1),
    ("DescribeImages", 1),
    ("DescribeInstances", 2),
    ("RunInstances", 2),
];
/// What destroying calls.
const DESTROYING: [(&str, u32); 5] = [
    ("DescribeTags", 3),
    ("DescribeInstances", 3),
    ("DescribeSecurityGroups", 2),
    ("TerminateInstances", 1),
    ("DeleteSecurityGroup", 1),
];
/// What creating calls where it makes a network of its own.
const CREATING_A_NETWORK: [(&str, u32); 8] = [
    ("CreateVpc", 1),
    ("CreateSubnet", 1),
    ("CreateInternetGateway", 1),
    ("AttachInternetGateway", 1),
    ("DescribeRouteTables", 1),
    ("CreateRoute", 1),
    ("CreateSecurityGroup", 1),
    ("RunInstances", 2),
];
/// What destroying calls where there is a network of its own.
const DESTROYING_A_NETWORK: [(&str, u32); 6] = [
    ("TerminateInstances", 1),
    ("DeleteSecurityGroup", 1),
    ("DetachInternetGateway", 1),
    ("DeleteInternetGateway", 1),
    ("DeleteSubnet", 1),
    ("DeleteVpc", 1),
];

#[tokio::test]
async fn a_create_that_is_killed_at_any_call_is_resumed() {
    check(Ground::Default, Work::Create, Work::Create, &CREATING).await;
}

#[tokio::test]
async fn a_create_that_is_killed_at_any_call_is_undone() {
    check(Ground::Default, Work::Create, Work::Destroy, &CREATING).await;
}

#[tokio::test]
async fn a_destroy_that_is_killed_at_any_call_is_repeated() {
    check(Ground::Default, Work::Destroy, Work::Destroy, &DESTROYING).await;
}

#[tokio::test]
async fn a_destroy_that_is_killed_at_any_call_is_followed_by_a_create() {
    check(Ground::Default, Work::Destroy, Work::Create, &DESTROYING).await;
}

#[tokio::test]
async fn a_create_with_a_network_of_its_own_is_resumed_as_well() {
    check(Ground::Own, Work::Create, Work::Create, &CREATING_A_NETWORK).await;
}

#[tokio::test]
async fn a_create_with_a_network_of_its_own_is_undone_as_well() {
    check(Ground::Own, Work::Create, Work::Destroy, &CREATING_A_NETWORK).await;
}

#[tokio::test]
async fn a_destroy_with_a_network_of_its_own_is_repeated_as_well() {
    check(Ground::Own, Work::Destroy, Work::Destroy, &DESTROYING_A_NETWORK).await;
}

#[tokio::test]
async fn a_destroy_with_a_network_of_its_own_is_followed_by_a_create_as_well() {
    check(Ground::Own, Work::Destroy, Work::Create, &DESTROYING_A_NETWORK).await;
}
