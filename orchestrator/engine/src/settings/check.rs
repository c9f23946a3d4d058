//! Which settings no container can have, and which are let pass with a word.

use std::net::Ipv4Addr;
use std::path::Path;

use model::HealthConfig;

use super::{InvalidSettings, NetworkMode, files, limits, log_settings, network, ports, security};
use crate::config::{ContainerConfig, HostConfig};
use crate::signal;

/// The shortest pause that a healthcheck may have (ns): a millisecond, as in Docker.
const LEAST_PAUSE: i64 = 1_000_000;

/// Refuses settings in full (with those of the image) that no container here can have. Returns what the operator is to
/// be warned of.
pub(crate) fn check(config: &ContainerConfig, host: &HostConfig, cpus: usize) -> Result<Vec<String>, InvalidSettings> {
    let network = NetworkMode::of(config, host)?;
    check_config(config)?;
    check_health(config.healthcheck.as_ref())?;
    check_restart(host)?;
    check_modes(host)?;
    check_offers(host)?;
    limits(&host.resources, cpus)?;
    log_settings(&host.log_config, Path::new(""))?;
    security::security(host)?;
    check_network(config, host, &network)?;
    files::resolv_conf(host, files::Servers::Hosts, "")?;
    Ok(warnings(host, &network))
}

fn check_network(config: &ContainerConfig, host: &HostConfig, network: &NetworkMode) -> Result<(), InvalidSettings> {
    if matches!(network, NetworkMode::Container(_)) {
        return network::check_joined(config, host);
    }
    let is_in_bridge = network.has_addresses();
    if is_in_bridge {
        ports::ports(config, host)?;
    }
    // Its address is not known yet, and is no reason to refuse anything.
    let somewhere = files::Position {
        addresses: vec![Ipv4Addr::UNSPECIFIED],
        gateway: Some(Ipv4Addr::UNSPECIFIED),
        names: config.hostname.clone(),
    };
    files::hosts(host, network, is_in_bridge.then_some(&somewhere), "").map(drop)
}

fn check_config(config: &ContainerConfig) -> Result<(), InvalidSettings> {
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        let words = "is invalid, it needs to be an absolute path";
        return Err(InvalidSettings(format!("the working directory '{}' {words}", config.working_dir)));
    }
    if let Some(variable) = config.env.iter().find(|variable| variable.is_empty() || variable.starts_with('=')) {
        return Err(InvalidSettings(format!("invalid environment variable: {variable}")));
    }
    let words = [&config.cmd, &config.entrypoint].into_iter().flatten().flatten();
    let texts = words.chain(&config.env).chain([&config.hostname, &config.domainname, &config.user]);
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(InvalidSettings::new("a text with a zero byte cannot be handed to a program"));
    }
    let is_host_name = |name: &str| {
        name.len() <= 63 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    for name in [&config.hostname, &config.domainname] {
        if !is_host_name(name) {
            return Err(InvalidSettings(format!("invalid hostname format: {name}")));
        }
    }
    if !config.stop_signal.is_empty() {
        signal::parse(&config.stop_signal).map_err(|error| InvalidSettings(error.to_string()))?;
    }
    Ok(())
}

fn check_health(health: Option<&HealthConfig>) -> Result<(), InvalidSettings> {
    let Some(health) = health else { return Ok(()) };
    let pauses = [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ];
    if let Some((name, _)) = pauses.iter().find(|(_, pause)| *pause != 0 && *pause < LEAST_PAUSE) {
        return Err(InvalidSettings(format!("{name} in Healthcheck cannot be less than 1ms")));
    }
    if health.retries < 0 {
        return Err(InvalidSettings::new("Retries in Healthcheck cannot be negative"));
    }
    match health.test.first().map(String::as_str) {
        None | Some("NONE" | "CMD" | "CMD-SHELL") => Ok(()),
        Some(kind) => Err(InvalidSettings(format!("unknown healthcheck test: {kind}"))),
    }
}

fn check_restart(host: &HostConfig) -> Result<(), InvalidSettings> {
    let policy = &host.restart_policy;
    let refuse = |words: String| Err(InvalidSettings(format!("invalid restart policy: {words}")));
    match policy.name.as_str() {
        "" | "no" | "always" | "unless-stopped" if policy.maximum_retry_count != 0 => {
            return refuse("maximum retry count can only be used with 'on-failure'".to_owned());
        }
        "" | "no" => return Ok(()),
        "on-failure" if policy.maximum_retry_count < 0 => {
            return refuse("maximum retry count cannot be negative".to_owned());
        }
        "always" | "unless-stopped" | "on-failure" => {}
        name => {
            let known = "use one of 'no', 'always', 'on-failure', or 'unless-stopped'";
            return refuse(format!("unknown policy '{name}'; {known}"));
        }
    }
    if host.auto_remove {
        return Err(InvalidSettings::new("can't create 'AutoRemove' container with restart policy"));
    }
    Ok(())
}

/// Whose namespaces: a container's own or the host's. Another container's are not offered.
fn check_modes(host: &HostConfig) -> Result<(), InvalidSettings> {
    let check = |name: &str, mode: &str, known: &[&str]| {
        if known.contains(&mode) {
            return Ok(());
        }
        if mode.starts_with("container:") {
            return Err(InvalidSettings(format!("{name} mode `{mode}` is not offered by this node")));
        }
        Err(InvalidSettings(format!("invalid {name} mode: {mode}")))
    };
    check("PID", &host.pid_mode, &["", "host"])?;
    check("IPC", &host.ipc_mode, &["", "private", "shareable", "host"])?;
    check("UTS", &host.uts_mode, &["", "host"])?;
    check("user namespace", &host.userns_mode, &["", "host"])?;
    check("cgroup namespace", &host.cgroupns_mode, &["", "private", "host"])?;
    check("isolation", &host.isolation, &["", "default"])
}

