//! What becomes of settings in a bundle.

use runtime::Profile;

use super::*;
use crate::config::{ContainerResources, DeviceMapping};
use crate::settings::plan;

fn place() -> Place {
    Place {
        id: "c1".to_owned(),
        rootfs: "/c/rootfs".into(),
        files: "/c".into(),
        logs: "/c/logs".into(),
        cgroup: "swarmup/n/c1".into(),
        joins: Some("/proc/7/ns/net".into()),
    }
}

fn made(config: &ContainerConfig, host: &HostConfig) -> Bundle {
    let node = NodeFacts { hostname: "n".to_owned(), cpus: 2, has_unified_cgroups: true };
    let mounts = plan(config, host, &[]).unwrap();
    bundle(config, host, &mounts, &node, &place()).unwrap()
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn host() -> HostConfig {
    HostConfig { network_mode: "host".to_owned(), ..HostConfig::default() }
}

#[test]
fn the_program_is_entry_point_and_command_with_dockers_variables() {
    let config = ContainerConfig {
        entrypoint: Some(strings(&["init", "-x"])),
        cmd: Some(strings(&["sh"])),
        env: strings(&["A=1", "PATH=/mine", "TERM"]),
        hostname: "web".to_owned(),
        user: "web:www".to_owned(),
        working_dir: "/srv".to_owned(),
        tty: true,
        ..ContainerConfig::default()
    };
    let host = HostConfig { console_size: [40, 120], ..host() };

    let program = made(&config, &host).process;

    assert_eq!(program.argv, ["init", "-x", "sh"]);
    assert_eq!(program.env, ["PATH=/mine", "HOSTNAME=web", "A=1"]);
    assert_eq!((program.user.as_deref(), program.cwd.unwrap().to_str()), (Some("web:www"), Some("/srv")));
    assert_eq!(program.tty_size, Some(TtySize { columns: 120, rows: 40 }));
}

#[test]
fn networks_and_other_namespaces_are_the_containers_or_the_hosts() {
    let shared = HostConfig { pid_mode: "host".to_owned(), uts_mode: "host".to_owned(), ..host() };
    let alone = HostConfig { network_mode: "none".to_owned(), ..HostConfig::default() };
    let joined = HostConfig { network_mode: "container:c2".to_owned(), ..HostConfig::default() };
    let named = ContainerConfig { hostname: "web".to_owned(), ..ContainerConfig::default() };

    let shared = made(&named, &shared);
    let alone = made(&named, &alone);
    let bridged = made(&named, &HostConfig::default());
    let joined = made(&named, &joined);

    assert_eq!(bridged.namespaces, Namespaces::default());
    assert_eq!(joined.namespaces.network, Namespace::Path("/proc/7/ns/net".into()));
    assert_eq!(shared.namespaces.network, Namespace::Host);
    assert_eq!((shared.namespaces.pid, shared.hostname), (Namespace::Host, None));
    assert_eq!(alone.namespaces, Namespaces::default());
    assert_eq!(alone.hostname.as_deref(), Some("web"));
}

#[test]
fn each_container_has_its_own_files_unless_they_are_mounted_over() {
    let mine = HostConfig { binds: Some(strings(&["/x/hosts:/etc/hosts:ro"])), ..host() };

    let mounts = made(&ContainerConfig::default(), &mine).mounts;

    let found: Vec<_> = mounts
        .iter()
        .map(|mount| match &mount.source {
            MountSource::Bind { path, .. } => (mount.destination.to_str().unwrap(), path.to_str().unwrap()),
            MountSource::Tmpfs { .. } => panic!("nobody asked for memory"),
        })
        .collect();
    let expected =
        [("/etc/hosts", "/x/hosts"), ("/etc/resolv.conf", "/c/resolv.conf"), ("/etc/hostname", "/c/hostname")];
    assert_eq!(found, expected);
    assert!(mounts[0].read_only && !mounts[1].read_only);
}

#[test]
fn privileges_devices_and_limits_are_handed_on() {
    let resources = ContainerResources {
        devices: Some(vec![DeviceMapping { path_on_host: "/dev/fuse".to_owned(), ..DeviceMapping::default() }]),
        ulimits: Some(vec![model::Ulimit { name: "nofile".to_owned(), hard: 20, soft: 10 }]),
        memory: 64 << 20,
        pids_limit: Some(9),
        ..ContainerResources::default()
    };
    let host = HostConfig {
        cap_add: Some(strings(&["NET_ADMIN"])),
        cap_drop: Some(strings(&["ALL"])),
        security_opt: Some(strings(&["no-new-privileges", "seccomp=unconfined"])),
        sysctls: [("net.ipv4.ip_forward".to_owned(), "1".to_owned())].into(),
        readonly_rootfs: true,
        init: Some(true),
        shm_size: 4096,
        resources,
        ..host()
    };

    let bundle = made(&ContainerConfig::default(), &host);

    assert_eq!((bundle.capabilities_add, bundle.capabilities_drop), (strings(&["NET_ADMIN"]), strings(&["ALL"])));
    assert!(bundle.no_new_privileges && bundle.read_only_root && bundle.init);
    assert_eq!((bundle.seccomp, bundle.shm_size), (Profile::Unconfined, Some(4096)));
    let device = Device { on_host: "/dev/fuse".into(), inside: "/dev/fuse".into(), access: "rwm".to_owned() };
    assert_eq!(bundle.devices, [device]);
    assert_eq!(bundle.ulimits, [Ulimit { name: "nofile".to_owned(), soft: 10, hard: 20 }]);
    assert_eq!((bundle.limits.memory, bundle.limits.pids), (Some(64 << 20), Some(9)));
    assert_eq!(bundle.sysctls["net.ipv4.ip_forward"], "1");
    assert_eq!(bundle.masked_paths, None);
}

#[test]
fn all_of_the_system_is_shown_to_those_who_are_to_see_it() {
    let asked = HostConfig { security_opt: Some(strings(&["systempaths=unconfined"])), ..host() };
    let privileged = HostConfig { privileged: true, ..host() };

    for host in [asked, privileged] {
        let bundle = made(&ContainerConfig::default(), &host);
        assert_eq!((bundle.masked_paths, bundle.read_only_paths), (Some(Vec::new()), Some(Vec::new())));
    }
}

#[test]
fn a_healthcheck_has_dockers_defaults_and_may_be_switched_off() {
    let asked = |test: &[&str]| {
        let test = HealthConfig { test: strings(test), retries: 2, interval: 1_000_000_000, ..Default::default() };
        health(&ContainerConfig { healthcheck: Some(test), ..ContainerConfig::default() })
    };

    let shell = asked(&["CMD-SHELL", "true || false"]).unwrap();
    assert_eq!(shell.argv, ["/bin/sh", "-c", "true || false"]);
    assert_eq!((shell.interval, shell.timeout), (Duration::from_secs(1), Duration::from_secs(30)));
    assert_eq!((shell.retries, shell.start_interval), (2, Duration::from_secs(5)));
    assert_eq!(asked(&["CMD", "ready", "now"]).unwrap().argv, ["ready", "now"]);
    assert_eq!(asked(&["NONE"]), None);
    assert_eq!(asked(&[]), None);
}
