//! The rules of a service's spec, as SwarmKit and Docker's API check them together.

use std::collections::BTreeSet;

use super::is_valid_name;
use super::task::{check_networks, check_task};
use super::words::{invalid, not_offered, refuse_if};
use crate::{EndpointSpec, PortConfig, ServiceMode, ServiceSpec, SwarmError, UpdateConfig};

/// The longest name of a service: that of a DNS label.
const MAX_NAME: usize = 63;
/// The most tasks that one service may ask for. Docker knows no bound, and makes whatever a slip of the finger asks for.
/// The scheduler is measured with as many. A manager that keeps them takes 0.9 GiB, and 1.6 GiB with as many again while an
/// update replaces them: tasks of an ordinary service, store and log together
/// (`cargo run --release -p store --example statuses -- /dev/stdout 200000`).
const MAX_REPLICAS: u64 = 100_000;
/// The greatest port.
const MAX_PORT: u32 = 65_535;

/// Checks what an operator wants of a service, without regard to anything else in the swarm. What this version does not
/// offer (networks of the swarm, secrets, configs, ports through a mesh, plugins) is refused and named, not ignored.
///
/// # Errors
/// What is wrong first, in Docker's words: an [`InvalidArgument`](crate::ErrorKind::InvalidArgument), or an
/// [`Unimplemented`](crate::ErrorKind::Unimplemented) where the spec asks for what is not offered.
pub fn validate_service_spec(spec: &ServiceSpec) -> Result<(), SwarmError> {
    check_name(&spec.name)?;
    check_task(&spec.task_template)?;
    check_mode(&spec.mode)?;
    refuse_if(spec.is_job() && spec.update_config.is_some(), || invalid("Jobs may not have an update config"))?;
    spec.update_config.as_ref().map_or(Ok(()), check_update)?;
    spec.rollback_config.as_ref().map_or(Ok(()), check_update)?;
    check_networks(&spec.networks)?;
    spec.endpoint_spec.as_ref().map_or(Ok(()), check_endpoint)
}

fn check_name(name: &str) -> Result<(), SwarmError> {
    refuse_if(name.is_empty(), || invalid("meta: name must be provided"))?;
    refuse_if(name.len() > MAX_NAME, || invalid("name must be 63 characters or fewer"))?;
    refuse_if(!is_valid_name(name), || invalid("name must be valid as a DNS name component"))
}

fn check_mode(mode: &ServiceMode) -> Result<(), SwarmError> {
    let named =
        [mode.replicated.is_some(), mode.global.is_some(), mode.replicated_job.is_some(), mode.global_job.is_some()];
    match named.into_iter().filter(|is_named| *is_named).count() {
        0 => return Err(invalid("Unrecognized service mode")),
        1 => {}
        _ => return Err(SwarmError::invalid("must specify only one service mode")),
    }
    // Clients that count in signed numbers send negative ones so.
    let is_negative = |number: Option<u64>| number.is_some_and(|number| i64::try_from(number).is_err());
    let replicas = mode.replicated.as_ref().and_then(|mode| mode.replicas);
    refuse_if(is_negative(replicas), || invalid("Number of replicas must be non-negative"))?;
    let too_many = |what: &str| invalid(format!("{what} must be {MAX_REPLICAS} or fewer"));
    let is_too_many = |number: Option<u64>| number.is_some_and(|number| number > MAX_REPLICAS);
    refuse_if(is_too_many(replicas), || too_many("Number of replicas"))?;
    let Some(job) = &mode.replicated_job else { return Ok(()) };
    refuse_if(is_negative(job.max_concurrent), || invalid("Maximum concurrent jobs must not be negative"))?;
    refuse_if(is_negative(job.total_completions), || invalid("Total completed jobs must not be negative"))?;
    refuse_if(is_too_many(job.max_concurrent), || too_many("Maximum concurrent jobs"))?;
    refuse_if(is_too_many(job.total_completions), || too_many("Total completed jobs"))
}

