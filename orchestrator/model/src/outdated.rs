//! Whether a task is still what its service wants: SwarmKit's "not dirty". Updates and lists of tasks go by it. Pure.

use crate::{Constraints, Node, Placement, Service, Task, TaskSpec};

impl Task {
    /// Whether an update leaves this task alone, which is on this node, if on any: it was made of the present spec, or of
    /// one that asks for the same task and ports. Where nothing but constraints changed, it stays on a node that meets
    /// the new ones.
    pub fn is_current(&self, service: &Service, node: Option<&Node>) -> bool {
        let wanted = &service.spec.task_template;
        self.state.spec_revision == service.state.spec_revision
            || (self.state.ports == service.spec.ports()
                && (self.spec == *wanted || (differ_in_constraints(&self.spec, wanted) && meets(node, wanted))))
    }
}

/// Whether two specs that are not the same differ in nothing but constraints.
fn differ_in_constraints(made: &TaskSpec, wanted: &TaskSpec) -> bool {
    // Where the placement is the same, something else is not: what nearly all updates change.
    made.placement != wanted.placement && without_constraints(made) == without_constraints(wanted)
}

/// A spec that binds to no node. To name no placement and an empty one is the same.
fn without_constraints(spec: &TaskSpec) -> TaskSpec {
    let placement = spec.placement.clone().map(|placement| Placement { constraints: Vec::new(), ..placement });
    TaskSpec { placement: placement.filter(|placement| *placement != Placement::default()), ..spec.clone() }
}

fn meets(node: Option<&Node>, wanted: &TaskSpec) -> bool {
    let constraints = Constraints::parse(wanted.constraints());
    node.is_some_and(|node| constraints.is_ok_and(|constraints| constraints.are_met_by(node)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Meta, NodeSpec, NodeState};

    fn service(revision: u64, spec: &Value) -> Service {
        let id = "24ifsmvkjbyhk9cjxhvyzqw7p".parse().unwrap();
        let mut service = Service::new(id, serde_json::from_value(spec.clone()).unwrap());
        service.state.spec_revision = revision;
        service
    }

    fn task_of(service: &Service) -> Task {
        Task::of(service, "24ifsmvkjbyhk9cjxhvyzqw7t".parse().unwrap(), 1, Timestamp::UNIX_EPOCH)
    }

    fn node(zone: &str) -> Node {
        let labels = BTreeMap::from([("zone".to_owned(), zone.to_owned())]);
        Node {
            id: "24ifsmvkjbyhk9cjxhvyzqw7n".parse().unwrap(),
            meta: Meta::default(),
            spec: NodeSpec { labels, ..NodeSpec::default() },
            state: NodeState::default(),
        }
    }

    #[test]
    fn a_task_is_current_while_its_service_asks_for_the_same() {
        let before = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a:1"}}});
        let task = task_of(&service(1, &before));
        let check = |revision: u64, change: fn(&mut Value), expected: bool| {
            let mut spec = before.clone();
            change(&mut spec);
            assert_eq!(task.is_current(&service(revision, &spec), Some(&node("a"))), expected, "{spec}");
        };

        check(1, |_| {}, true);
        check(1, |spec| spec["TaskTemplate"]["ForceUpdate"] = json!(1), true);
        check(2, |spec| spec["Mode"] = json!({"Replicated": {"Replicas": 9}}), true);
        check(2, |spec| spec["Labels"] = json!({"a": "b"}), true);
        check(2, |spec| spec["TaskTemplate"]["Placement"] = json!({}), true);
        check(2, |spec| spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("a:2"), false);
        check(2, |spec| spec["TaskTemplate"]["ForceUpdate"] = json!(1), false);
        check(2, |spec| spec["EndpointSpec"] = json!({"Ports": [{"TargetPort": 80}]}), false);
    }

    #[test]
    fn other_constraints_change_nothing_for_a_task_whose_node_meets_them() {
        let before = json!({"TaskTemplate": {"ContainerSpec": {"Image": "a:1"}}});
        let task = task_of(&service(1, &before));
        let check = |placement: Value, node: Option<&Node>, expected: bool| {
            let mut after = before.clone();
            after["TaskTemplate"]["Placement"] = placement;
            assert_eq!(task.is_current(&service(2, &after), node), expected, "{after}");
        };
        let constrained = json!({"Constraints": ["node.labels.zone==a"]});

        check(constrained.clone(), Some(&node("a")), true);
        check(constrained.clone(), Some(&node("b")), false);
        check(constrained, None, false);
        check(json!({"Constraints": ["node.labels.zone==a"], "MaxReplicas": 1}), Some(&node("a")), false);
        check(json!({"Constraints": ["no constraint"]}), Some(&node("a")), false);
    }
}
