//! The rules of what the kernel is asked for: signals, parameters, capabilities, limits.

use std::collections::BTreeMap;

use super::words::refuse_if;
use crate::{SwarmError, Ulimit};

/// The signals that have names, without `SIG`.
const SIGNALS: [&str; 35] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN",
];
/// The greatest number of a signal.
const MAX_SIGNAL: u8 = 64;
/// How many real-time signals lie between `RTMIN` and `RTMAX`, which Docker names from both ends.
const REAL_TIME_SPAN: u8 = 30;
/// Parameters of the kernel's IPC namespace.
const IPC_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
/// What a process can be limited in.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];
/// The kernel's capabilities, without `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Checks a signal: a number, or a name with or without `SIG`; none at all is the image's.
pub(super) fn check_signal(text: &str) -> Result<(), SwarmError> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| text.parse::<u8>().ok().filter(|_| is_number(text));
    let real_time = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
    let is_signal = text.is_empty()
        || number(text).is_some_and(|number| (1..=MAX_SIGNAL).contains(&number))
        || SIGNALS.contains(&name)
        || name == "RTMAX"
        || real_time.and_then(number).is_some_and(|number| number <= REAL_TIME_SPAN);
    refuse_if(!is_signal, || SwarmError::invalid(format!("invalid signal: {text}")))
}

/// Checks kernel parameters: only those of a container's own namespaces are its own.
pub(super) fn check_sysctls(sysctls: &BTreeMap<String, String>) -> Result<(), SwarmError> {
    let is_text = |text: &str| !text.is_empty() && !text.contains(|character: char| character.is_control());
    let is_key_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    let is_allowed = |(key, value): &(&String, &String)| {
        // A slash stands for a point in the name of an interface; a path must not lead elsewhere.
        let is_key = key.bytes().all(is_key_byte) && !key.contains("..") && !key.contains("//");
        let is_own = IPC_SYSCTLS.contains(&key.as_str()) || key.starts_with("net.") || key.starts_with("fs.mqueue.");
        is_key && is_own && is_text(value)
    };
    match sysctls.iter().find(|sysctl| !is_allowed(sysctl)) {
        None => Ok(()),
        Some((key, _)) => Err(SwarmError::invalid(format!("sysctl '{key}' is not allowed"))),
    }
}

/// Checks names of capabilities, with or without `CAP_`; `ALL` stands for all.
pub(super) fn check_capabilities(field: &str, names: &[String]) -> Result<(), SwarmError> {
    let is_known = |name: &&String| {
        let name = name.to_ascii_uppercase();
        name == "ALL" || CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name))
    };
    match names.iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => Err(SwarmError::invalid(format!("invalid {field}: unknown capability: {name:?}"))),
    }
}

/// Checks limits of processes; -1 is none.
pub(super) fn check_ulimits(ulimits: &[Ulimit]) -> Result<(), SwarmError> {
    for Ulimit { name, soft, hard } in ulimits {
        let is_known = ULIMITS.contains(&name.as_str());
        refuse_if(!is_known, || SwarmError::invalid(format!("invalid ulimit type: {name}")))?;
        let is_number = *soft >= -1 && *hard >= -1;
        refuse_if(!is_number, || SwarmError::invalid(format!("invalid ulimit {name}: -1 is the least limit")))?;
        let is_above = *hard != -1 && (*soft == -1 || soft > hard);
        refuse_if(is_above, || {
            SwarmError::invalid(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"))
        })?;
    }
    Ok(())
}

/// Checks how gladly the kernel ends the container when memory is short.
pub(super) fn check_oom_score(score: i64) -> Result<(), SwarmError> {
    refuse_if(!(-1000..=1000).contains(&score), || {
        SwarmError::invalid(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(outcome: Result<(), SwarmError>) -> String {
        outcome.map_or_else(|error| error.message, |()| "allowed".to_owned())
    }

    #[test]
    fn signals_have_a_number_or_a_name() {
        for good in ["", "9", "64", "SIGTERM", "term", "sigusr1", "RTMIN", "SIGRTMIN+3", "RTMAX", "RTMAX-14"] {
            assert_eq!(told(check_signal(good)), "allowed", "{good}");
        }
        for bad in ["0", "65", "-1", "+9", "SIG", "SIGNAL", "RTMIN+31", "RTMIN+", "9 "] {
            assert_eq!(told(check_signal(bad)), format!("invalid signal: {bad}"));
        }
    }

    #[test]
    fn parameters_are_those_of_the_containers_own_namespaces() {
        let check = |key: &str, value: &str, expected: &str| {
            let sysctls = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            assert_eq!(told(check_sysctls(&sysctls)), expected);
        };
        check("net.ipv4.ip_forward", "1", "allowed");
        check("net.ipv4.conf.eth0/1.rp_filter", "1", "allowed");
        check("kernel.shmmax", "1", "allowed");
        check("fs.mqueue.msg_max", "1", "allowed");
        check("kernel.panic", "1", "sysctl 'kernel.panic' is not allowed");
        check("vm.swappiness", "1", "sysctl 'vm.swappiness' is not allowed");
        check("net.../../kernel.panic", "1", "sysctl 'net.../../kernel.panic' is not allowed");
        check("net.ipv4.ip_forward", "", "sysctl 'net.ipv4.ip_forward' is not allowed");
    }

    #[test]
    fn capabilities_have_the_kernels_names() {
        let check = |name: &str, expected: &str| {
            assert_eq!(told(check_capabilities("CapAdd", &[name.to_owned()])), expected);
        };
        check("ALL", "allowed");
        check("CAP_NET_ADMIN", "allowed");
        check("net_admin", "allowed");
        check("CAP_FLY", "invalid CapAdd: unknown capability: \"CAP_FLY\"");
    }

    #[test]
    fn limits_have_a_known_name_and_a_soft_one_that_is_not_above_the_hard_one() {
        let check = |name: &str, soft: i64, hard: i64, expected: &str| {
            assert_eq!(told(check_ulimits(&[Ulimit { name: name.to_owned(), hard, soft }])), expected);
        };
        check("nofile", 1024, 2048, "allowed");
        check("nofile", 1024, -1, "allowed");
        check("core", -1, -1, "allowed");
        check("files", 1, 1, "invalid ulimit type: files");
        check("nofile", 2, 1, "ulimit soft limit must be less than or equal to hard limit: 2 > 1");
        check("nofile", -1, 1, "ulimit soft limit must be less than or equal to hard limit: -1 > 1");
        check("nofile", -2, 1, "invalid ulimit nofile: -1 is the least limit");
    }

    #[test]
    fn the_oom_score_is_the_kernels() {
        assert_eq!(told(check_oom_score(-1000)), "allowed");
        assert_eq!(told(check_oom_score(1001)), "Invalid value 1001, range for oom score adj is [-1000, 1000]");
    }
}
