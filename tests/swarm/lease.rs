//! `create --reap-with`: a cluster goes with the process that it was made for, however that ends.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use tests::processes::running;
use tests::run::{Run, eventually, limited};
use tests::{HostSnapshot, isolated};

use crate::cluster::Cluster;
use crate::workstation::Workstation;

/// How long the nodes wait for word of the process.
const LENGTH: Duration = Duration::from_secs(10);

/// The process that a cluster goes with; it ends with the test.
struct Owner(Child);

impl Owner {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    /// What names it in `swarmup create`.
    fn flags(&self) -> String {
        format!("--reap-with {} --reap-after {}s", self.0.id(), LENGTH.as_secs())
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn machines() -> usize {
    running(&["swarmd", "init"]).len()
}

/// What a node has left by somebody's word; nothing before the first.
fn seconds_left(lab: &Cluster<'_>, node: &str) -> Option<f64> {
    let mut command = limited(LENGTH, "curl");
    command.args(["--silent", "--fail", "--unix-socket"]).arg(lab.file(node, "/run/swarmd/swarmd.sock"));
    let answer = Run::of(command.arg("http://node/swarm/lease")).answer();
    serde_json::from_str::<serde_json::Value>(&answer).unwrap()["SecondsLeft"].as_f64()
}

/// Waits until nothing of the cluster is left, nor of the one that held its lease: it ends after the cluster.
#[track_caller]
fn wait_until_gone(workstation: &Workstation, before: &HostSnapshot) {
    eventually("the cluster is gone, and its holder", || {
        let is_gone = !workstation.cluster_folder("lab").exists() && before.changes(&workstation.snapshot()).is_empty();
        is_gone.then_some(())
    });
}

#[test]
fn a_cluster_goes_when_its_process_has_ended_and_not_before() {
    isolated("lease::a_cluster_goes_when_its_process_has_ended_and_not_before", || {
        let workstation = Workstation::new();
        let before = workstation.snapshot();
        let mut owner = Owner::new();
        let created = workstation.swarmup(&format!("create lab --managers 3 --workers 1 {}", owner.flags()));
        assert!(created.stderr.contains(&format!("It goes with process {}", owner.0.id())), "{created}");
        created.answer();
        let lab = Cluster::new(&workstation, "lab");

        for node in ["node-1", "node-2", "node-3", "node-4"] {
            eventually(&format!("{node} has heard of the lease"), || seconds_left(&lab, node));
        }
        // From here on each of them would end by itself within one length.
        let held = Instant::now();
        while held.elapsed() < 2 * LENGTH {
            assert_eq!(machines(), 4, "after {:?}", held.elapsed());
            std::thread::park_timeout(Duration::from_secs(1));
        }
        lab.wait_until_well("node-1", 3, 1);
        owner.end();

        wait_until_gone(&workstation, &before);
    });
}

#[test]
fn nodes_end_themselves_once_the_workstation_is_gone() {
    isolated("lease::nodes_end_themselves_once_the_workstation_is_gone", || {
        let workstation = Workstation::new();
        let before = workstation.snapshot();
        let mut owner = Owner::new();
        let lab = workstation.create(&format!("lab --managers 3 --workers 1 {}", owner.flags()));
        let leader = lab.wait_until_well("node-1", 3, 1);
        let [holder] = running(&["swarmup", "hold", "lab"])[..] else { panic!("there is one holder") };
        // Of the lease's last word every node knows by the heartbeat that follows it.
        let renewed = "The lease is renewed";
        eventually("the lease was renewed", || {
            let log = std::fs::read_to_string(workstation.cluster_folder("lab").join("holder.log")).unwrap();
            log.contains(renewed).then_some(())
        });

        kill_process(holder, Signal::KILL).unwrap();
        owner.end();
        let gone = Instant::now();
        // Another leads, and the one that was killed comes back: neither begins it anew.
        lab.signal(&leader, Signal::KILL);

        eventually("all machines have ended", || (machines() == 0).then_some(()));
        let lasted = gone.elapsed();
        assert!(lasted + Duration::from_secs(2) >= LENGTH && lasted < 2 * LENGTH, "they lasted {lasted:?}");
        workstation.swarmup("destroy lab --yes").answer();
        assert_eq!(before.changes(&workstation.snapshot()), Vec::<String>::new());
    });
}

#[test]
fn a_half_made_cluster_goes_with_its_process_too() {
    isolated("lease::a_half_made_cluster_goes_with_its_process_too", || {
        let workstation = Workstation::new();
        let before = workstation.snapshot();
        let mut owner = Owner::new();
        let mut create = workstation.start(&format!("create lab {}", owner.flags()));
        eventually("machines are being made", || (machines() > 0).then_some(()));
        workstation.note("lab");

        create.kill().unwrap();
        create.wait().unwrap();
        owner.end();

        wait_until_gone(&workstation, &before);
    });
}

#[test]
fn a_cluster_can_be_handed_to_another_process() {
    isolated("lease::a_cluster_can_be_handed_to_another_process", || {
        let workstation = Workstation::new();
        let before = workstation.snapshot();
        let (mut first, mut second) = (Owner::new(), Owner::new());
        let lab = workstation.create(&format!("lab --managers 1 --workers 0 {}", first.flags()));

        workstation.swarmup(&format!("create lab --managers 1 --workers 0 {}", second.flags())).answer();
        first.end();

        let held = Instant::now();
        while held.elapsed() < LENGTH {
            assert_eq!(machines(), 1, "after {:?}", held.elapsed());
            std::thread::park_timeout(Duration::from_secs(1));
        }
        lab.wait_until_well("node-1", 1, 0);
        second.end();
        wait_until_gone(&workstation, &before);
    });
}
