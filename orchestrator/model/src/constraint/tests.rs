//! The grammar, and which nodes meet what.

use std::collections::BTreeMap;

use super::*;
use crate::{Meta, NodeDescription, NodeId, NodeSpec, NodeState, Role};

const ID: &str = "n4x0000000000000000000001";

fn node() -> Node {
    let mut description = NodeDescription { hostname: "Host-1".to_owned(), ..NodeDescription::default() };
    description.platform.os = "linux".to_owned();
    description.platform.architecture = "x86_64".to_owned();
    description.engine.labels = BTreeMap::from([("Storage".to_owned(), "SSD".to_owned())]);
    let mut state = NodeState { role: Role::Manager, description: Some(description), ..NodeState::default() };
    state.status.addr = "10.1.2.3".to_owned();
    Node {
        id: ID.parse::<NodeId>().expect("an id"),
        meta: Meta::default(),
        spec: NodeSpec {
            labels: BTreeMap::from([("zone".to_owned(), "East 1".to_owned()), ("Zone".to_owned(), "west".to_owned())]),
            ..NodeSpec::default()
        },
        state,
    }
}

fn is_met(text: &str, node: &Node) -> bool {
    Constraint::parse(text).expect("a constraint").is_met_by(node)
}

#[test]
fn a_constraint_is_a_key_an_operator_and_a_value() {
    let key = |key: &str| Err(InvalidConstraint::Key(key.to_owned()));
    let value = |value: &str| Err(InvalidConstraint::Value(value.to_owned()));
    let check = |text: &str, expected: Result<(), InvalidConstraint>| {
        assert_eq!(Constraint::parse(text).map(drop), expected, "{text}");
    };
    check("node.role==worker", Ok(()));
    check("  node.role  !=  worker  ", Ok(()));
    check("node.labels.zone==a b:c/d*", Ok(()));
    check("_x==1", Ok(()));
    check("nobody.knows.it==1", Ok(()));
    check("", Err(InvalidConstraint::NoOperator));
    check("node.role", Err(InvalidConstraint::NoOperator));
    check("node.role=worker", Err(InvalidConstraint::NoOperator));
    check("==worker", key(""));
    check("n==worker", key("n"));
    check("1node==worker", key("1node"));
    check("node role==worker", key("node role"));
    check("node.rôle==worker", key("node.rôle"));
    check("node.role==", value(""));
    check("node.role!=  ", value(""));
    check("node.role===worker", value("=worker"));
    check("node.id!=a!=b", value("a!=b"));
    check("node.id!=a==b", key("node.id!=a"));
    check("node.id==ü", value("ü"));
    check("node.id==a>b", value("a>b"));
}

#[test]
fn what_is_wrong_is_said_in_dockers_words() {
    let words = |text: &str| Constraint::parse(text).expect_err("no constraint").to_string();

    assert_eq!(words("node.role"), "constraint expected one operator from ==, !=");
    assert_eq!(words("$x==1"), "key '$x' is invalid");
    assert_eq!(words("node.role==~x"), "value '~x' is invalid");
}

#[test]
fn keys_and_values_are_compared_without_case_and_as_a_whole() {
    let node = node();
    let check = |text: &str, expected: bool| assert_eq!(is_met(text, &node), expected, "{text}");
    check("node.id==n4x0000000000000000000001", true);
    check("NODE.ID==N4X0000000000000000000001", true);
    check("node.id==n4x", false);
    check("node.id!=n4x", true);
    check("node.hostname==host-1", true);
    check("node.hostname==host-*", false);
    check("node.role==manager", true);
    check("node.role==Manager", true);
    check("node.role!=worker", true);
    check("node.role==worker", false);
    check("node.platform.os==Linux", true);
    check("node.platform.arch==x86_64", true);
    check("node.platform.arch==amd64", false);
}

