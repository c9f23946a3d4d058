//! `swarmup` is killed at the boundary of every phase: the same command then finishes, or `destroy` removes everything.

use std::time::Instant;

use serde_json::Value;
use tests::isolated;

use crate::cluster::Cluster;
use crate::workstation::{Workstation, count_machines};
use tests::run::PATIENCE;

/// A boundary: what the journal says once it is reached.
struct Boundary {
    what: &'static str,
    is_reached: fn(&Value) -> bool,
}

/// Every phase that changes the size of a swarm; the new machine is number 6.
const SCALE_BOUNDARIES: [Boundary; 5] = [
    Boundary { what: "nothing has changed", is_reached: |_| true },
    Boundary { what: "the wish is written down", is_reached: |journal| stage(journal) == "formed" },
    Boundary {
        what: "the new agent is being installed",
        is_reached: |journal| journal["machines"]["6"]["step"] == "installing",
    },
    Boundary { what: "the new node has joined", is_reached: |journal| journal["machines"]["6"]["step"] == "joined" },
    Boundary { what: "the others are gone", is_reached: |journal| machines(journal).count() == 4 },
];

/// What the workstation shows of a cluster on its way down.
type Sight = fn(&Workstation) -> bool;

/// Every phase that takes a cluster down, by what is left.
const DESTROY_BOUNDARIES: [(&str, Sight); 5] = [
    ("nothing has changed", |_| true),
    ("the wish is written down", |workstation| {
        workstation.journal("lab").is_none_or(|journal| stage(&journal) == "destroying")
    }),
    ("a machine is gone", |_| count_machines() < 5),
    ("all machines are gone", |_| count_machines() == 0),
    ("the journal is gone", |workstation| workstation.journal("lab").is_none()),
];

/// Every phase, in the order of the list that `create` walks.
const BOUNDARIES: [Boundary; 7] = [
    Boundary { what: "nothing exists yet", is_reached: |_| true },
    Boundary { what: "the network is intended", is_reached: |journal| journal["network"] != "absent" },
    Boundary { what: "the network exists", is_reached: |journal| journal["network"]["exists"].is_object() },
    Boundary {
        what: "machines are intended",
        is_reached: |journal| machines(journal).any(|machine| machine["step"] == "creating"),
    },
    Boundary {
        what: "agents are being installed",
        is_reached: |journal| machines(journal).any(|machine| machine["step"] == "installing"),
    },
    Boundary { what: "the swarm is formed", is_reached: |journal| ["formed", "ready"].contains(&stage(journal)) },
    Boundary { what: "the swarm is ready", is_reached: |journal| stage(journal) == "ready" },
];

fn machines(journal: &Value) -> impl Iterator<Item = &Value> {
    journal["machines"].as_object().into_iter().flat_map(|machines| machines.values())
}

fn stage(journal: &Value) -> &str {
    journal["stage"].as_str().unwrap()
}

/// Kills a command as soon as something is so.
fn kill_when(workstation: &Workstation, command: &str, what: &str, is_reached: impl Fn() -> bool) {
    let mut command = workstation.start(command);
    let deadline = Instant::now() + PATIENCE;
    while !is_reached() {
        assert!(Instant::now() < deadline, "it never came to be: {what}");
        std::thread::yield_now();
    }
    command.kill().unwrap();
    command.wait().unwrap();
}

/// Kills a command as soon as the journal shows the boundary.
fn kill_at(workstation: &Workstation, command: &str, boundary: &Boundary) {
    let is_reached = || workstation.journal("lab").is_some_and(|journal| (boundary.is_reached)(&journal));
    kill_when(workstation, command, boundary.what, is_reached);
}

/// Kills a `create` as soon as its journal shows the boundary.
fn create_and_kill_at(workstation: &Workstation, boundary: &Boundary) {
    kill_at(workstation, "create lab", boundary);
    workstation.note("lab");
}

#[test]
fn a_create_killed_at_any_phase_is_finished_by_the_next() {
    isolated("interrupted::a_create_killed_at_any_phase_is_finished_by_the_next", || {
        let workstation = Workstation::new();
        for boundary in &BOUNDARIES {
            create_and_kill_at(&workstation, boundary);

            let lab: Cluster<'_> = workstation.create("lab");

            lab.wait_until_well("node-1", 3, 2);
            let names: Vec<_> = lab.nodes().into_iter().map(|node| node.hostname).collect();
            assert_eq!(names, ["node-1", "node-2", "node-3", "node-4", "node-5"], "killed when {}", boundary.what);
            assert!(!lab.client_file("identity.json").exists(), "killed when {}", boundary.what);
            lab.destroy();
        }
    });
}

#[test]
fn a_create_killed_at_any_phase_is_removed_by_destroy() {
    isolated("interrupted::a_create_killed_at_any_phase_is_removed_by_destroy", || {
        let workstation = Workstation::new();
        let before = workstation.snapshot();
        for boundary in &BOUNDARIES {
            create_and_kill_at(&workstation, boundary);

            workstation.swarmup("destroy lab --yes").answer();

            let changes = before.changes(&workstation.snapshot());
            assert_eq!(changes, Vec::<String>::new(), "killed when {}", boundary.what);
            assert!(!workstation.cluster_folder("lab").exists(), "killed when {}", boundary.what);
        }
    });
}

#[test]
fn a_scale_killed_at_any_phase_is_finished_by_the_next() {
    isolated("interrupted::a_scale_killed_at_any_phase_is_finished_by_the_next", || {
        const SCALE: &str = "scale lab --managers 1 --workers 3";
        let workstation = Workstation::new();
        let before = workstation.snapshot();
        for boundary in &SCALE_BOUNDARIES {
            workstation.create("lab");
            kill_at(&workstation, SCALE, boundary);

            workstation.swarmup(SCALE).answer();

            let lab = Cluster::new(&workstation, "lab");
            lab.wait_until_well("node-1", 1, 3);
            let names: Vec<_> = lab.nodes().into_iter().map(|node| node.hostname).collect();
            assert_eq!(names, ["node-1", "node-4", "node-5", "node-6"], "killed when {}", boundary.what);
            lab.destroy();
            assert_eq!(before.changes(&workstation.snapshot()), Vec::<String>::new(), "killed when {}", boundary.what);
        }
    });
}

#[test]
fn a_destroy_killed_at_any_phase_is_finished_by_the_next() {
    isolated("interrupted::a_destroy_killed_at_any_phase_is_finished_by_the_next", || {
        let workstation = Workstation::new();
        let before = workstation.snapshot();
        for (what, is_reached) in DESTROY_BOUNDARIES {
            workstation.create("lab");
            kill_when(&workstation, "destroy lab --yes", what, || is_reached(&workstation));

            // Where the journal is gone the cluster was before.
            if workstation.journal("lab").is_some() {
                workstation.swarmup("destroy lab --yes").answer();
            }

            let changes = before.changes(&workstation.snapshot());
            assert_eq!(changes, Vec::<String>::new(), "killed when {what}");
            // A lock alone says nothing of a cluster.
            let left = std::fs::read_dir(workstation.cluster_folder("lab")).into_iter().flatten().flatten();
            assert!(left.into_iter().all(|entry| entry.file_name() == "lock"), "killed when {what}");
        }
    });
}
