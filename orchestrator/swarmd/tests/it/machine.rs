//! `swarmd init` as the driver `local` uses it: a real PID 1 in namespaces of its own. Needs root.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use links::Process;
use links::gate::Gate;
use links::namespace::{inside, spawn_isolated};
use model::{InstallRequest, LeaseTerms, OnLapse, ServiceReport, Supervision};

use crate::wait::{PATIENCE, eventually};

/// A machine; ends with the test.
struct Machine {
    process: Process,
    child: Child,
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["root", "data"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("resolv.conf"), "nameserver 192.0.2.1\n").unwrap();
        let (process, child) = boot(folder.path());
        Self { process, child, folder }
    }

    /// Ends the machine and starts it again, with what it had kept.
    fn reboot(&mut self) {
        self.end();
        (self.process, self.child) = boot(self.folder.path());
    }

    fn end(&self) {
        if let Some(handle) = self.process.open().unwrap() {
            handle.terminate().unwrap();
            assert!(handle.wait(PATIENCE).unwrap(), "the machine does not end");
        }
    }

    /// Runs a command inside the machine.
    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Output {
        let file = self.folder.path().join("input");
        fs::write(&file, input).unwrap();
        let stdin = fs::File::open(&file).unwrap();
        inside(&self.process, || {
            Command::new(program).args(arguments).stdin(Stdio::from(stdin)).current_dir("/").output().unwrap()
        })
        .unwrap()
    }

    fn service(&self, arguments: &[&str], input: &[u8]) -> ServiceReport {
        let output = self.run("/usr/local/bin/swarmd", &[&["service"], arguments].concat(), input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn shell(&self, script: &str) -> String {
        String::from_utf8(self.run("sh", &["-c", script], b"").stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Ok(Some(handle)) = self.process.open() {
            let _ = handle.kill();
            let _ = handle.wait(PATIENCE);
        }
        // Collected above, or long before.
        let _ = self.child.wait();
    }
}

fn boot(folder: &Path) -> (Process, Child) {
    let (mut gate, stdin) = Gate::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarmd"));
    command.args(["init", "--hostname", "node-1"]).stdin(stdin);
    for (flag, name) in [("--root", "root"), ("--data", "data"), ("--resolv", "resolv.conf")] {
        command.arg(flag).arg(folder.join(name));
    }
    let child = spawn_isolated(command, Vec::new()).unwrap();
    let process = Process::of(child.id()).unwrap();
    gate.wait_ready(PATIENCE).unwrap();
    gate.open().unwrap();
    (process, child)
}

fn request() -> Vec<u8> {
    leased(None)
}

fn leased(lease: Option<LeaseTerms>) -> Vec<u8> {
    serde_json::to_vec(&InstallRequest {
        mark: "k3v9".into(),
        cluster_name: "lab".into(),
        hostname: "node-1".into(),
        unit: None,
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        bootstrap: None,
        lease,
    })
    .unwrap()
}

#[test]
fn an_agent_is_installed_and_serves() {
    let machine = Machine::new();

    let report = machine.service(&["install"], &request());

    assert_eq!(report.supervision, Supervision::Init);
    assert!(report.is_running);
    assert_eq!(report.mark.as_deref(), Some("k3v9"));
    assert_eq!(machine.shell("hostname"), "node-1");
}

#[test]
fn an_agent_that_is_killed_comes_back() {
    let machine = Machine::new();
    machine.service(&["install"], &request());
    let first = machine.shell("cut -d' ' -f1 /run/swarmd/agent.pid");

    machine.shell(&format!("kill -KILL {first}"));

    eventually(|| {
        let is_another = machine.shell("cut -d' ' -f1 /run/swarmd/agent.pid") != first;
        is_another && machine.service(&["status"], b"").is_running
    });
}

#[test]
fn an_installed_agent_starts_with_its_machine() {
    let mut machine = Machine::new();
    machine.service(&["install"], &request());

    machine.reboot();

    let report = machine.service(&["start"], b"");
    assert!(report.is_running);
    assert_eq!(report.starts_at_boot.as_deref(), Some("swarmd init"));
}

#[test]
fn orphans_that_end_are_collected() {
    let machine = Machine::new();
    machine.service(&["install"], &request());

    machine.shell("sh -c 'true & true & true &'");
    machine.service(&["restart"], b"");

    assert_eq!(machine.shell("grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null"), "");
}

#[test]
fn removal_leaves_nothing_of_the_agent() {
    let machine = Machine::new();
    machine.service(&["install"], &request());

    let report = machine.service(&["remove", "--mark", "k3v9"], b"");

    assert!(!report.is_running);
    assert_eq!(report.mark, None);
    assert_eq!(machine.shell("ls /var/lib/swarmd /var/log/swarmd 2>/dev/null"), "");
}

#[test]
fn an_agent_that_lies_beside_takes_over_and_the_machine_runs_on() {
    let machine = Machine::new();
    machine.service(&["install"], &request());
    let digest = machine.shell(
        "cd /usr/local/bin; cp -L swarmd swarmd.next; printf x >> swarmd.next; sha256sum < swarmd.next | cut -d' ' -f1",
    );

    let output = machine.run("/usr/local/bin/swarmd.next", &["service", "install"], &request());

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(machine.service(&["status"], b"").running_sha256, Some(digest));
    assert!(machine.process.is_alive().unwrap());
}

#[test]
fn another_clusters_removal_is_refused() {
    let machine = Machine::new();
    machine.service(&["install"], &request());

    let output = machine.run("/usr/local/bin/swarmd", &["service", "remove", "--mark", "other"], b"");

    assert_eq!(output.status.code(), Some(1));
    assert!(machine.service(&["status"], b"").is_running);
}

#[test]
fn a_machine_ends_once_nobody_renews_its_lease_and_not_before() {
    let machine = Machine::new();
    machine.service(&["install"], &leased(Some(LeaseTerms { seconds: 3, on_lapse: OnLapse::EndMachine })));

    let last = Instant::now();
    assert_eq!(machine.shell("swarmd api POST /swarm/lease </dev/null"), r#"{"SecondsLeft":3.0}"#);

    let handle = machine.process.open().unwrap().unwrap();
    assert!(handle.wait(PATIENCE).unwrap(), "the machine does not end");
    assert!(last.elapsed() >= Duration::from_secs(3), "{:?}", last.elapsed());
}
