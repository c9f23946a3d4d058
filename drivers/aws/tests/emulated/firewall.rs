//! The group and its rules: they converge on what is asked for, and nobody else's are touched.

use std::collections::BTreeSet;

use driver::{DriverError, FirewallRule, Protocol, RuleSource};

use crate::cloud::Cloud;
use crate::request::{self, among_members, cluster, from};

/// The rules of a cluster's group, as `protocol port source`.
async fn rules(cloud: &Cloud, mark: &str) -> BTreeSet<String> {
    let groups = cloud.client().describe_security_groups().send().await.unwrap().security_groups.unwrap();
    let group = groups.iter().find(|group| group.group_name() == Some(&format!("swarmup-{mark}"))).unwrap();
    let mut rules = BTreeSet::new();
    for permission in group.ip_permissions() {
        let port = permission.from_port().filter(|port| *port >= 0).map(|port| port.to_string()).unwrap_or_default();
        let groups = permission.user_id_group_pairs().iter().map(|pair| {
            if pair.group_id() == group.group_id() { "members".to_owned() } else { pair.group_id().unwrap().to_owned() }
        });
        let prefixes = permission.ip_ranges().iter().map(|range| range.cidr_ip().unwrap().to_owned());
        for source in groups.chain(prefixes) {
            rules.insert(format!("{} {port} {source}", permission.ip_protocol().unwrap()));
        }
    }
    rules
}

fn set(rules: &[&str]) -> BTreeSet<String> {
    rules.iter().map(|rule| (*rule).to_owned()).collect()
}

#[tokio::test]
async fn only_members_and_the_operator_reach_the_machines() {
    let cloud = Cloud::start();
    let mut cluster = cluster("rules");
    cluster.firewall.push(among_members(Protocol::Esp, None));

    request::network(&*cloud.driver(), &cluster).await;

    let wanted = [
        "tcp 2377 members",
        "tcp 7946 members",
        "udp 7946 members",
        "udp 4789 members",
        "50  members",
        "tcp 22 203.0.113.7/32",
        "tcp 2376 203.0.113.7/32",
    ];
    assert_eq!(rules(&cloud, "mark-rules").await, set(&wanted));
}

#[tokio::test]
async fn rules_converge_when_they_change() {
    let cloud = Cloud::start();
    let mut cluster = cluster("change");
    let driver = cloud.driver();
    let before = request::network(&*driver, &cluster).await;
    cluster.firewall =
        vec![from("198.51.100.9/32", 22), from("0.0.0.0/0", 80), among_members(Protocol::Tcp, Some(2377))];

    let after = request::network(&*cloud.driver(), &cluster).await;
    cloud.actions().await;
    request::network(&*cloud.driver(), &cluster).await;

    assert_eq!(after, before);
    let wanted = ["tcp 22 198.51.100.9/32", "tcp 80 0.0.0.0/0", "tcp 2377 members"];
    assert_eq!(rules(&cloud, "mark-change").await, set(&wanted));
    assert_eq!(cloud.actions().await.len(), 2, "what is as it should be is not changed");
}

#[tokio::test]
async fn the_operators_address_must_be_known() {
    let cloud = Cloud::start();
    let mut cluster = cluster("operator");
    cluster.firewall = vec![FirewallRule { protocol: Protocol::Tcp, port: Some(22), source: RuleSource::Operator }];

    let refused = cloud.driver().ensure_network(&cluster).await.unwrap_err();

    assert!(!refused.is_transient(), "{refused:?}");
}

#[tokio::test]
async fn a_group_of_our_name_without_our_mark_is_left_alone() {
    let cloud = Cloud::start();
    let cluster = cluster("theirs");
    let client = cloud.client();
    let theirs =
        client.create_security_group().group_name("swarmup-mark-theirs").description("theirs").send().await.unwrap();

    let refused = cloud.driver().ensure_network(&cluster).await.unwrap_err();
    cloud.driver().remove_network(&cluster.id).await.unwrap();

    assert!(matches!(refused, DriverError::Provider { is_transient: false, .. }), "{refused:?}");
    assert_eq!(cloud.remains().await, [format!("group {}", theirs.group_id().unwrap())]);
}
