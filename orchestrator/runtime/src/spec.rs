//! Turns a bundle into the runtime specification that the library for containers takes, as its JSON.
//!
//! Capabilities and the filter of system calls are left out on purpose: the last steps before the program
//! (`last_steps`) see to them, because the filter needs a privilege that the library would have dropped by then.

mod devices;
mod mounts;

use std::path::Path;

use serde_json::{Value, json};

use crate::RuntimeError;
use crate::bundle::{Bundle, Namespace, Program, Ulimit};
use crate::limits::Limits;
use crate::user::Identity;

/// What Docker hides of `/proc` and `/sys`.
const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
/// What of them Docker lets a container read only.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The specification of a container whose first program runs as `identity`.
pub(crate) fn container(bundle: &Bundle, identity: &Identity) -> Result<Value, RuntimeError> {
    let (nodes, rules) = devices::resolve(bundle)?;
    let hides = |own: &Option<Vec<String>>, usual: &[&str]| match own {
        _ if bundle.privileged => Vec::new(),
        Some(paths) => paths.clone(),
        None => usual.iter().map(|&path| path.to_owned()).collect(),
    };
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "process": process(&bundle.process, identity, bundle),
        "root": { "path": bundle.rootfs, "readonly": bundle.read_only_root },
        "mounts": mounts::all(bundle),
        "linux": {
            "namespaces": namespaces(bundle),
            "cgroupsPath": bundle.cgroup,
            "resources": resources(&bundle.limits, &rules),
            "devices": nodes,
            "sysctl": bundle.sysctls,
            "maskedPaths": hides(&bundle.masked_paths, &MASKED),
            "readonlyPaths": hides(&bundle.read_only_paths, &READ_ONLY),
        },
    });
    if let Some(propagation) = mounts::root_propagation(bundle) {
        spec["linux"]["rootfsPropagation"] = json!(propagation);
    }
    if bundle.namespaces.uts == Namespace::Own {
        if let Some(hostname) = &bundle.hostname {
            spec["hostname"] = json!(hostname);
        }
        if let Some(domainname) = &bundle.domainname {
            spec["domainname"] = json!(domainname);
        }
    }
    Ok(spec)
}

/// The part of the specification that says what a program is; `exec` has one of its own.
pub(crate) fn process(program: &Program, identity: &Identity, bundle: &Bundle) -> Value {
    let mut process = json!({
        "terminal": program.tty,
        "user": { "uid": identity.uid, "gid": identity.gid, "additionalGids": identity.groups },
        "args": program.argv,
        "env": environment(program, identity),
        "cwd": program.cwd.as_deref().unwrap_or(Path::new("/")),
        "rlimits": bundle.ulimits.iter().map(ulimit).collect::<Vec<_>>(),
        "noNewPrivileges": bundle.no_new_privileges,
    });
    if let Some(adjustment) = bundle.oom_score_adj {
        process["oomScoreAdj"] = json!(adjustment);
    }
    process
}

/// The program's environment, with a home.
pub(crate) fn environment(program: &Program, identity: &Identity) -> Vec<String> {
    let mut variables = program.env.clone();
    if !variables.iter().any(|variable| variable.starts_with("HOME=")) {
        variables.push(format!("HOME={}", identity.home));
    }
    if program.tty && !variables.iter().any(|variable| variable.starts_with("TERM=")) {
        variables.push("TERM=xterm".to_owned());
    }
    variables
}

/// A limit of a process, held below what this process may hand on.
fn ulimit(limit: &Ulimit) -> Value {
    let resource = format!("RLIMIT_{}", limit.name.to_ascii_uppercase());
    let ceiling = hard_limit(&limit.name);
    let bounded = |value: i64| u64::try_from(value).unwrap_or(u64::MAX).min(ceiling);
    let hard = bounded(limit.hard);
    json!({ "type": resource, "soft": bounded(limit.soft).min(hard), "hard": hard })
}

/// What this process may raise a limit to; no bound for names that it does not know.
fn hard_limit(name: &str) -> u64 {
    use rustix::process::{Resource, getrlimit};
    let resource = match name.to_ascii_lowercase().as_str() {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return u64::MAX,
    };
    getrlimit(resource).maximum.unwrap_or(u64::MAX)
}

