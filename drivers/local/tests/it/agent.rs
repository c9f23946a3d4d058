//! The driver with the real agent as the first process of its machines.
//!
//! The agent is `SWARMUP_TEST_AGENT`, or the one beside these tests: `cargo build -p swarmd` puts it there.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use driver::conformance::{self, Bench};
use driver::{Instance, Silent};
use links::namespace;
use tests::{HostSnapshot, isolated};

use crate::workstation::{Workstation, process, run, tear_down};

/// How long an idle machine may take to shut down; one that ignores SIGTERM takes ten seconds.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

fn agent() -> PathBuf {
    let beside = || std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("swarmd");
    let agent = std::env::var_os("SWARMUP_TEST_AGENT").map_or_else(beside, PathBuf::from);
    assert!(agent.exists(), "there is no agent at {}: run `cargo build -p swarmd`", agent.display());
    agent
}

/// Runs a script inside a machine and returns what it printed.
fn sh(machine: &Instance, script: &str) -> String {
    let output = namespace::inside(&process(machine), || Command::new("/bin/sh").args(["-ec", script]).output());
    let output = output.unwrap().unwrap();
    assert!(output.status.success(), "`{script}` failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn the_local_driver_keeps_the_contract_with_the_real_agent() {
    isolated("agent::the_local_driver_keeps_the_contract_with_the_real_agent", || {
        run(conformance::run(&Workstation::with_agent(agent())));
    });
}

#[test]
fn a_machine_is_a_host_of_its_own() {
    isolated("agent::a_machine_is_a_host_of_its_own", || {
        let workstation = Workstation::with_agent(agent());
        let driver = workstation.driver();
        let request = workstation.cluster("lab");

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            let machines = driver.create(&network, &workstation.machines(&request, 2), &Silent).await.unwrap();
            let machine = &machines[1];

            assert_eq!(sh(machine, "cat /proc/sys/kernel/hostname /etc/hostname"), "node-2\nnode-2");
            assert_eq!(sh(machine, "readlink /proc/1/exe | grep -c swarmd"), "1");
            assert_eq!(
                sh(machine, "test -d /proc/self && ls -d /proc/[0-9]* | wc -l | xargs test 6 -gt && echo few"),
                "few"
            );
            assert_eq!(sh(machine, "/usr/local/bin/swarmd version >/dev/null && echo runs"), "runs");
            assert_eq!(sh(machine, "touch /usr/mine 2>/dev/null || echo read-only"), "read-only");
            assert_eq!(sh(machine, "ls -d /work /root/.cargo 2>/dev/null || echo hidden"), "hidden");
            assert_eq!(sh(machine, "echo x >/etc/mine; echo x >/run/mine; echo x >/tmp/mine; echo own"), "own");
            assert_eq!(sh(machine, "head -c 4 /dev/urandom | wc -c; ls /dev/pts/ptmx"), "4\n/dev/pts/ptmx");
            assert_eq!(sh(machine, "ls /sys/class/net"), "eth0\nlo");
            assert_eq!(
                sh(machine, "test -s /etc/resolv.conf && ! grep -q 127.0.0 /etc/resolv.conf && echo good"),
                "good"
            );
            assert_eq!(sh(&machines[0], "ls /etc/mine /run/mine /tmp/mine 2>/dev/null || echo none"), "none");
            tear_down(&*driver, &request).await;
        });
    });
}

#[test]
fn a_machine_keeps_its_var_while_it_is_stopped() {
    isolated("agent::a_machine_keeps_its_var_while_it_is_stopped", || {
        let workstation = Workstation::with_agent(agent());
        let driver = workstation.driver();
        let request = workstation.cluster("lab");

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            let before = driver.create(&network, &workstation.machines(&request, 1), &Silent).await.unwrap();
            sh(&before[0], "echo raft >/var/lib/kept; echo gone >/run/lost");
            let ids = [before[0].id.clone()];
            let begin = Instant::now();

            driver.stop(&ids).await.unwrap();
            let shutdown = begin.elapsed();
            let after = driver.start(&ids).await.unwrap();

            assert!(shutdown < SHUTDOWN_LIMIT, "the agent does not end on SIGTERM: {shutdown:?}");
            assert_eq!(sh(&after[0], "cat /var/lib/kept; ls /run/lost 2>/dev/null || echo lost"), "raft\nlost");
            tear_down(&*driver, &request).await;
        });
    });
}

