//! A service's spec as a client sends it, with what Docker fills in before it keeps it.
//!
//! What is filled in is kept, so that a spec that was shown and is sent back is the same spec: no task is changed for it.

use axum::extract::Request;
use model::{
    ContainerSpec, EndpointSpec, Mount, Placement, ReplicatedMode, RestartPolicy, ServiceId, ServiceMode, ServiceSpec,
    TaskSpec, UpdateConfig,
};

use super::keys::SERVICE;
use super::service_name::name_of;
use crate::body::{from_value, read_value};
use crate::error::ApiError;

/// Reads a spec from the body of a request; keys may be in any case.
pub(crate) async fn read_service(request: Request) -> Result<ServiceSpec, ApiError> {
    from_value(SERVICE.in_any_case(read_value(request).await?))
}

/// Fills in a spec. Docker's lists of words are written in small letters from here on.
pub(crate) fn complete_service(mut spec: ServiceSpec) -> ServiceSpec {
    complete_task(&mut spec.task_template);
    complete_mode(&mut spec.mode);
    spec.update_config.as_mut().map(complete_update);
    spec.rollback_config.as_mut().map(complete_update);
    spec.endpoint_spec.as_mut().map(complete_endpoint);
    spec
}

/// The same for a service that is to be created: one without a name is given one that follows from its id.
pub(crate) fn complete_new_service(spec: ServiceSpec, id: &ServiceId) -> ServiceSpec {
    let mut spec = complete_service(spec);
    if spec.name.is_empty() {
        spec.name = name_of(id);
    }
    spec
}

fn complete_task(task: &mut TaskSpec) {
    default_to(&mut task.runtime, "container");
    task.container_spec.as_mut().map(complete_container);
    task.restart_policy.as_mut().map(complete_restarts);
    task.placement.as_mut().map(complete_placement);
}

fn complete_container(container: &mut ContainerSpec) {
    container.isolation.make_ascii_lowercase();
    if !matches!(container.isolation.as_str(), "hyperv" | "process") {
        "default".clone_into(&mut container.isolation);
    }
    container.mounts.iter_mut().for_each(complete_mount);
}

fn complete_mount(mount: &mut Mount) {
    mount.kind.make_ascii_lowercase();
    default_to(&mut mount.kind, "bind");
    let Some(bind) = &mut mount.bind_options else { return };
    bind.propagation.make_ascii_lowercase();
    if *bind == model::BindOptions::default() {
        mount.bind_options = None;
    } else {
        default_to(&mut bind.propagation, "rprivate");
    }
}

fn complete_restarts(policy: &mut RestartPolicy) {
    default_to(&mut policy.condition, "any");
    policy.max_attempts.get_or_insert(0);
}

/// A preference that spreads over nothing is none.
fn complete_placement(placement: &mut Placement) {
    placement.preferences.retain(|preference| preference.spread.is_some());
}

fn complete_mode(mode: &mut ServiceMode) {
    if *mode == ServiceMode::default() {
        mode.replicated = Some(ReplicatedMode::default());
    }
    if let Some(replicated) = &mut mode.replicated {
        replicated.replicas.get_or_insert(1);
    }
    if let Some(job) = &mut mode.replicated_job {
        let at_a_time = *job.max_concurrent.get_or_insert(1);
        job.total_completions.get_or_insert(at_a_time);
    }
}

fn complete_update(config: &mut UpdateConfig) {
    default_to(&mut config.failure_action, "pause");
    default_to(&mut config.order, "stop-first");
}

fn complete_endpoint(endpoint: &mut EndpointSpec) {
    default_to(&mut endpoint.mode, "vip");
    for port in &mut endpoint.ports {
        port.protocol.make_ascii_lowercase();
        port.publish_mode.make_ascii_lowercase();
        default_to(&mut port.protocol, "tcp");
        default_to(&mut port.publish_mode, "ingress");
    }
}

fn default_to(text: &mut String, default: &str) {
    if text.is_empty() {
        default.clone_into(text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn complete(spec: Value) -> Value {
        let spec = complete_service(serde_json::from_value(spec).unwrap());
        assert_eq!(complete_service(spec.clone()), spec, "what is complete stays as it is");
        serde_json::to_value(&spec).unwrap()
    }

    #[test]
    fn a_spec_is_filled_in_as_docker_fills_it_in() {
        let sent = json!({
            "Name": "web",
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "a:1",
                    "Mounts": [
                        {"Source": "/a", "Target": "/b", "BindOptions": {}},
                        {"Type": "BIND", "Source": "/a", "Target": "/c", "BindOptions": {"NonRecursive": true}},
                    ],
                },
                "RestartPolicy": {},
                "Placement": {"Preferences": [{"Spread": null}, {"Spread": {"SpreadDescriptor": "node.labels.zone"}}]},
            },
            "UpdateConfig": {"Parallelism": 1},
            "RollbackConfig": {},
            "EndpointSpec": {"Ports": [{"TargetPort": 80, "Protocol": "TCP", "PublishMode": "host"}]},
        });

        let expected = json!({
            "Name": "web",
            "Labels": {},
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "a:1",
                    "Isolation": "default",
                    "Mounts": [
                        {"Type": "bind", "Source": "/a", "Target": "/b"},
                        {
                            "Type": "bind", "Source": "/a", "Target": "/c",
                            "BindOptions": {"Propagation": "rprivate", "NonRecursive": true},
                        },
                    ],
                },
                "RestartPolicy": {"Condition": "any", "MaxAttempts": 0},
                "Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]},
                "ForceUpdate": 0,
                "Runtime": "container",
            },
            "Mode": {"Replicated": {"Replicas": 1}},
            "UpdateConfig": {"Parallelism": 1, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"},
            "RollbackConfig": {"Parallelism": 0, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"},
            "EndpointSpec": {
                "Mode": "vip",
                "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishMode": "host"}],
            },
        });
        assert_eq!(complete(sent), expected);
    }

    #[test]
    fn modes_that_are_named_are_kept_and_filled_in() {
        let mode = |mode: Value| complete(json!({"Mode": mode}))["Mode"].clone();

        assert_eq!(mode(json!({"Global": {}})), json!({"Global": {}}));
        assert_eq!(mode(json!({"Replicated": {"Replicas": 0}})), json!({"Replicated": {"Replicas": 0}}));
        let job = json!({"ReplicatedJob": {"MaxConcurrent": 3, "TotalCompletions": 3}});
        assert_eq!(mode(json!({"ReplicatedJob": {"MaxConcurrent": 3}})), job);
        let two = json!({"Global": {}, "GlobalJob": {}});
        assert_eq!(mode(two.clone()), two, "which of them is meant is not decided here");
    }

    #[test]
    fn a_service_without_a_name_is_given_one() {
        let id: ServiceId = "aaaaaaaaaaaaaaaaaaaaaaaa1".parse().unwrap();

        let named = complete_new_service(ServiceSpec { name: "web".to_owned(), ..ServiceSpec::default() }, &id);
        let nameless = complete_new_service(ServiceSpec::default(), &id);

        assert_eq!(named.name, "web");
        assert!(model::is_valid_name(&nameless.name), "{}", nameless.name);
    }
}
