//! The rules of what a container is to be: those of its own fields here, those of the kernel's in `kernel`.
//!
//! A text with `{{` in it is a template where Docker reads templates, and is judged once it is filled in, on the node.

use std::net::IpAddr;

use super::image::is_image;
use super::kernel::{check_capabilities, check_oom_score, check_signal, check_sysctls, check_ulimits};
use super::mount::check_mounts;
use super::words::{invalid, not_offered, refuse_if};
use crate::{ContainerSpec, DnsConfig, HealthConfig, Privileges, SwarmError};

/// The longest host name (Linux's `HOST_NAME_MAX`).
const MAX_HOSTNAME: usize = 64;
/// The shortest duration in a health check: 1 ms (SwarmKit's `minimumDuration`).
const MIN_HEALTH_DURATION: i64 = 1_000_000;

/// Checks what a container is to be.
pub(super) fn check_container(spec: &ContainerSpec) -> Result<(), SwarmError> {
    let image = &spec.image;
    refuse_if(image.is_empty(), || invalid("ContainerSpec: image reference must be provided"))?;
    refuse_if(!is_image(image), || invalid(format!("ContainerSpec: {image:?} is not a valid repository/tag")))?;
    refuse_if(!spec.secrets.is_empty(), || not_offered("keep secrets yet: leave the secrets out"))?;
    refuse_if(!spec.configs.is_empty(), || not_offered("keep configs yet: leave the configs out"))?;
    check_texts(spec)?;
    check_mounts(&spec.mounts)?;
    spec.healthcheck.as_ref().map_or(Ok(()), check_health)?;
    spec.dns_config.as_ref().map_or(Ok(()), check_dns)?;
    spec.privileges.as_ref().map_or(Ok(()), check_privileges)?;
    let is_negative = spec.stop_grace_period.is_some_and(|period| period < 0);
    refuse_if(is_negative, || invalid("ContainerSpec: stop-grace-period cannot be negative"))?;
    check_signal(&spec.stop_signal)?;
    check_sysctls(&spec.sysctls)?;
    check_capabilities("CapAdd", &spec.capability_add)?;
    check_capabilities("CapDrop", &spec.capability_drop)?;
    check_ulimits(&spec.ulimits)?;
    check_oom_score(spec.oom_score_adj)
}

fn check_texts(spec: &ContainerSpec) -> Result<(), SwarmError> {
    check_hostname(&spec.hostname)?;
    let is_variable = |text: &String| !text.is_empty() && !text.starts_with('=') && !text.contains('\0');
    if let Some(wrong) = spec.env.iter().find(|text| !is_variable(text)) {
        return Err(SwarmError::invalid(format!("invalid environment variable: {wrong}")));
    }
    let Some(wrong) =
        [&spec.dir, &spec.user].into_iter().chain(texts_of_program(spec)).find(|text| text.contains('\0'))
    else {
        let is_absolute = spec.dir.is_empty() || spec.dir.starts_with('/');
        return refuse_if(!is_absolute, || {
            SwarmError::invalid(format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                spec.dir
            ))
        });
    };
    Err(SwarmError::invalid(format!("invalid text with a zero byte: {wrong:?}")))
}

/// What the kernel is given as texts that end with a zero byte.
fn texts_of_program(spec: &ContainerSpec) -> impl Iterator<Item = &String> {
    spec.command.iter().chain(&spec.args).chain(&spec.groups)
}

fn check_hostname(name: &str) -> Result<(), SwarmError> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = name.len() <= MAX_HOSTNAME
        && !name.starts_with(['-', '.'])
        && !name.ends_with('-')
        && name.bytes().all(is_inner);
    let is_fine = is_name || name.contains("{{");
    refuse_if(!is_fine, || SwarmError::invalid(format!("invalid hostname format: {name}")))
}

fn check_health(health: &HealthConfig) -> Result<(), SwarmError> {
    let kind = health.test.first().map(String::as_str);
    let is_known = match kind {
        None => true,
        Some("NONE") => health.test.len() == 1,
        Some("CMD" | "CMD-SHELL") => health.test.len() > 1,
        Some(_) => false,
    };
    refuse_if(!is_known, || {
        invalid("ContainerSpec: Test in HealthConfig must be NONE alone, or CMD or CMD-SHELL and what is run")
    })?;
    let durations = [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ];
    for (name, duration) in durations {
        let is_short = duration != 0 && duration < MIN_HEALTH_DURATION;
        refuse_if(is_short, || invalid(format!("ContainerSpec: {name} in HealthConfig cannot be less than 1ms")))?;
    }
    refuse_if(health.retries < 0, || invalid("ContainerSpec: Retries in HealthConfig cannot be negative"))
}

fn check_dns(dns: &DnsConfig) -> Result<(), SwarmError> {
    match dns.nameservers.iter().find(|address| address.parse::<IpAddr>().is_err()) {
        None => Ok(()),
        Some(address) => Err(SwarmError::invalid(format!("IP address is not correctly formatted: {address}"))),
    }
}

