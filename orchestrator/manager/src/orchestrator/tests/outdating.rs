//! Tables: which tasks an update replaces.

use model::{Availability, EndpointSpec, NodeHealth, Placement, PortConfig, ServiceSpec, TaskState};

use super::objects::{Scene, at, node, spec, with_image};
use crate::orchestrator::outdated::is_current;

#[test]
fn a_task_is_outdated_when_its_spec_asks_for_something_else() {
    let base = spec("web", "run", 1);
    let check = |change: &dyn Fn(&mut ServiceSpec), expected: bool| {
        let mut scene = Scene::new(base.clone());
        scene.task(1, (TaskState::Running, TaskState::Running), (0, 0));
        let mut changed = base.clone();
        change(&mut changed);
        scene.update(changed);
        let mut place = node(1, NodeHealth::Ready, Availability::Active);
        place.spec.labels.insert("disk".to_owned(), "ssd".to_owned());
        assert_eq!(is_current(&scene.tasks[0], &scene.service, Some(&place)), expected, "{:?}", scene.service.spec);
    };
    let constrain = |spec: &mut ServiceSpec, constraint: &str| {
        spec.task_template.placement =
            Some(Placement { constraints: vec![constraint.to_owned()], ..Placement::default() });
    };

    check(&|_| {}, true);
    check(&|spec| spec.labels = [("a".to_owned(), "b".to_owned())].into(), true);
    check(&|spec| spec.mode.replicated.as_mut().unwrap().replicas = Some(9), true);
    check(&|spec| *spec = with_image(spec, "other"), false);
    check(&|spec| spec.task_template.force_update = 1, false);
    check(&|spec| constrain(spec, "node.labels.disk==ssd"), true);
    check(&|spec| constrain(spec, "node.labels.disk==hdd"), false);
    check(
        &|spec| {
            constrain(spec, "node.labels.disk==ssd");
            spec.task_template.placement.as_mut().unwrap().max_replicas = 1;
        },
        false,
    );
    let ports = vec![PortConfig { target_port: 80, ..PortConfig::default() }];
    check(&|spec| spec.endpoint_spec = Some(EndpointSpec { ports: ports.clone(), ..EndpointSpec::default() }), false);
}

#[test]
fn a_task_without_a_node_is_outdated_when_constraints_change() {
    let mut scene = Scene::new(spec("web", "run", 1));
    scene.task(1, (TaskState::Pending, TaskState::Running), (0, 0));
    let mut changed = scene.service.spec.clone();
    changed.task_template.placement =
        Some(Placement { constraints: vec!["node.role==worker".to_owned()], ..Placement::default() });
    scene.update(changed);

    assert!(!is_current(&scene.tasks[0], &scene.service, None));
    assert_eq!(scene.tasks[0].meta.created_at, at(0));
}