/// What this node does not offer, and nobody must believe to have.
fn check_offers(host: &HostConfig) -> Result<(), InvalidSettings> {
    if !host.storage_opt.is_empty() {
        return Err(InvalidSettings::new("--storage-opt is not offered by this node"));
    }
    if !matches!(host.runtime.as_str(), "" | "runc" | "io.containerd.runc.v2") {
        return Err(InvalidSettings(format!("unknown or invalid runtime name: {}", host.runtime)));
    }
    if !host.resources.cgroup_parent.is_empty() {
        return Err(InvalidSettings::new("--cgroup-parent is not offered by this node"));
    }
    if let Some(request) = host.resources.device_requests.iter().flatten().next() {
        let words = "could not select device driver";
        let wanted = &request.capabilities;
        return Err(InvalidSettings(format!("{words} \"{}\" with capabilities: {wanted:?}", request.driver)));
    }
    if host.shm_size < 0 {
        return Err(InvalidSettings::new("SHM size can not be less than 0"));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        let words = "range is [-1000, 1000]";
        return Err(InvalidSettings(format!("Invalid value {}, {words}", host.oom_score_adj)));
    }
    Ok(())
}

fn warnings(host: &HostConfig, network: &NetworkMode) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_publishing = !host.port_bindings.is_empty() || host.publish_all_ports;
    if *network == NetworkMode::HOST && is_publishing {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    if *network == NetworkMode::NONE && is_publishing {
        warnings.push("Published ports are discarded: the container has no network".to_owned());
    }
    let resources = &host.resources;
    let lists = [
        resources.blkio_weight_device.as_ref().is_some_and(|list| !list.is_empty()),
        resources.blkio_device_read_bps.as_ref().is_some_and(|list| !list.is_empty()),
        resources.blkio_device_write_bps.as_ref().is_some_and(|list| !list.is_empty()),
        resources.blkio_device_read_iops.as_ref().is_some_and(|list| !list.is_empty()),
        resources.blkio_device_write_iops.as_ref().is_some_and(|list| !list.is_empty()),
    ];
    if lists.contains(&true) {
        warnings.push("Limits of single block devices are not kept by this node. They are discarded.".to_owned());
    }
    if resources.cpu_realtime_period != 0 || resources.cpu_realtime_runtime != 0 {
        warnings.push("Real-time processor time is not kept by this node. It is discarded.".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RestartPolicy;

    fn host() -> HostConfig {
        HostConfig { network_mode: "host".to_owned(), ..HostConfig::default() }
    }

    fn refusal(change: impl FnOnce(&mut ContainerConfig, &mut HostConfig)) -> String {
        let (mut config, mut host) = (ContainerConfig::default(), host());
        change(&mut config, &mut host);
        check(&config, &host, 2).expect_err("it is to be refused").to_string()
    }

    #[test]
    fn settings_that_no_container_can_have_are_refused_in_dockers_words() {
        let policy = |name: &str, maximum_retry_count| RestartPolicy { name: name.to_owned(), maximum_retry_count };

        assert_eq!(
            refusal(|config, _| config.working_dir = "srv".to_owned()),
            "the working directory 'srv' is invalid, it needs to be an absolute path"
        );
        assert_eq!(refusal(|config, _| config.env = vec!["=x".to_owned()]), "invalid environment variable: =x");
        assert_eq!(refusal(|config, _| config.stop_signal = "WHAT".to_owned()), "Invalid signal: WHAT");
        assert_eq!(refusal(|config, _| config.hostname = "a\nb".to_owned()), "invalid hostname format: a\nb");
        assert_eq!(
            refusal(|_, host| host.restart_policy = policy("sometimes", 0)),
            "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or \
             'unless-stopped'"
        );
        assert_eq!(
            refusal(|_, host| host.restart_policy = policy("always", 3)),
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        );
        assert_eq!(
            refusal(|_, host| (host.restart_policy, host.auto_remove) = (policy("always", 0), true)),
            "can't create 'AutoRemove' container with restart policy"
        );
        assert_eq!(refusal(|_, host| host.pid_mode = "mine".to_owned()), "invalid PID mode: mine");
        assert_eq!(
            refusal(|_, host| host.ipc_mode = "container:x".to_owned()),
            "IPC mode `container:x` is not offered by this node"
        );
        let joined = |host: &mut HostConfig| host.network_mode = "container:x".to_owned();
        assert_eq!(
            refusal(|_, host| {
                joined(host);
                host.publish_all_ports = true;
            }),
            "conflicting options: port publishing and the container type network mode"
        );
        assert_eq!(refusal(|_, host| host.runtime = "kata".to_owned()), "unknown or invalid runtime name: kata");
    }

    #[test]
    fn a_healthcheck_has_pauses_of_a_millisecond_at_least() {
        let with = |health: HealthConfig| refusal(|config, _| config.healthcheck = Some(health));

        let short = HealthConfig { interval: 999_999, ..HealthConfig::default() };
        let unknown = HealthConfig { test: vec!["PING".to_owned()], ..HealthConfig::default() };
        assert_eq!(with(short), "Interval in Healthcheck cannot be less than 1ms");
        assert_eq!(with(unknown), "unknown healthcheck test: PING");
    }

    #[test]
    fn what_is_discarded_is_said() {
        let mut host = host();
        host.port_bindings.insert("80/tcp".to_owned(), None);

        let warnings = check(&ContainerConfig::default(), &host, 2).expect("it can be had");

        assert_eq!(warnings, ["Published ports are discarded when using host network mode"]);
    }
}