fn check_privileges(privileges: &Privileges) -> Result<(), SwarmError> {
    let Some(seccomp) = &privileges.seccomp else { return Ok(()) };
    let is_known = matches!(seccomp.mode.as_str(), "" | "default" | "unconfined" | "custom");
    refuse_if(!is_known, || SwarmError::invalid(format!("invalid seccomp mode: {:?}", seccomp.mode)))?;
    let has_profile = !seccomp.profile.is_empty();
    refuse_if((seccomp.mode == "custom") != has_profile, || {
        SwarmError::invalid("invalid seccomp profile: the mode custom has one, and no other mode does")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "literals read better without a borrow")]
    fn check(fields: Value, expected: &str) {
        let mut spec = json!({"Image": "busybox"});
        for (key, value) in fields.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let parsed: ContainerSpec = serde_json::from_value(spec).unwrap();
        let outcome = check_container(&parsed).map_or_else(|error| error.message, |()| "allowed".to_owned());
        let outcome = outcome.replace("rpc error: code = InvalidArgument desc = ", "rpc: ");
        assert_eq!(outcome, expected, "{fields}");
    }

    #[test]
    fn a_container_has_an_image() {
        check(json!({}), "allowed");
        check(json!({"Image": ""}), "rpc: ContainerSpec: image reference must be provided");
        check(json!({"Image": "A:b:c"}), "rpc: ContainerSpec: \"A:b:c\" is not a valid repository/tag");
    }

    #[test]
    fn secrets_and_configs_are_refused() {
        check(json!({"Secrets": [{}]}), "this engine does not keep secrets yet: leave the secrets out");
        check(json!({"Configs": [{}]}), "this engine does not keep configs yet: leave the configs out");
    }

    #[test]
    fn texts_are_what_the_kernel_takes() {
        check(json!({"Hostname": "web-1.example", "Env": ["A=", "B", "C=d=e"], "Dir": "/srv"}), "allowed");
        check(json!({"Hostname": "{{.Service.Name}}-{{.Task.Slot}}"}), "allowed");
        check(json!({"Hostname": "a b"}), "invalid hostname format: a b");
        check(json!({"Hostname": "h".repeat(65)}), &format!("invalid hostname format: {}", "h".repeat(65)));
        check(json!({"Env": ["=x"]}), "invalid environment variable: =x");
        check(json!({"Env": [""]}), "invalid environment variable: ");
        check(json!({"Dir": "srv"}), "the working directory 'srv' is invalid, it needs to be an absolute path");
        check(json!({"Args": ["a\u{0}b"]}), "invalid text with a zero byte: \"a\\0b\"");
        check(json!({"StopGracePeriod": -1}), "rpc: ContainerSpec: stop-grace-period cannot be negative");
    }

    #[test]
    fn health_is_asked_for_with_a_known_kind_of_test_and_durations_that_can_be_kept() {
        let health = |health: Value, expected: &str| check(json!({"Healthcheck": health}), expected);
        health(json!({}), "allowed");
        health(json!({"Test": ["NONE"]}), "allowed");
        health(json!({"Test": ["CMD-SHELL", "true"], "Interval": 1_000_000, "Retries": 3}), "allowed");
        let test = "rpc: ContainerSpec: Test in HealthConfig must be NONE alone, or CMD or CMD-SHELL and what is run";
        health(json!({"Test": ["curl"]}), test);
        health(json!({"Test": ["CMD"]}), test);
        health(json!({"Test": ["NONE", "x"]}), test);
        for name in ["Interval", "Timeout", "StartPeriod", "StartInterval"] {
            let expected = format!("rpc: ContainerSpec: {name} in HealthConfig cannot be less than 1ms");
            health(json!({name: 1}), &expected);
            health(json!({name: -1}), &expected);
        }
        health(json!({"Retries": -1}), "rpc: ContainerSpec: Retries in HealthConfig cannot be negative");
    }

    #[test]
    fn resolvers_are_addresses_and_profiles_fit_their_mode() {
        check(json!({"DNSConfig": {"Nameservers": ["1.1.1.1", "fd00::1"]}}), "allowed");
        check(json!({"DNSConfig": {"Nameservers": ["ns"]}}), "IP address is not correctly formatted: ns");
        let seccomp = |seccomp: Value, expected: &str| check(json!({"Privileges": {"Seccomp": seccomp}}), expected);
        seccomp(json!({"Mode": "unconfined"}), "allowed");
        seccomp(json!({"Mode": "custom", "Profile": "e30="}), "allowed");
        seccomp(json!({"Mode": "strict"}), "invalid seccomp mode: \"strict\"");
        let profile = "invalid seccomp profile: the mode custom has one, and no other mode does";
        seccomp(json!({"Mode": "custom"}), profile);
        seccomp(json!({"Mode": "default", "Profile": "e30="}), profile);
    }
}
