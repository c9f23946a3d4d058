//! `swarmd service` on a host without systemd.

use std::process::Output;

use model::{
    BOOTSTRAP_FORMAT, Bootstrap, ErrorKind, GossipKey, Host as BootstrapHost, InstallRequest, LeaseTerms, OnLapse,
    Role, Secret, ServiceRefusal, ServiceReport, Supervision,
};

use crate::host::{BOOT, Host};
use crate::wait::{PATIENCE, eventually};

/// All that an installation might leave.
///
/// Mounts below `/tmp` are other tests' of this machine, which the host came with; the kernel takes them away with theirs.
const SNAPSHOT: &str = "
    find /run /var/lib /var/log /usr/local/bin /etc/cron.d /etc/init.d /etc/systemd/system | sort
    grep -v ' /tmp/' /proc/mounts
    ps -C swarmd -o stat=,args= | grep -v '^Z'";

/// The service on a host.
trait Service {
    fn install(&self, request: &InstallRequest) -> ServiceReport;
    fn refuses_to_install(&self, request: &InstallRequest) -> ServiceRefusal;
    fn service(&self, arguments: &[&str]) -> ServiceReport;
    fn pid_in(&self, file: &str) -> String;
    fn agents(&self) -> usize;
}

impl Service for Host {
    fn install(&self, request: &InstallRequest) -> ServiceReport {
        report(&self.uploaded(&["service", "install"], &serde_json::to_vec(request).unwrap()))
    }

    fn refuses_to_install(&self, request: &InstallRequest) -> ServiceRefusal {
        refusal(&self.uploaded(&["service", "install"], &serde_json::to_vec(request).unwrap()))
    }

    fn service(&self, arguments: &[&str]) -> ServiceReport {
        report(&self.run("/usr/local/bin/swarmd", &[&["service"], arguments].concat(), b""))
    }

    fn pid_in(&self, file: &str) -> String {
        self.shell(&format!("cut -d' ' -f1 /run/swarmd/{file}"))
    }

    fn agents(&self) -> usize {
        self.shell("ps -eo args | grep -c '^/usr/local/bin/swarmd run'").parse().unwrap()
    }
}

fn report(output: &Output) -> ServiceReport {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap()
}

