//! `swarmup` is killed at the boundary of every phase: `create` then finishes, or `destroy` then removes everything.

use std::time::Instant;

use serde_json::Value;
use tests::isolated;

use crate::cluster::Cluster;
use crate::run::PATIENCE;
use crate::workstation::Workstation;

/// A boundary: what the journal says once it is reached.
struct Boundary {
    what: &'static str,
    is_reached: fn(&Value) -> bool,
}

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

/// Kills a `create` as soon as its journal shows the boundary.
fn create_and_kill_at(workstation: &Workstation, boundary: &Boundary) {
    let mut create = workstation.start("create lab");
    let deadline = Instant::now() + PATIENCE;
    while !workstation.journal("lab").is_some_and(|journal| (boundary.is_reached)(&journal)) {
        assert!(Instant::now() < deadline, "it never came to be: {}", boundary.what);
        std::thread::yield_now();
    }
    create.kill().unwrap();
    create.wait().unwrap();
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
