//! The filter of system calls of a container that asks for none: what Docker's documentation says is allowed.
//!
//! Everything else is answered with "not permitted"; `clone3`, whose arguments no filter can see, with "no such call",
//! so that the C library falls back to `clone`; and calls newer than this table likewise.

use rustix::thread::CapabilitySet;

use super::profile::{Action, ArgumentTest, Comparison, Rule};

/// Flags of `clone` that make namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
/// The address family of virtual machine sockets, which no namespace holds.
const AF_VSOCK: u64 = 40;
/// What `personality` may set: nothing, a 32-bit uname, 2.6's uname, both; and what asks for the present value.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Allowed to everyone.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk", "cachestat", "capget", "capset", "chdir",
    "chmod", "chown", "clock_adjtime", "clock_getres", "clock_gettime", "clock_nanosleep", "close", "close_range",
    "connect", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve",
    "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fallocate", "fanotify_mark", "fchdir",
    "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock",
    "fork", "fremovexattr", "fsetxattr", "fstat", "fstatfs", "fsync", "ftruncate", "futex", "futex_requeue",
    "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_robust_list", "get_thread_area", "getcpu", "getcwd",
    "getdents", "getdents64", "getegid", "geteuid", "getgid", "getgroups", "getitimer", "getpeername", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage",
    "getsid", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "getxattr", "getxattrat",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy",
    "io_getevents", "io_pgetevents", "io_setup", "io_submit", "ioctl", "ioprio_get", "ioprio_set", "kill",
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lgetxattr", "link", "linkat",
    "listen", "listxattr", "listxattrat", "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "madvise",
    "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod",
    "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mprotect", "mq_getsetattr", "mq_notify", "mq_open",
    "mq_timedreceive", "mq_timedsend", "mq_unlink", "mremap", "mseal", "msgctl", "msgget", "msgrcv", "msgsnd",
    "msync", "munlock", "munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "open", "openat",
    "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free",
    "pkey_mprotect", "poll", "ppoll", "prctl", "pread64", "preadv", "preadv2", "prlimit64", "process_mrelease",
    "pselect6", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "recvfrom",
    "recvmmsg", "recvmsg", "remap_file_pages", "removexattr", "removexattrat", "rename", "renameat", "renameat2",
    "restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo",
    "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    "sched_yield", "seccomp", "select", "semctl", "semget", "semop", "semtimedop", "sendfile", "sendmmsg", "sendmsg",
    "sendto", "set_robust_list", "set_thread_area", "set_tid_address", "setfsgid", "setfsuid", "setgid", "setgroups",
    "setitimer", "setpgid", "setpriority", "setregid", "setresgid", "setresuid", "setreuid", "setrlimit", "setsid",
    "setsockopt", "setuid", "setxattr", "setxattrat", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack",
    "signalfd", "signalfd4", "socketpair", "splice", "stat", "statfs", "statx", "symlink", "symlinkat", "sync",
    "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime",
    "times", "tkill", "truncate", "umask", "uname", "unlink", "unlinkat", "utime", "utimensat", "utimes", "vfork",
    "vmsplice", "wait4", "waitid", "write", "writev",];

/// Allowed to everyone, of one architecture only.
const ALLOWED_HERE: &[&str] = if cfg!(target_arch = "x86_64") { &["arch_prctl", "modify_ldt"] } else { &[] };

/// Allowed to everyone since Linux 4.8, before which they led around filters.
const TRACING: &[&str] = &["process_vm_readv", "process_vm_writev", "ptrace"];

/// Allowed to who holds a capability.
const BY_CAPABILITY: &[(CapabilitySet, &[&str])] = &[
    (CapabilitySet::DAC_READ_SEARCH, &["open_by_handle_at"]),
    (
        CapabilitySet::SYS_ADMIN,
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount2",
            "unshare",
        ],
    ),
    (CapabilitySet::SYS_BOOT, &["reboot"]),
    (CapabilitySet::SYS_CHROOT, &["chroot"]),
    (CapabilitySet::SYS_MODULE, &["delete_module", "finit_module", "init_module"]),
    (CapabilitySet::SYS_PACCT, &["acct"]),
    (CapabilitySet::SYS_PTRACE, &["kcmp", "pidfd_getfd", "process_madvise"]),
    (CapabilitySet::SYS_RAWIO, &["ioperm", "iopl"]),
    (CapabilitySet::SYS_TIME, &["clock_settime", "settimeofday"]),
    (CapabilitySet::SYS_TTY_CONFIG, &["vhangup"]),
    (CapabilitySet::SYS_NICE, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    (CapabilitySet::SYSLOG, &["syslog"]),
    (CapabilitySet::BPF, &["bpf"]),
    (CapabilitySet::PERFMON, &["perf_event_open"]),
];

/// The rules for a container that holds these capabilities at most. What they do not name is not permitted.
pub(super) fn rules(capabilities: CapabilitySet) -> Vec<Rule> {
    let mut rules = vec![allow(ALLOWED, vec![]), allow(ALLOWED_HERE, vec![]), allow(TRACING, vec![])];
    rules.push(allow(&["socket"], vec![test(Comparison::NotEqual, AF_VSOCK)]));
    rules.extend(PERSONALITIES.map(|value| allow(&["personality"], vec![test(Comparison::Equal, value)])));
    for (capability, names) in BY_CAPABILITY {
        if capabilities.contains(*capability) {
            rules.push(allow(names, vec![]));
        }
    }
    if !capabilities.contains(CapabilitySet::SYS_ADMIN) {
        let makes_none = ArgumentTest { index: 0, comparison: Comparison::MaskedEqual(NEW_NAMESPACES), value: 0 };
        rules.push(allow(&["clone"], vec![makes_none]));
        rules.push(Rule { action: Action::errno(libc::ENOSYS), ..allow(&["clone3"], vec![]) });
    }
    rules
}

fn allow(names: &[&str], tests: Vec<ArgumentTest>) -> Rule {
    Rule { names: names.iter().map(|&name| name.to_owned()).collect(), action: Action::ALLOW, tests }
}

fn test(comparison: Comparison, value: u64) -> ArgumentTest {
    ArgumentTest { index: 0, comparison, value }
}