#[test]
fn a_machine_starts_with_the_agent_that_was_set_for_it() {
    isolated("agent::a_machine_starts_with_the_agent_that_was_set_for_it", || {
        let workstation = Workstation::with_agent(agent());
        let driver = workstation.driver();
        let request = workstation.cluster("lab");
        let other = tempfile::tempdir().unwrap();
        let other = other.path().join("swarmd");
        std::fs::copy(agent(), &other).unwrap();
        std::fs::OpenOptions::new().append(true).open(&other).unwrap().write_all(b"another build").unwrap();
        let digest = "sha256sum </usr/local/bin/swarmd";

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            let machines = driver.create(&network, &workstation.machines(&request, 2), &Silent).await.unwrap();
            let ids: Vec<_> = machines.iter().map(|machine| machine.id.clone()).collect();
            let before = sh(&machines[0], digest);

            driver.set_agent(&ids[0], &other).await.unwrap();
            driver.set_agent(&ids[0], &other).await.unwrap();
            let meanwhile = sh(&machines[0], digest);
            driver.stop(&ids).await.unwrap();
            let after = driver.start(&ids).await.unwrap();

            assert_eq!((&meanwhile, &sh(&after[1], digest)), (&before, &before));
            assert_ne!(sh(&after[0], digest), before);
            tear_down(&*driver, &request).await;
        });
    });
}

#[test]
fn machines_with_the_real_agent_leave_nothing_behind() {
    isolated("agent::machines_with_the_real_agent_leave_nothing_behind", || {
        let workstation = Workstation::with_agent(agent());
        let driver = workstation.driver();
        let request = workstation.cluster("lab");
        let is_others = |item: &str| item.starts_with("cgroup") && !item.contains(&request.id.0);
        let before = HostSnapshot::take().unwrap().without(is_others);

        run(async {
            let network = driver.ensure_network(&request).await.unwrap();
            let machines = driver.create(&network, &workstation.machines(&request, 5), &Silent).await.unwrap();
            sh(&machines[0], "sleep 100000 >/dev/null 2>&1 &");
            driver.stop(&[machines[1].id.clone()]).await.unwrap();
            tear_down(&*driver, &request).await;
        });

        let after = HostSnapshot::take().unwrap().without(is_others);
        assert_eq!(before.changes(&after), Vec::<String>::new());
    });
}

/// Not a limit, but what the benchmark counts on: shown with `--no-capture`.
#[test]
fn five_machines_are_made_and_removed_at_once() {
    isolated("agent::five_machines_are_made_and_removed_at_once", || {
        let workstation = Workstation::with_agent(agent());
        let driver = workstation.driver();
        let request = workstation.cluster("lab");

        run(async {
            let begin = Instant::now();
            let network = driver.ensure_network(&request).await.unwrap();
            let network_made = begin.elapsed();
            let machines = driver.create(&network, &workstation.machines(&request, 5), &Silent).await.unwrap();
            let created = begin.elapsed();
            let ids: Vec<_> = machines.iter().map(|machine| machine.id.clone()).collect();
            driver.destroy(&ids).await.unwrap();
            let destroyed = begin.elapsed();
            driver.remove_network(&request.id).await.unwrap();
            let removed = begin.elapsed();

            assert_eq!(driver.find(None).await.unwrap(), []);
            let after = [network_made, created, destroyed, removed];
            writeln!(std::io::stderr(), "network, created, destroyed, removed after {after:?}").unwrap();
        });
    });
}
