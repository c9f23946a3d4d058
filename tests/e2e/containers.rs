//! Containers under control groups of version 2: their limits are in force, and what comes of reaching them is told.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::operator::Operator;

/// How long a container may take to come to what is expected of it, in a guest that is emulated.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// What every service of these has in common.
pub(crate) const SERVICE: &str = "service create -d --no-resolve-image --network host --stop-grace-period 0s";

/// Gives the node an image that holds busybox alone.
pub(crate) fn import(operator: &Operator<'_>) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("bin")).unwrap();
    fs::copy("/usr/bin/busybox", folder.path().join("bin/busybox")).unwrap();
    let image = tempfile::NamedTempFile::new().unwrap();
    let packed = Command::new("tar").arg("-C").arg(folder.path()).arg("-cf").arg(image.path()).arg("bin").status();
    assert!(packed.unwrap().success());
    operator.docker(&format!("import {} app:1", image.path().display())).unwrap();
}

/// Memory, processors and processes are limited as the service says, by the kernel's own account.
pub(crate) fn limits_are_in_force(operator: &Operator<'_>) {
    let limits = "--limit-memory 32m --limit-cpu 0.25 --limit-pids 20";
    let program = "'(while :; do /bin/busybox sleep 600 & done) 2>/dev/null; while :; do :; done'";
    operator.docker(&format!("{SERVICE} --name held {limits} app:1 /bin/busybox sh -c {program}")).unwrap();

    let folder = eventually("the container runs in a group of its node's", || {
        let line = "cat /proc/$(pgrep -of '^/bin/busybox sh -c')/cgroup";
        let group = operator.guest().run(line).ok()?;
        let group = group.trim_end().strip_prefix("0::")?.to_owned();
        group.starts_with("/swarmup/").then(|| format!("/sys/fs/cgroup{group}"))
    });
    let read = |file: &str| operator.guest().run(&format!("cat {folder}/{file}")).unwrap().trim_end().to_owned();

    assert_eq!([read("memory.max"), read("pids.max"), read("cpu.max")], ["33554432", "20", "25000 100000"]);
    eventually("processes beyond the limit were refused", || (!read("pids.events").contains("max 0")).then_some(()));
    assert!((2..=20).contains(&read("pids.current").parse::<u32>().unwrap()));
    eventually("its processor time has run out", || (!read("cpu.stat").contains("nr_throttled 0")).then_some(()));
    operator.docker("service rm held").unwrap();
    let left = format!("test -e {folder} && echo there || echo gone");
    eventually("its group is gone", || (operator.guest().run(&left).unwrap().trim_end() == "gone").then_some(()));
}

/// A container whose memory runs out is ended, and both its task and the node say so.
pub(crate) fn a_lack_of_memory_is_told(operator: &Operator<'_>) {
    let options = "--name greedy --limit-memory 16m --restart-condition none";
    operator.docker(&format!("{SERVICE} {options} app:1 /bin/busybox tail /dev/zero")).unwrap();

    eventually("the task has failed with the status of one that was killed", || {
        let tasks = operator.docker("service ps greedy --no-trunc --format '{{.CurrentState}}|{{.Error}}'").unwrap();
        (tasks.starts_with("Failed") && tasks.contains("(137): out of memory")).then_some(())
    });
    operator.docker("service rm greedy").unwrap();
}

/// An agent of another build takes over under systemd, and the container is the same process before and after.
pub(crate) fn an_upgrade_costs_no_container(operator: &Operator<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let next = folder.path().join("swarmd");
    fs::copy(tests::agent().unwrap(), &next).unwrap();
    fs::OpenOptions::new().append(true).open(&next).unwrap().write_all(b"another build").unwrap();
    operator.docker(&format!("{SERVICE} --name kept app:1 /bin/busybox sleep 100000")).unwrap();
    let look = || {
        let found = operator.guest().run("pgrep -f '^/bin/busybox sleep 100000'").ok()?;
        let shown = operator.docker("service ls --filter name=kept --format {{.Replicas}}").ok()?;
        (shown == "1/1").then_some(found)
    };
    let (program, agent) = (eventually("the container runs", look), operator.unit("MainPID"));

    operator.swarmup(&format!("upgrade vm --agent {}", next.display()));

    assert_ne!(operator.unit("MainPID"), agent);
    let running = format!("tail -c 13 /proc/{}/exe", operator.unit("MainPID"));
    assert_eq!(operator.guest().run(&running).unwrap(), "another build");
    assert_eq!(eventually("the container runs on", look), program);
    operator.docker("service rm kept").unwrap();
    let left = "pgrep -f '^/bin/busybox sleep 100000' || echo gone";
    eventually("it can be ended", || (operator.guest().run(left).unwrap().trim_end() == "gone").then_some(()));
}

/// The folder of a container's control group, as its own process tells it.
#[track_caller]
pub(crate) fn group_of(operator: &Operator<'_>, container: &str) -> String {
    let process = operator.docker(&format!("inspect --format {{{{.State.Pid}}}} {container}")).unwrap();
    let group = operator.guest().run(&format!("cat /proc/{process}/cgroup")).unwrap();
    let group = group.trim_end().strip_prefix("0::").unwrap_or_else(|| panic!("not of version 2 alone: {group}"));
    assert!(group.starts_with("/swarmup/"), "{group}");
    format!("/sys/fs/cgroup{group}")
}

/// Looks until something is there.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came to be: {what}");
        std::thread::park_timeout(PAUSE);
    }
}