fn check_update(config: &UpdateConfig) -> Result<(), SwarmError> {
    let UpdateConfig { failure_action, order, .. } = config;
    let is_known = matches!(failure_action.as_str(), "" | "pause" | "continue" | "rollback");
    let unknown = || SwarmError::invalid(format!("unrecognized update failure action {failure_action}"));
    refuse_if(!is_known, unknown)?;
    let is_known = matches!(order.as_str(), "" | "stop-first" | "start-first");
    refuse_if(!is_known, || SwarmError::invalid(format!("unrecognized update order {order}")))?;
    refuse_if(config.delay < 0, || invalid("TaskSpec: update-delay cannot be negative"))?;
    refuse_if(config.monitor < 0, || invalid("TaskSpec: update-monitor cannot be negative"))?;
    let is_ratio = (0.0..=1.0).contains(&config.max_failure_ratio);
    let no_ratio = || invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1");
    refuse_if(!is_ratio, no_ratio)
}

fn check_endpoint(endpoint: &EndpointSpec) -> Result<(), SwarmError> {
    let is_known = matches!(endpoint.mode.as_str(), "" | "vip" | "dnsrr");
    refuse_if(!is_known, || SwarmError::invalid(format!("invalid resolution mode: {:?}", endpoint.mode)))?;
    let mut published = BTreeSet::new();
    for port in &endpoint.ports {
        check_port(port)?;
        let mesh_without_vip =
            || invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode");
        refuse_if(endpoint.mode == "dnsrr" && !port.is_host_mode(), mesh_without_vip)?;
        let is_twice = port.published_port != 0 && !published.insert((port.published_port, port.protocol()));
        refuse_if(is_twice, || invalid("EndpointSpec: duplicate published ports provided"))?;
    }
    let is_through_mesh = endpoint.ports.iter().any(|port| !port.is_host_mode());
    refuse_if(is_through_mesh, || {
        not_offered("publish ports through a routing mesh yet: publish them on the tasks' own nodes, with `mode=host`")
    })
}

