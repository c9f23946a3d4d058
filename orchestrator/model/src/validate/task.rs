//! The rules of what a task is to be: resources, restarts, placement, and which kinds of task there are.

use super::container::check_container;
use super::words::{invalid, not_offered, refuse_if};
use crate::{
    Constraints, GenericResource, NetworkAttachmentConfig, NodeNetwork, Placement, ResourceRequirements, RestartPolicy,
    SwarmError, TaskSpec,
};

/// The least memory that may be named: 4 MiB (SwarmKit's).
const MIN_MEMORY: i64 = 4 << 20;
/// The least part of a processor that may be named: a thousandth (SwarmKit's).
const MIN_NANO_CPUS: i64 = 1_000_000;

/// Checks what a task is to be.
pub(super) fn check_task(spec: &TaskSpec) -> Result<(), SwarmError> {
    check_kind(spec)?;
    check_networks(&spec.networks)?;
    spec.resources.as_ref().map_or(Ok(()), check_resources)?;
    spec.restart_policy.as_ref().map_or(Ok(()), check_restarts)?;
    spec.placement.as_ref().map_or(Ok(()), check_placement)?;
    let mismatched = || SwarmError::invalid("mismatched Runtime and *Spec fields");
    check_container(spec.container_spec.as_ref().ok_or_else(mismatched)?)
}

/// Networks may be named at two places of a spec. Those of the nodes are all that there are, and a task is in one.
pub(super) fn check_networks(networks: &[NetworkAttachmentConfig]) -> Result<(), SwarmError> {
    refuse_if(networks.iter().any(|network| NodeNetwork::find(&network.target).is_none()), || {
        not_offered("attach services to networks of the swarm yet: name `bridge`, `host` or `none`")
    })?;
    refuse_if(networks.len() > 1, || {
        invalid("a task with one of the networks `bridge`, `host` and `none` cannot have another one")
    })
}

fn check_kind(spec: &TaskSpec) -> Result<(), SwarmError> {
    refuse_if(spec.plugin_spec.is_some() || spec.runtime == "plugin", || not_offered("run plugins as services"))?;
    let is_attachment = spec.network_attachment_spec.is_some() || spec.runtime == "attachment";
    refuse_if(is_attachment, || SwarmError::invalid("invalid task spec: spec type \"attachment\" not supported"))?;
    refuse_if(!matches!(spec.runtime.as_str(), "" | "container"), || SwarmError::invalid("unsupported runtime"))
}

fn check_resources(resources: &ResourceRequirements) -> Result<(), SwarmError> {
    if let Some(limits) = &resources.limits {
        check_amounts(limits.nano_cpus, limits.memory_bytes)?;
        refuse_if(limits.pids < -1, || invalid(format!("invalid pids limit {}", limits.pids)))?;
    }
    if let Some(reservations) = &resources.reservations {
        check_amounts(reservations.nano_cpus, reservations.memory_bytes)?;
        reservations.generic_resources.iter().try_for_each(check_generic)?;
    }
    if let Some(swap) = resources.swap_bytes {
        refuse_if(swap < -1, || invalid(format!("invalid swap value {swap}: must be -1 or greater")))?;
    }
    if let Some(swappiness) = resources.memory_swappiness {
        let is_wrong = !(-1..=100).contains(&swappiness);
        refuse_if(is_wrong, || invalid(format!("invalid swappiness value {swappiness}: must be from -1 to 100")))?;
    }
    Ok(())
}

fn check_amounts(nano_cpus: i64, memory_bytes: i64) -> Result<(), SwarmError> {
    let cpus = || invalid(format!("invalid cpu value {}: Must be at least 0.001", processors(nano_cpus)));
    refuse_if(nano_cpus != 0 && nano_cpus < MIN_NANO_CPUS, cpus)?;
    let memory = || invalid(format!("invalid memory value {memory_bytes}: Must be at least 4MiB"));
    refuse_if(memory_bytes != 0 && memory_bytes < MIN_MEMORY, memory)
}

