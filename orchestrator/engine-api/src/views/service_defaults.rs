//! What a spec leaves to Docker's defaults, written out: `GET /services/{id}?insertDefaults=true`.

use model::{
    DEFAULT_MONITOR, DEFAULT_RESTART_DELAY, Limits, Reservations, ResourceRequirements, RestartPolicy, ServiceSpec,
    TaskSpec, UpdateConfig,
};

/// How long a container may take to end where nothing is named: 10 s (SwarmKit's default).
const STOP_GRACE_PERIOD: i64 = 10_000_000_000;

/// A spec with every default in it. What is named stays.
pub(super) fn with_defaults(mut spec: ServiceSpec) -> ServiceSpec {
    fill_task(&mut spec.task_template);
    for config in [&mut spec.update_config, &mut spec.rollback_config] {
        let config = config.get_or_insert_with(one_at_a_time);
        if config.monitor == 0 {
            config.monitor = DEFAULT_MONITOR;
        }
    }
    spec
}

fn fill_task(task: &mut TaskSpec) {
    if let Some(container) = &mut task.container_spec {
        container.stop_grace_period.get_or_insert(STOP_GRACE_PERIOD);
        container.dns_config.get_or_insert_default();
    }
    let resources = task.resources.get_or_insert_with(ResourceRequirements::default);
    resources.limits.get_or_insert_with(Limits::default);
    resources.reservations.get_or_insert_with(Reservations::default);
    let restarts = task.restart_policy.get_or_insert_with(|| RestartPolicy {
        condition: "any".to_owned(),
        max_attempts: Some(0),
        ..RestartPolicy::default()
    });
    restarts.delay.get_or_insert(DEFAULT_RESTART_DELAY);
    task.placement.get_or_insert_default();
}

fn one_at_a_time() -> UpdateConfig {
    UpdateConfig {
        parallelism: 1,
        failure_action: "pause".to_owned(),
        order: "stop-first".to_owned(),
        ..UpdateConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_is_written_out_and_what_is_named_stays() {
        let spec = json!({
            "TaskTemplate": {
                "ContainerSpec": {"Image": "a:1"},
                "Resources": {"Limits": {"Pids": 7}},
                "RestartPolicy": {"Condition": "none"},
            },
            "UpdateConfig": {"Parallelism": 3, "Monitor": 1},
        });

        let spec = with_defaults(serde_json::from_value(spec).unwrap());

        let update = json!({"Parallelism": 3, "Monitor": 1, "MaxFailureRatio": 0, "Order": ""});
        let rollback = json!({
            "Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000_i64, "MaxFailureRatio": 0,
            "Order": "stop-first",
        });
        let task = json!({
            "ContainerSpec": {"Image": "a:1", "StopGracePeriod": 10_000_000_000_i64, "DNSConfig": {}},
            "Resources": {"Limits": {"Pids": 7}, "Reservations": {}},
            "RestartPolicy": {"Condition": "none", "Delay": 5_000_000_000_i64},
            "Placement": {},
            "ForceUpdate": 0,
        });
        assert_eq!(serde_json::to_value(&spec.update_config).unwrap(), update);
        assert_eq!(serde_json::to_value(&spec.rollback_config).unwrap(), rollback);
        assert_eq!(serde_json::to_value(&spec.task_template).unwrap(), task);
    }
}