fn refusal(output: &Output) -> ServiceRefusal {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn request(mark: &str) -> InstallRequest {
    InstallRequest {
        mark: mark.into(),
        cluster_name: "lab".into(),
        hostname: "node-1".into(),
        unit: None,
        labels: std::collections::BTreeMap::new(),
        bootstrap: None,
        lease: None,
    }
}

/// A file for a host of this name and address; what is in it is of no use.
fn bootstrap(hostname: &str, address: &str) -> Bootstrap {
    Bootstrap {
        format: BOOTSTRAP_FORMAT,
        nonce: "once".into(),
        host: BootstrapHost { hostname: hostname.into(), advertise_addr: format!("{address}:2377").parse().unwrap() },
        cluster_id: "0000000000000000000000001".parse().unwrap(),
        node_id: "0000000000000000000000002".parse().unwrap(),
        role: Role::Worker,
        certificate: String::new(),
        key: Secret::new(""),
        roots: Vec::new(),
        gossip_key: GossipKey { id: 1, key: Secret::new("") },
        roster: Vec::new(),
        seed: None,
    }
}

#[test]
fn an_uploaded_agent_puts_itself_in_place_and_serves() {
    let host = Host::new();

    let report = host.install(&request("k3v9"));

    assert_eq!(report.supervision, Supervision::Supervisor);
    assert!(report.is_running);
    assert_eq!(report.starts_at_boot, None);
    assert_eq!(host.shell("stat -c %a /usr/local/bin/swarmd /var/lib/swarmd /run/swarmd"), "755\n700\n700");
}

#[test]
fn installing_twice_leaves_the_agent_alone() {
    let host = Host::new();
    host.install(&request("k3v9"));
    let agent = host.pid_in("agent.pid");

    host.install(&request("k3v9"));

    assert_eq!(host.pid_in("agent.pid"), agent);
}

#[test]
fn an_agent_that_is_killed_comes_back() {
    let host = Host::new();
    host.install(&request("k3v9"));
    let agent = host.pid_in("agent.pid");

    host.shell(&format!("kill -KILL {agent}"));

    eventually(|| host.pid_in("agent.pid") != agent && host.service(&["status"]).is_running);
}

#[test]
fn the_agent_of_a_killed_supervisor_lives_on_until_both_are_replaced() {
    let host = Host::new();
    host.install(&request("k3v9"));
    let agent = host.pid_in("agent.pid");

    host.shell(&format!("kill -KILL {}", host.pid_in("supervisor.pid")));

    assert!(host.service(&["status"]).is_running);
    assert!(host.service(&["start"]).is_running);
    assert_ne!(host.pid_in("agent.pid"), agent);
    assert_eq!(host.agents(), 1);
}

#[test]
fn a_stopped_agent_stays_down_until_it_is_started() {
    let host = Host::new();
    host.install(&request("k3v9"));

    assert!(!host.service(&["stop"]).is_running);
    assert_eq!(host.agents(), 0);
    assert!(host.service(&["start"]).is_running);
}

#[test]
fn removal_leaves_the_host_as_it_was() {
    let host = Host::new();
    let before = host.shell(SNAPSHOT);
    host.install(&request("k3v9"));
    assert_ne!(host.shell(SNAPSHOT), before);

    host.service(&["remove", "--mark", "k3v9"]);

    assert_eq!(host.shell(SNAPSHOT), before);
}

#[test]
fn a_host_that_stays_is_as_it_was_once_nobody_renews_the_lease() {
    let host = Host::new();
    let before = host.shell(SNAPSHOT);
    let lease = LeaseTerms { seconds: 1, on_lapse: OnLapse::RemoveAgent };
    host.install(&InstallRequest { lease: Some(lease), ..request("k3v9") });
    assert_ne!(host.shell(SNAPSHOT), before);

    host.shell("swarmd api POST /swarm/lease </dev/null");

    eventually(|| host.shell(SNAPSHOT) == before);
}

#[test]
fn a_machine_says_farewell_and_powers_off_once_nobody_renews_the_lease() {
    let host = Host::booted_by(&BOOT.replace("set -e\n", "set -e; mount -t tmpfs tmpfs /usr/local/sbin\n"));
    let said = tempfile::tempdir().unwrap();
    let said = said.path().join("said");
    let farewell = format!("#!/bin/sh\necho goodbye >{}\nexit 1\n", said.display());
    host.run(
        "sh",
        &["-c", "cat >/usr/local/sbin/swarmup-end; chmod 700 /usr/local/sbin/swarmup-end"],
        farewell.as_bytes(),
    );
    let lease = LeaseTerms { seconds: 1, on_lapse: OnLapse::EndMachine };
    host.install(&InstallRequest { lease: Some(lease), ..request("k3v9") });

    host.shell("swarmd api POST /swarm/lease </dev/null");

    let handle = host.process.open().unwrap().unwrap();
    assert!(handle.wait(PATIENCE).unwrap(), "the machine does not power off");
    assert_eq!(std::fs::read_to_string(said).unwrap(), "goodbye\n");
}

#[test]
fn removal_may_be_repeated() {
    let host = Host::new();
    host.install(&request("k3v9"));
    host.service(&["remove", "--mark", "k3v9"]);
    let before = host.shell(SNAPSHOT);

    report(&host.uploaded(&["service", "remove", "--mark", "k3v9"], b""));

    assert_eq!(host.shell(SNAPSHOT), before);
}

#[test]
fn a_host_of_another_cluster_is_left_alone() {
    let host = Host::new();
    host.install(&request("k3v9"));
    let before = host.shell(SNAPSHOT);

    let installing = host.refuses_to_install(&request("other"));
    let removing = refusal(&host.uploaded(&["service", "remove", "--mark", "other"], b""));

    assert_eq!(installing.error, "the host belongs to the cluster `lab` already (mark k3v9)");
    assert_eq!(removing.error, installing.error);
    assert_eq!(host.shell(SNAPSHOT), before);
}

#[test]
fn state_that_nobody_installed_is_left_alone() {
    let host = Host::new();
    host.shell("mkdir /var/lib/swarmd; echo precious > /var/lib/swarmd/node.json");

    let refusal = host.refuses_to_install(&request("k3v9"));
    report(&host.uploaded(&["service", "remove", "--mark", "k3v9"], b""));

    assert_eq!(refusal.kind, ErrorKind::AlreadyExists);
    assert_eq!(host.shell("cat /var/lib/swarmd/node.json"), "precious");
}

/// Another build of the agent, at a place of the host's.
fn another_build(host: &Host, place: &str) -> String {
    host.shell(&format!("cp /usr/local/bin/swarmd {place}; printf x >> {place}; sha256sum {place} | cut -d' ' -f1"))
}

#[test]
fn an_agent_that_lies_beside_takes_over() {
    let host = Host::new();
    host.install(&request("k3v9"));
    let (agent, before) = (host.pid_in("agent.pid"), host.service(&["status"]).running_sha256);
    let digest = another_build(&host, "/usr/local/bin/swarmd.next");

    let body = serde_json::to_vec(&request("k3v9")).unwrap();
    let taken_over = report(&host.run("/usr/local/bin/swarmd.next", &["service", "install"], &body));

    assert!(taken_over.is_running);
    assert_ne!(host.pid_in("agent.pid"), agent);
    assert_ne!(before, Some(digest.clone()));
    assert_eq!(host.service(&["status"]).running_sha256, Some(digest));
    assert_eq!(host.shell("ls /usr/local/bin"), "swarmd");
}

#[test]
fn where_the_agent_that_lies_beside_does_not_come_up_the_one_before_serves_again() {
    let host = Host::new();
    host.install(&request("k3v9"));
    let before = host.service(&["status"]).running_sha256;
    // It does not know the option by which keepers of before tell it where to log.
    host.shell("cd /usr/local/bin; sed 's/log-dir/log-dyr/g' swarmd > swarmd.next; chmod 755 swarmd.next");

    let body = serde_json::to_vec(&request("k3v9")).unwrap();
    let refusal = refusal(&host.run("/usr/local/bin/swarmd.next", &["service", "install"], &body));

    assert!(refusal.error.contains("the one before serves again"), "{}", refusal.error);
    let report = host.service(&["status"]);
    assert!(report.is_running && report.running_sha256 == before, "{report:?}");
    assert_eq!(host.shell("ls /usr/local/bin"), "swarmd");
}

#[test]
fn an_agent_that_was_put_in_place_and_not_started_is_started_by_the_next_installation() {
    let host = Host::new();
    host.install(&request("k3v9"));
    let before = host.service(&["status"]).running_sha256.unwrap();
    let digest = another_build(&host, "/run/swarmd.other");
    host.shell("mv /run/swarmd.other /usr/local/bin/.new; mv /usr/local/bin/.new /usr/local/bin/swarmd");
    assert_eq!(host.service(&["status"]).running_sha256, Some(before));

    let body = serde_json::to_vec(&request("k3v9")).unwrap();
    report(&host.run("/usr/local/bin/swarmd", &["service", "install"], &body));

    assert_eq!(host.service(&["status"]).running_sha256, Some(digest));
}

#[test]
fn an_agent_that_lies_beside_goes_with_the_rest() {
    let host = Host::new();
    let before = host.shell(SNAPSHOT);
    host.install(&request("k3v9"));
    another_build(&host, "/usr/local/bin/swarmd.next");

    host.service(&["remove", "--mark", "k3v9"]);

    assert_eq!(host.shell(SNAPSHOT), before);
}

#[test]
fn a_mark_that_cannot_be_read_is_kept_as_it_is() {
    let host = Host::new();
    host.shell("mkdir /var/lib/swarmd; printf '{\"mark\":' > /var/lib/swarmd/installation.json");

    let refusal = host.refuses_to_install(&request("k3v9"));

    assert!(refusal.hint.unwrap().contains("may belong to another cluster"));
    assert_eq!(host.shell("cat /var/lib/swarmd/installation.json"), "{\"mark\":");
}

#[test]
fn a_port_that_is_taken_is_refused_with_its_holder() {
    let host = Host::new();
    host.shell(
        "python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((\"\", 7946))
open(\"/run/bound\", \"w\").close()
time.sleep(60)' >/dev/null 2>&1 &
        until [ -e /run/bound ]; do :; done",
    );
    let before = host.shell(SNAPSHOT);

    let refusal = host.refuses_to_install(&request("k3v9"));

    let pid = host.shell("ps -eo pid,args | awk '/import socket/ && !/awk/ {print $1; exit}'");
    assert_eq!(refusal.error, format!("port 7946/udp is taken by `python3` (pid {pid})"));
    assert_eq!(host.shell(SNAPSHOT), before);
}

#[test]
fn a_bootstrap_file_for_another_host_changes_nothing() {
    let host = Host::new();
    let before = host.shell(SNAPSHOT);

    for foreign in [bootstrap("node-2", "127.0.0.1"), bootstrap("node-1", "192.0.2.7")] {
        let refusal = host.refuses_to_install(&InstallRequest { bootstrap: Some(foreign), ..request("k3v9") });

        assert_eq!(refusal.kind, ErrorKind::InvalidArgument);
    }

    assert_eq!(host.shell(SNAPSHOT), before);
}

#[test]
fn keys_stay_in_memory_where_the_run_folder_is_on_a_disk() {
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let bind = format!("mount --bind {} /run; hostname", disk.path().display());
    let host = Host::booted_by(&BOOT.replace(" /run;", ";").replace("hostname", &bind));
    let file_system = "stat -f -c %T /run/swarmd";

    host.install(&request("k3v9"));
    let installed = host.shell(file_system);
    host.service(&["remove", "--mark", "k3v9"]);

    assert_eq!(installed, "tmpfs");
    assert_eq!(host.shell("ls -d /run/swarmd 2>/dev/null; grep -c ' /run/swarmd ' /proc/mounts"), "0");
}

#[test]
fn a_cron_that_runs_starts_the_agent_at_boot() {
    let host = Host::new();
    host.shell("cp \"$(command -v sleep)\" /run/cron && (/run/cron 60 >/dev/null 2>&1 &)");

    let installed = host.install(&request("k3v9"));
    let table = host.shell("cat /etc/cron.d/swarmd");
    host.service(&["remove", "--mark", "k3v9"]);

    assert_eq!(installed.starts_at_boot.as_deref(), Some("cron"));
    assert!(table.contains("@reboot root /usr/local/bin/swarmd service start"));
    assert_eq!(host.shell("ls /etc/cron.d"), "");
}