fn check_port(port: &PortConfig) -> Result<(), SwarmError> {
    let PortConfig { protocol, publish_mode, target_port, published_port, .. } = port;
    let is_known = matches!(protocol.as_str(), "" | "tcp" | "udp" | "sctp");
    refuse_if(!is_known, || SwarmError::invalid(format!("invalid port protocol: {protocol:?}")))?;
    let is_known = matches!(publish_mode.as_str(), "" | "ingress" | "host");
    refuse_if(!is_known, || SwarmError::invalid(format!("invalid port publish mode: {publish_mode:?}")))?;
    let is_target = (1..=MAX_PORT).contains(target_port);
    refuse_if(!is_target, || SwarmError::invalid(format!("invalid target port: {target_port}")))?;
    let is_published = *published_port <= MAX_PORT;
    refuse_if(!is_published, || SwarmError::invalid(format!("invalid published port: {published_port}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "literals read better without a borrow")]
    fn check(fields: Value, expected: &str) {
        let mut spec = json!({
            "Name": "web",
            "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}},
            "Mode": {"Replicated": {"Replicas": 1}},
        });
        for (key, value) in fields.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let parsed: ServiceSpec = serde_json::from_value(spec).unwrap();
        let outcome = validate_service_spec(&parsed).map_or_else(|error| error.message, |()| "allowed".to_owned());
        let outcome = outcome.replace("rpc error: code = InvalidArgument desc = ", "rpc: ");
        assert_eq!(outcome, expected, "{fields}");
    }

    #[test]
    fn a_name_is_a_dns_label() {
        let name = |name: &str, expected: &str| check(json!({"Name": name}), expected);
        name("web_1-a", "allowed");
        name("", "rpc: meta: name must be provided");
        name("a b", "rpc: name must be valid as a DNS name component");
        name("-a", "rpc: name must be valid as a DNS name component");
        name("é", "rpc: name must be valid as a DNS name component");
        name(&"a".repeat(64), "rpc: name must be 63 characters or fewer");
    }

    #[test]
    fn there_is_exactly_one_mode_and_it_counts_upwards() {
        let mode = |mode: Value, expected: &str| check(json!({"Mode": mode}), expected);
        mode(json!({"Global": {}}), "allowed");
        mode(json!({"ReplicatedJob": {"MaxConcurrent": 0}}), "allowed");
        mode(json!({"GlobalJob": {}}), "allowed");
        mode(json!({}), "rpc: Unrecognized service mode");
        mode(json!({"Global": {}, "Replicated": {}}), "must specify only one service mode");
        mode(json!({"Replicated": {"Replicas": u64::MAX}}), "rpc: Number of replicas must be non-negative");
        mode(
            json!({"ReplicatedJob": {"MaxConcurrent": u64::MAX}}),
            "rpc: Maximum concurrent jobs must not be negative",
        );
        mode(
            json!({"ReplicatedJob": {"TotalCompletions": u64::MAX}}),
            "rpc: Total completed jobs must not be negative",
        );
    }

    #[test]
    fn one_service_asks_for_no_more_tasks_than_a_store_keeps() {
        let mode = |mode: Value, expected: &str| check(json!({"Mode": mode}), expected);
        mode(json!({"Replicated": {"Replicas": MAX_REPLICAS}}), "allowed");
        mode(json!({"Replicated": {"Replicas": 100_001}}), "rpc: Number of replicas must be 100000 or fewer");
        mode(
            json!({"ReplicatedJob": {"MaxConcurrent": 100_001}}),
            "rpc: Maximum concurrent jobs must be 100000 or fewer",
        );
        mode(
            json!({"ReplicatedJob": {"TotalCompletions": 100_001}}),
            "rpc: Total completed jobs must be 100000 or fewer",
        );
    }

    #[test]
    fn updates_are_checked_and_rollbacks_alike() {
        for key in ["UpdateConfig", "RollbackConfig"] {
            let update = |config: Value, expected: &str| check(json!({key: config}), expected);
            update(json!({}), "allowed");
            update(json!({"FailureAction": "continue", "Order": "start-first", "MaxFailureRatio": 0.5}), "allowed");
            update(json!({"FailureAction": "panic"}), "unrecognized update failure action panic");
            update(json!({"Order": "both"}), "unrecognized update order both");
            update(json!({"Delay": -1}), "rpc: TaskSpec: update-delay cannot be negative");
            update(json!({"Monitor": -1}), "rpc: TaskSpec: update-monitor cannot be negative");
            let ratio = "rpc: TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1";
            update(json!({"MaxFailureRatio": 1.5}), ratio);
            update(json!({"MaxFailureRatio": -0.5}), ratio);
        }
    }

    #[test]
    fn a_job_is_not_updated() {
        let job = json!({"ReplicatedJob": {}});
        check(json!({"Mode": job, "UpdateConfig": {}}), "rpc: Jobs may not have an update config");
        check(json!({"Mode": {"GlobalJob": {}}, "UpdateConfig": {}}), "rpc: Jobs may not have an update config");
        check(json!({"Mode": job}), "allowed");
    }

    #[test]
    fn ports_are_published_once_and_on_the_tasks_own_nodes() {
        let ports = |ports: Value, expected: &str| check(json!({"EndpointSpec": {"Ports": ports}}), expected);
        let host = |port: u32| json!({"TargetPort": 80, "PublishedPort": port, "PublishMode": "host"});
        let udp = json!({"TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host", "Protocol": "udp"});
        ports(json!([host(8080), udp, host(0), host(0)]), "allowed");
        ports(json!([host(8080), host(8080)]), "rpc: EndpointSpec: duplicate published ports provided");
        ports(
            json!([{"TargetPort": 80}]),
            "this engine does not publish ports through a routing mesh yet: publish them on the tasks' own nodes, \
             with `mode=host`",
        );
        ports(json!([{"TargetPort": 80, "Protocol": "icmp"}]), "invalid port protocol: \"icmp\"");
        ports(json!([{"TargetPort": 80, "PublishMode": "moon"}]), "invalid port publish mode: \"moon\"");
        ports(json!([{"PublishMode": "host"}]), "invalid target port: 0");
        ports(json!([{"TargetPort": 65536, "PublishMode": "host"}]), "invalid target port: 65536");
        ports(json!([host(65536)]), "invalid published port: 65536");
        check(
            json!({"EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80}]}}),
            "rpc: EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
        );
        check(json!({"EndpointSpec": {"Mode": "dnsrr", "Ports": [host(80)]}}), "allowed");
        check(json!({"EndpointSpec": {"Mode": "anycast"}}), "invalid resolution mode: \"anycast\"");
    }

    #[test]
    fn networks_are_refused_at_both_places() {
        let expected =
            "this engine does not attach services to networks of the swarm yet: name `bridge`, `host` or `none`";
        check(json!({"Networks": [{"Target": "net"}]}), expected);
    }
}