fn namespaces(bundle: &Bundle) -> Vec<Value> {
    let kinds = [
        ("pid", &bundle.namespaces.pid),
        ("network", &bundle.namespaces.network),
        ("ipc", &bundle.namespaces.ipc),
        ("uts", &bundle.namespaces.uts),
        ("cgroup", &bundle.namespaces.cgroup),
    ];
    let mut list = vec![json!({ "type": "mount" })];
    for (kind, namespace) in kinds {
        match namespace {
            Namespace::Own => list.push(json!({ "type": kind })),
            Namespace::Host => {}
            Namespace::Path(path) => list.push(json!({ "type": kind, "path": path })),
        }
    }
    list
}

fn resources(limits: &Limits, devices: &[Value]) -> Value {
    let mut resources = json!({ "devices": devices });
    let mut cpu = json!({});
    if let Some((quota, period)) = limits.quota() {
        cpu["quota"] = json!(quota);
        cpu["period"] = json!(period);
    }
    set(&mut cpu, "shares", limits.cpu_shares.filter(|&shares| shares != 0));
    set(&mut cpu, "cpus", limits.cpuset_cpus.clone().filter(|list| !list.is_empty()));
    set(&mut cpu, "mems", limits.cpuset_mems.clone().filter(|list| !list.is_empty()));
    let mut memory = json!({});
    if let Some(limit) = limits.memory.filter(|&limit| limit != 0) {
        set(&mut memory, "limit", Some(limit));
        // A kernel that does not count swap has no file for it.
        set(&mut memory, "swap", limits.swap_total().filter(|_| crate::cgroup::counts_swap()));
    }
    set(&mut memory, "reservation", limits.memory_reservation.filter(|&reservation| reservation != 0));
    set(&mut memory, "swappiness", limits.memory_swappiness.filter(|_| !crate::cgroup::is_unified()));
    for (name, part) in [("cpu", cpu), ("memory", memory)] {
        if part.as_object().is_some_and(|fields| !fields.is_empty()) {
            resources[name] = part;
        }
    }
    if let Some(pids) = limits.pids.filter(|&pids| pids > 0) {
        resources["pids"] = json!({ "limit": pids });
    }
    if let Some(weight) = limits.blkio_weight.filter(|&weight| weight != 0) {
        resources["blockIO"] = json!({ "weight": weight });
    }
    resources
}

fn set<T: serde::Serialize>(object: &mut Value, name: &str, value: Option<T>) {
    if let Some(value) = value {
        object[name] = json!(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Identity {
        Identity { uid: 0, gid: 0, groups: vec![], home: "/root".to_owned() }
    }

    #[test]
    fn a_limit_of_a_process_never_exceeds_what_we_may_hand_on() {
        let ceiling = hard_limit("nofile");
        let wanted = Ulimit { name: "nofile".to_owned(), soft: -1, hard: i64::MAX };

        let limit = ulimit(&wanted);

        assert_eq!(limit, json!({ "type": "RLIMIT_NOFILE", "soft": ceiling, "hard": ceiling }));
    }

    #[test]
    fn a_home_is_added_only_where_there_is_none() {
        let own = Program { env: vec!["HOME=/x".to_owned()], ..Program::default() };

        assert_eq!(environment(&own, &root()), ["HOME=/x"]);
        assert_eq!(environment(&Program::default(), &root()), ["HOME=/root"]);
    }

    #[test]
    fn namespaces_of_the_host_and_of_others_are_shared() {
        let mut bundle = Bundle::new("a", "/", "/t/a", &["true"]);
        bundle.namespaces.pid = Namespace::Host;
        bundle.namespaces.network = Namespace::Path("/run/netns/x".into());

        let list = namespaces(&bundle);

        assert!(!list.contains(&json!({ "type": "pid" })));
        assert!(list.contains(&json!({ "type": "network", "path": "/run/netns/x" })));
    }

    #[test]
    fn limits_become_the_specifications_words() {
        let limits =
            Limits { nano_cpus: Some(1_500_000_000), memory: Some(1 << 26), pids: Some(64), ..Limits::default() };

        let resources = resources(&limits, &[]);

        assert_eq!(resources["cpu"], json!({ "quota": 150_000, "period": 100_000 }));
        assert_eq!(resources["memory"]["limit"], json!(1 << 26));
        assert_eq!(resources["pids"], json!({ "limit": 64 }));
    }
}
