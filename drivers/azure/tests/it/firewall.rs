//! Who gets in to the machines.

use std::net::IpAddr;

use driver::{FirewallRule, Protocol, RuleSource};

use crate::lab::{Lab, cluster, create};

const MEMBER: &str = "10.77.1.5";
const STRANGER_INSIDE: &str = "10.77.2.5";
const OPERATOR: &str = "203.0.113.7";
const ANYBODY: &str = "198.51.100.1";

fn check(lab: &Lab, from: &str, protocol: &str, port: Option<u16>, expected: bool) {
    let machine = lab.fake.machines()[0].clone();
    let from: IpAddr = from.parse().unwrap();

    assert_eq!(lab.fake.lets_in(&machine, from, protocol, port), expected, "{from} by {protocol} to {port:?}");
}

#[tokio::test]
async fn members_reach_what_is_for_members_and_the_operator_what_is_for_the_operator() {
    let lab = Lab::start();
    create(&*lab.open(), &cluster("lab")).await.unwrap();

    for (protocol, port) in
        [("Tcp", Some(2377)), ("Tcp", Some(7946)), ("Udp", Some(7946)), ("Udp", Some(4789)), ("Esp", None)]
    {
        check(&lab, MEMBER, protocol, port, true);
        check(&lab, STRANGER_INSIDE, protocol, port, false);
        check(&lab, OPERATOR, protocol, port, false);
        check(&lab, ANYBODY, protocol, port, false);
    }
    for port in [22, 2376] {
        check(&lab, OPERATOR, "Tcp", Some(port), true);
        check(&lab, MEMBER, "Tcp", Some(port), false);
        check(&lab, ANYBODY, "Tcp", Some(port), false);
    }
    check(&lab, ANYBODY, "Tcp", Some(80), false);
}

#[tokio::test]
async fn rules_that_changed_are_made_and_the_others_go() {
    let lab = Lab::start();
    let mut cluster = cluster("lab");
    let driver = lab.open();
    create(&*driver, &cluster).await.unwrap();
    let rule = |port, prefix: &str| FirewallRule {
        protocol: Protocol::Tcp,
        port: Some(port),
        source: RuleSource::Prefix(prefix.to_owned()),
    };

    cluster.firewall.retain(|rule| rule.source == RuleSource::Members);
    cluster.firewall.extend([rule(22, "198.51.100.1/32"), rule(80, "0.0.0.0/0")]);
    driver.ensure_network(&cluster).await.unwrap();

    check(&lab, ANYBODY, "Tcp", Some(22), true);
    check(&lab, OPERATOR, "Tcp", Some(22), false);
    check(&lab, OPERATOR, "Tcp", Some(80), true);
    check(&lab, MEMBER, "Tcp", Some(2377), true);
    assert_eq!(lab.machine_names().len(), 5);
    lab.judge().await;
}

#[tokio::test]
async fn an_operator_without_an_address_is_refused_before_anything_is_made() {
    let lab = Lab::start();
    let mut cluster = cluster("lab");
    cluster.firewall.push(FirewallRule { protocol: Protocol::Tcp, port: Some(22), source: RuleSource::Operator });

    assert!(lab.open().ensure_network(&cluster).await.is_err());
    assert_eq!(lab.fake.resources(), Vec::<String>::new());
}