/// Processors as a decimal fraction, without zeros at its end.
fn processors(nano_cpus: i64) -> String {
    let (sign, nano_cpus) = (if nano_cpus < 0 { "-" } else { "" }, nano_cpus.unsigned_abs());
    let text = format!("{sign}{}.{:09}", nano_cpus / 1_000_000_000, nano_cpus % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What is reserved is a number of like things: which one it becomes is the scheduler's choice.
fn check_generic(resource: &GenericResource) -> Result<(), SwarmError> {
    let refuse = |kind: &str| Err(invalid(format!("invalid argument for resource {kind}")));
    match (&resource.discrete_resource_spec, &resource.named_resource_spec) {
        (Some(discrete), None) if discrete.value > 0 && !discrete.kind.is_empty() => Ok(()),
        (Some(discrete), _) => refuse(&discrete.kind),
        (None, Some(named)) => refuse(&named.kind),
        (None, None) => refuse("\"\""),
    }
}

fn check_restarts(policy: &RestartPolicy) -> Result<(), SwarmError> {
    let is_known = matches!(policy.condition.as_str(), "" | "none" | "on-failure" | "any");
    refuse_if(!is_known, || SwarmError::invalid(format!("invalid RestartCondition: {:?}", policy.condition)))?;
    let is_negative = |duration: Option<i64>| duration.is_some_and(|duration| duration < 0);
    refuse_if(is_negative(policy.delay), || invalid("TaskSpec: restart-delay cannot be negative"))?;
    refuse_if(is_negative(policy.window), || invalid("TaskSpec: restart-window cannot be negative"))
}

fn check_placement(placement: &Placement) -> Result<(), SwarmError> {
    Constraints::parse(&placement.constraints).map_err(invalid)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "literals read better without a borrow")]
    fn check(fields: Value, expected: &str) {
        let mut spec = json!({"ContainerSpec": {"Image": "busybox"}});
        for (key, value) in fields.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let parsed: TaskSpec = serde_json::from_value(spec).unwrap();
        let outcome = check_task(&parsed).map_or_else(|error| error.message, |()| "allowed".to_owned());
        let outcome = outcome.replace("rpc error: code = InvalidArgument desc = ", "rpc: ");
        assert_eq!(outcome, expected, "{fields}");
    }

    #[test]
    fn containers_are_the_only_tasks() {
        check(json!({"Runtime": "container"}), "allowed");
        check(json!({"ContainerSpec": null}), "mismatched Runtime and *Spec fields");
        check(json!({"PluginSpec": {}}), "this engine does not run plugins as services");
        check(json!({"Runtime": "plugin"}), "this engine does not run plugins as services");
        check(json!({"Runtime": "attachment"}), "invalid task spec: spec type \"attachment\" not supported");
        check(json!({"NetworkAttachmentSpec": {}}), "invalid task spec: spec type \"attachment\" not supported");
        check(json!({"Runtime": "vm"}), "unsupported runtime");
        check(
            json!({"Networks": [{"Target": "net"}]}),
            "this engine does not attach services to networks of the swarm yet: name `bridge`, `host` or `none`",
        );
    }

    #[test]
    fn amounts_have_a_least_value() {
        let limit = |limits: Value, expected: &str| check(json!({"Resources": {"Limits": limits}}), expected);
        limit(json!({}), "allowed");
        limit(json!({"NanoCPUs": 1_000_000, "MemoryBytes": 4 << 20, "Pids": 100}), "allowed");
        limit(json!({"NanoCPUs": 500_000}), "rpc: invalid cpu value 0.0005: Must be at least 0.001");
        limit(json!({"NanoCPUs": -2_000_000_000_i64}), "rpc: invalid cpu value -2: Must be at least 0.001");
        limit(json!({"MemoryBytes": 4_194_303}), "rpc: invalid memory value 4194303: Must be at least 4MiB");
        limit(json!({"MemoryBytes": -1}), "rpc: invalid memory value -1: Must be at least 4MiB");
        limit(json!({"Pids": -2}), "rpc: invalid pids limit -2");
        check(
            json!({"Resources": {"Reservations": {"MemoryBytes": 1}}}),
            "rpc: invalid memory value 1: Must be at least 4MiB",
        );
        check(json!({"Resources": {"SwapBytes": -2}}), "rpc: invalid swap value -2: must be -1 or greater");
        check(
            json!({"Resources": {"MemorySwappiness": 101}}),
            "rpc: invalid swappiness value 101: must be from -1 to 100",
        );
    }

    #[test]
    fn what_is_reserved_of_a_nodes_own_resources_is_a_number() {
        let reserve = |resource: Value, expected: &str| {
            check(json!({"Resources": {"Reservations": {"GenericResources": [resource]}}}), expected);
        };
        reserve(json!({"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}), "allowed");
        reserve(json!({"DiscreteResourceSpec": {"Kind": "gpu", "Value": 0}}), "rpc: invalid argument for resource gpu");
        reserve(json!({"NamedResourceSpec": {"Kind": "gpu", "Value": "a"}}), "rpc: invalid argument for resource gpu");
        reserve(json!({}), "rpc: invalid argument for resource \"\"");
    }

    #[test]
    fn restarts_have_a_condition_and_durations_that_are_not_negative() {
        let restart = |policy: Value, expected: &str| check(json!({"RestartPolicy": policy}), expected);
        restart(json!({}), "allowed");
        restart(json!({"Condition": "on-failure", "Delay": 0, "Window": 5, "MaxAttempts": 3}), "allowed");
        restart(json!({"Condition": "always"}), "invalid RestartCondition: \"always\"");
        restart(json!({"Delay": -1}), "rpc: TaskSpec: restart-delay cannot be negative");
        restart(json!({"Window": -1}), "rpc: TaskSpec: restart-window cannot be negative");
    }

    #[test]
    fn constraints_are_read() {
        let place =
            |constraint: &str, expected: &str| check(json!({"Placement": {"Constraints": [constraint]}}), expected);
        place("node.role==worker", "allowed");
        place("node.role", "rpc: constraint expected one operator from ==, !=");
        place("node role==worker", "rpc: key 'node role' is invalid");
    }
}
