//! Containers under control groups of both versions at once, as older distributions have them: version 1 holds the limits.

use std::collections::BTreeMap;

use crate::containers::{SERVICE, eventually};
use crate::kernel::processes;
use crate::operator::Operator;

/// Has systemd mount both versions.
pub(crate) const KERNEL_OPTIONS: &str = "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0";

/// The groups of a process, by controller, as folders.
struct Groups<'a> {
    operator: &'a Operator<'a>,
    folders: BTreeMap<String, String>,
}

impl<'a> Groups<'a> {
    /// Those of the process that a shell line names, if there is one and it is in groups of its node's.
    fn of(operator: &'a Operator<'a>, process: &str) -> Option<Self> {
        let text = operator.guest().run(&format!("cat /proc/$({process})/cgroup")).ok()?;
        let mut folders = BTreeMap::new();
        for line in text.lines() {
            let (_, line) = line.split_once(':')?;
            let (controllers, path) = line.split_once(':')?;
            for controller in controllers.split(',') {
                folders.insert(controller.to_owned(), format!("/sys/fs/cgroup/{controllers}{path}"));
            }
        }
        folders.get("memory")?.contains("/swarmup/").then_some(Self { operator, folders })
    }

    fn read(&self, controller: &str, file: &str) -> String {
        let path = format!("{}/{file}", self.folders[controller]);
        self.operator.guest().run(&format!("cat {path}")).unwrap().trim_end().to_owned()
    }
}

/// Memory, processors and processes are limited as the service says, by the kernel's own account.
pub(crate) fn limits_are_in_force(operator: &Operator<'_>) {
    let limits = "--limit-memory 32m --limit-cpu 0.25 --limit-pids 20";
    let program = "'(while :; do /bin/busybox sleep 600 & done) 2>/dev/null; while :; do :; done'";
    operator.docker(&format!("{SERVICE} --name held {limits} app:1 /bin/busybox sh -c {program}")).unwrap();

    let groups = eventually("the container runs in groups of its node's", || {
        Groups::of(operator, "pgrep -of '^/bin/busybox sh -c'")
    });

    assert_eq!(groups.read("memory", "memory.limit_in_bytes"), "33554432");
    assert_eq!(groups.read("pids", "pids.max"), "20");
    assert_eq!([groups.read("cpu", "cpu.cfs_quota_us"), groups.read("cpu", "cpu.cfs_period_us")], ["25000", "100000"]);
    eventually("processes beyond the limit were refused", || {
        (!groups.read("pids", "pids.events").contains("max 0")).then_some(())
    });
    eventually("its processor time has run out", || {
        (!groups.read("cpu", "cpu.stat").contains("nr_throttled 0")).then_some(())
    });
    operator.docker("service rm held").unwrap();
    let left = format!("test -e {} && echo there || echo gone", groups.folders["memory"]);
    eventually("its groups are gone", || (operator.guest().run(&left).unwrap().trim_end() == "gone").then_some(()));
}

/// A container that is paused stands still, all of it, and goes on where it was.
pub(crate) fn a_pause_stops_all_processes(operator: &Operator<'_>) {
    let program = "'busybox sh -c \"while :; do :; done\" & while :; do :; done'";
    operator.docker(&format!("run -d --name busy --network none app:1 /bin/busybox sh -c {program}")).unwrap();
    let process = operator.docker("inspect --format {{.State.Pid}} busy").unwrap();
    let groups = Groups::of(operator, &format!("echo {process}")).unwrap();
    let used = || groups.read("cpuacct", "cpuacct.usage");

    operator.docker("pause busy").unwrap();
    let (state, first, again) = (groups.read("freezer", "freezer.state"), used(), used());
    operator.docker("unpause busy").unwrap();

    assert_eq!((state.as_str(), &first), ("FROZEN", &again));
    eventually("it goes on", || (used() != first).then_some(()));
    operator.docker("rm -f busy").unwrap();
}

/// An agent that starts again has the containers of the one before.
pub(crate) fn a_restart_costs_no_container(operator: &Operator<'_>, swarm: &str) {
    let before = processes(operator).expect("both run since before");

    operator.guest().run("systemctl restart swarmd").unwrap();

    operator.wait_until_swarm_is(swarm);
    assert_eq!(eventually("both run on", || processes(operator)), before);
}
