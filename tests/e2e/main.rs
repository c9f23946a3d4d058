//! A swarm on a real machine: a Debian guest with systemd, under QEMU, whose control groups are of version 2 or of both.
//!
//! Runs where `SWARMUP_E2E=qemu` is set, and takes minutes. `scripts/vm-image` builds the guest's image at the first run.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod containers;
mod holdings;
mod hybrid;
mod kernel;
mod operator;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tests::Guest;
use tests::isolated::announce;

use crate::holdings::Holdings;
use crate::operator::Operator;

#[test]
fn a_guest_with_systemd_serves_through_kills_and_a_reboot_and_is_left_as_it_was() {
    let Some(guest) = timed("boot", || guest("e2e", "")) else { return };
    let before = Holdings::of(&guest);
    let operator = Operator::new(&guest);

    timed("create", || operator.create());
    operator.docker("node update --label-add kept=yes node-1").unwrap();
    let swarm = operator.swarm();
    let during = Holdings::of(&guest);

    assert_eq!(
        operator.docker("node ls --format {{.Hostname}}/{{.Status}}/{{.ManagerStatus}}").unwrap(),
        "node-1/Ready/Leader"
    );
    assert_eq!(operator.docker("info --format {{.CgroupVersion}}").unwrap(), "2");
    the_unit_runs_the_agent_in_a_group_of_its_own(&operator);
    timed("import", || containers::import(&operator));
    timed("limits", || containers::limits_are_in_force(&operator));
    timed("lack of memory of a task", || containers::a_lack_of_memory_is_told(&operator));
    timed("lack of memory of a container", || kernel::a_lack_of_memory_is_told_of_any_container(&operator));
    timed("devices", || kernel::devices_are_those_that_were_given(&operator));
    timed("pause", || kernel::a_pause_stops_all_processes(&operator));
    timed("use", || kernel::use_is_told(&operator));
    timed("what lasts", || kernel::lasting(&operator));
    timed("upgrade", || containers::an_upgrade_costs_no_container(&operator));
    timed("restart", || a_restart_changes_nothing(&operator, &swarm));
    timed("kill", || an_agent_that_is_killed_comes_back(&operator, &swarm));
    timed("reboot", || {
        guest.reboot().unwrap();
        operator.wait_until_swarm_is(&swarm);
        the_unit_runs_the_agent_in_a_group_of_its_own(&operator);
        kernel::it_lasts_beyond_a_reboot(&operator);
    });
    timed("stop and start", || a_node_that_is_stopped_stays_down_until_it_is_started(&operator, &swarm));
    timed("destroy", || operator.swarmup("destroy vm --yes"));
    let appeared = before.changes(&during);
    for expected in [
        "+ process swarmd",
        "+ unit swarmd.service running",
        "+ cgroup /sys/fs/cgroup/system.slice/swarmd.service/agent",
    ] {
        assert!(appeared.iter().any(|change| change == expected), "`{expected}` is not in {appeared:#?}");
    }
    assert_eq!(before.changes(&Holdings::of(&guest)), Vec::<String>::new());
}

#[test]
fn a_guest_with_both_versions_of_control_groups_limits_containers_and_is_left_as_it_was() {
    let Some(guest) = timed("boot", || guest("hybrid", hybrid::KERNEL_OPTIONS)) else { return };
    let before = Holdings::of(&guest);
    let operator = Operator::new(&guest);

    timed("create", || operator.create());
    operator.docker("node update --label-add kept=yes node-1").unwrap();
    let swarm = operator.swarm();

    assert_eq!(operator.docker("info --format {{.CgroupVersion}}").unwrap(), "1");
    timed("import", || containers::import(&operator));
    timed("limits", || hybrid::limits_are_in_force(&operator));
    timed("lack of memory", || kernel::a_lack_of_memory_is_told_of_any_container(&operator));
    timed("devices", || kernel::devices_are_those_that_were_given(&operator));
    timed("pause", || hybrid::a_pause_stops_all_processes(&operator));
    timed("what lasts", || kernel::lasting(&operator));
    timed("restart", || hybrid::a_restart_costs_no_container(&operator, &swarm));
    timed("destroy", || operator.swarmup("destroy vm --yes"));
    assert_eq!(before.changes(&Holdings::of(&guest)), Vec::<String>::new());
}

/// Does something, and tells how long it took.
fn timed<T>(what: &str, step: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let outcome = step();
    announce(&format!("{what}: {:.1} s", begun.elapsed().as_secs_f64()));
    outcome
}

/// A guest, where the tests are to run on one.
fn guest(name: &str, kernel_options: &str) -> Option<Guest> {
    if std::env::var_os("SWARMUP_E2E").is_none_or(|wanted| wanted != "qemu") {
        announce("skipped: set SWARMUP_E2E=qemu");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let image = root.join("target/vm");
    let built = Command::new(root.join("scripts/vm-image")).arg(&image).output().unwrap();
    assert!(built.status.success(), "no image: {}", String::from_utf8_lossy(&built.stderr));
    let guest = Guest::boot(name, &image, kernel_options).unwrap();
    // Whatever fails in this boot is the image's; what matters is that nothing starts any more.
    guest.run("systemctl is-system-running --wait || true").unwrap();
    Some(guest)
}

fn the_unit_runs_the_agent_in_a_group_of_its_own(operator: &Operator<'_>) {
    let settings = ["ActiveState", "UnitFileState", "Type", "KillMode", "Delegate"].map(|name| operator.unit(name));
    let group = operator.guest().run(&format!("cat /proc/{}/cgroup", operator.unit("MainPID"))).unwrap();

    assert_eq!(settings, ["active", "enabled", "notify", "process", "yes"]);
    assert_eq!(group.trim_end(), "0::/system.slice/swarmd.service/agent");
}

fn a_restart_changes_nothing(operator: &Operator<'_>, swarm: &str) {
    let agent = operator.unit("MainPID");
    let lasting = kernel::processes(operator).expect("both run since before");

    operator.guest().run("systemctl restart swarmd").unwrap();

    assert_ne!(operator.unit("MainPID"), agent);
    operator.wait_until_swarm_is(swarm);
    assert_eq!(containers::eventually("both run on", || kernel::processes(operator)), lasting);
}

fn an_agent_that_is_killed_comes_back(operator: &Operator<'_>, swarm: &str) {
    let agent = operator.unit("MainPID");
    let lasting = kernel::processes(operator).expect("both run since before");

    operator.guest().run(&format!("kill -KILL {agent}")).unwrap();

    operator.wait_until_swarm_is(swarm);
    assert_eq!(containers::eventually("both run on", || kernel::processes(operator)), lasting);
    assert_ne!(operator.unit("MainPID"), agent);
    assert_eq!(operator.unit("NRestarts"), "1");
    the_unit_runs_the_agent_in_a_group_of_its_own(operator);
}

fn a_node_that_is_stopped_stays_down_until_it_is_started(operator: &Operator<'_>, swarm: &str) {
    operator.swarmup("node stop -c vm node-1");

    assert_eq!(operator.unit("ActiveState"), "inactive");
    operator.docker("node ls").unwrap_err();

    operator.swarmup("node start -c vm node-1");

    operator.wait_until_swarm_is(swarm);
}