#[test]
fn the_name_of_a_label_has_its_case() {
    let node = node();
    let check = |text: &str, expected: bool| assert_eq!(is_met(text, &node), expected, "{text}");
    check("node.labels.zone==east 1", true);
    check("Node.Labels.Zone==west", true);
    check("node.labels.ZONE==west", false);
    check("node.labels.ZONE!=west", true);
    check("engine.labels.Storage==ssd", true);
    check("engine.labels.storage==ssd", false);
    check("node.labels.==east", false);
    check("node.labels.!=east", false);
}

#[test]
fn an_address_is_compared_as_an_address_or_with_a_network() {
    let mut node = node();
    let check = |node: &Node, text: &str, expected: bool| assert_eq!(is_met(text, node), expected, "{text}");
    check(&node, "node.ip==10.1.2.3", true);
    check(&node, "node.ip!=10.1.2.3", false);
    check(&node, "node.ip==::ffff:10.1.2.3", true);
    check(&node, "node.ip==10.1.2.4", false);
    check(&node, "node.ip==10.1.0.0/16", true);
    check(&node, "node.ip==10.1.2.3/32", true);
    check(&node, "node.ip==10.2.0.0/16", false);
    check(&node, "node.ip!=10.2.0.0/16", true);
    check(&node, "node.ip==0.0.0.0/0", true);
    check(&node, "node.ip==::/0", false);
    check(&node, "node.ip!=::/0", true);
    node.state.status.addr = "2001:db8::2".to_owned();
    check(&node, "node.ip==2001:DB8:0::2", true);
    check(&node, "node.ip==2001:db8::/32", true);
    check(&node, "node.ip==2001:db9::/32", false);
    check(&node, "node.ip==::/0", true);
    check(&node, "node.ip==0.0.0.0/0", false);
}

#[test]
fn a_value_that_is_no_address_is_met_by_no_node() {
    let node = node();
    for value in ["x", "10.1.2", "10.1.2.3/33", "10.1.2.3/+8", "10.1.2.3/", "10.1.2.3/8/8", "::/129"] {
        assert!(!is_met(&format!("node.ip=={value}"), &node), "{value}");
        assert!(!is_met(&format!("node.ip!={value}"), &node), "{value}");
    }
}

#[test]
fn an_unknown_key_is_met_by_no_node() {
    let node = node();
    for key in ["node.name", "node.labelszone", "engine.label.x", "node.ips", "labels.zone"] {
        assert!(!is_met(&format!("{key}==x"), &node), "{key}");
        assert!(!is_met(&format!("{key}!=x"), &node), "{key}");
    }
}

#[test]
fn what_a_node_does_not_have_is_empty() {
    let mut node = node();
    node.state.description = None;
    node.state.status.addr = String::new();
    node.spec.labels.clear();
    for key in ["node.hostname", "node.platform.os", "node.platform.arch", "node.labels.zone", "engine.labels.Storage"]
    {
        assert!(!is_met(&format!("{key}==x"), &node), "{key}");
        assert!(is_met(&format!("{key}!=x"), &node), "{key}");
    }
    assert!(!is_met("node.ip==10.0.0.0/8", &node));
    assert!(is_met("node.ip!=10.0.0.0/8", &node));
}

#[test]
fn constraints_are_met_together() {
    let check = |texts: &[&str], expected: bool| {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let constraints = Constraints::parse(&texts).expect("constraints");
        assert_eq!(constraints.are_met_by(&node()), expected, "{texts:?}");
        assert_eq!(constraints.is_empty(), texts.is_empty());
    };
    check(&[], true);
    check(&["node.role==manager", "node.ip==10.0.0.0/8"], true);
    check(&["node.role==manager", "node.role==worker"], false);
    check(&["node.role==manager", "node.labels.zone!=east 1"], false);

    let texts = ["node.role==manager".to_owned(), "x".to_owned()];
    assert_eq!(Constraints::parse(&texts), Err(InvalidConstraint::NoOperator));
}
