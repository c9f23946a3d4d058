//! Whether a task is what its service wants now, so that an update leaves it alone: SwarmKit's "not dirty".

use model::{Constraints, Node, Service, Task, TaskSpec};

/// Whether a task is up to date. One made of the present spec is; so is one made of a spec that asks for the same task
/// and ports, or for a node that the task's own node is. A job's tasks are of its present iteration.
pub(crate) fn is_up_to_date(task: &Task, service: &Service, node: Option<&Node>) -> bool {
    let (made, wanted) = (&task.state, &service.state);
    if made.job_iteration != wanted.job.as_ref().map(|job| job.iteration) {
        return false;
    }
    made.spec_revision == wanted.spec_revision
        || (made.ports == service.spec.ports() && is_same_task(&task.spec, &service.spec.task_template, node))
}

fn is_same_task(made: &TaskSpec, wanted: &TaskSpec, node: Option<&Node>) -> bool {
    made == wanted || (without_constraints(made) == without_constraints(wanted) && is_placed_right(wanted, node))
}

fn is_placed_right(wanted: &TaskSpec, node: Option<&Node>) -> bool {
    let constraints = Constraints::parse(wanted.constraints());
    node.is_some_and(|node| constraints.is_ok_and(|constraints| constraints.are_met_by(node)))
}

fn without_constraints(spec: &TaskSpec) -> TaskSpec {
    let mut spec = spec.clone();
    if let Some(placement) = &mut spec.placement {
        placement.constraints.clear();
    }
    // To name no place and to name none at all is the same.
    spec.placement = spec.placement.filter(|placement| *placement != model::Placement::default());
    spec
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use model::{JobState, Meta, NodeSpec, NodeState, ServiceSpec, ServiceState, TaskRecord, TaskState, TaskStatus};
    use serde_json::{Value, json};

    use super::*;

    fn service(revision: u64, spec: &Value) -> Service {
        let spec: ServiceSpec = serde_json::from_value(spec.clone()).unwrap();
        let state = ServiceState { spec_revision: revision, ..ServiceState::default() };
        Service { id: "24ifsmvkjbyhk9cjxhvyzqw7p".parse().unwrap(), meta: Meta::default(), spec, state }
    }

    fn task_of(service: &Service) -> Task {
        Task {
            id: "24ifsmvkjbyhk9cjxhvyzqw7t".parse().unwrap(),
            meta: Meta::default(),
            spec: service.spec.task_template.clone(),
            state: TaskRecord {
                service_id: service.id.clone(),
                service_name: service.spec.name.clone(),
                service_labels: BTreeMap::new(),
                spec_revision: service.state.spec_revision,
                slot: 1,
                job_iteration: service.state.job.as_ref().map(|job| job.iteration),
                node_id: None,
                desired: TaskState::Running,
                status: TaskStatus::new(TaskState::Running, "started", Timestamp::UNIX_EPOCH),
                ports: service.spec.ports().to_vec(),
                log_driver: None,
                registry_auth: None,
            },
        }
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
    fn a_task_is_up_to_date_while_its_service_wants_the_same_task() {
        let before = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a:1"}}});
        let task = task_of(&service(1, &before));
        let check = |revision: u64, change: fn(&mut Value), expected: bool| {
            let mut spec = before.clone();
            change(&mut spec);
            assert_eq!(is_up_to_date(&task, &service(revision, &spec), None), expected, "{spec}");
        };

        check(1, |_| {}, true);
        check(2, |spec| spec["Mode"] = json!({"Replicated": {"Replicas": 9}}), true);
        check(2, |spec| spec["Labels"] = json!({"a": "b"}), true);
        check(2, |spec| spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("a:2"), false);
        check(2, |spec| spec["TaskTemplate"]["ForceUpdate"] = json!(1), false);
        check(2, |spec| spec["EndpointSpec"] = json!({"Ports": [{"TargetPort": 80}]}), false);
    }

    #[test]
    fn other_constraints_change_nothing_for_a_task_whose_node_meets_them() {
        let before = json!({"TaskTemplate": {"ContainerSpec": {"Image": "a:1"}}});
        let mut after = before.clone();
        after["TaskTemplate"]["Placement"] = json!({"Constraints": ["node.labels.zone==a"]});
        let (task, wanted) = (task_of(&service(1, &before)), service(2, &after));

        assert!(is_up_to_date(&task, &wanted, Some(&node("a"))));
        assert!(!is_up_to_date(&task, &wanted, Some(&node("b"))));
        assert!(!is_up_to_date(&task, &wanted, None));
    }

    #[test]
    fn a_jobs_tasks_are_of_its_present_iteration() {
        let mut job = service(1, &json!({"Mode": {"GlobalJob": {}}}));
        job.state.job = Some(JobState { iteration: 0, last_execution: Timestamp::UNIX_EPOCH });
        let task = task_of(&job);
        assert!(is_up_to_date(&task, &job, None));

        job.state.job = Some(JobState { iteration: 1, last_execution: Timestamp::UNIX_EPOCH });
        job.state.spec_revision = 2;

        assert!(!is_up_to_date(&task, &job, None), "the spec is the same, but it was begun again");
    }
}
