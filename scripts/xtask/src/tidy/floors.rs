//! Dependencies point down: a crate uses only what is on a floor below its own, in its own column.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::Complaint;

/// Which of the two programs a crate belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// To both.
    Shared,
    /// To the workstation's.
    Workstation,
    /// To the node's.
    Node,
    /// To neither: tools and tests.
    Development,
}

use Column::{Development, Node, Shared, Workstation};

/// The floors, as ARCHITECTURE.md draws them.
const FLOORS: [(&str, Column, u8); 32] = [
    ("model", Shared, 0),
    ("ca", Shared, 1),
    ("links", Shared, 1),
    ("driver", Workstation, 2),
    ("reach", Workstation, 3),
    ("local", Workstation, 4),
    ("generic", Workstation, 4),
    ("fake", Workstation, 4),
    ("aws", Workstation, 4),
    ("azure", Workstation, 4),
    ("gcp", Workstation, 4),
    ("swarmup", Workstation, 5),
    ("rpc", Node, 2),
    ("raft", Node, 3),
    ("gossip", Node, 3),
    ("store", Node, 4),
    ("engine", Node, 4),
    ("manager", Node, 5),
    ("agent", Node, 5),
    ("node", Node, 6),
    ("engine-api", Node, 7),
    ("swarmd", Node, 8),
    ("xtask", Development, 0),
    ("tests", Development, 9),
    ("fake-azure", Development, 8),
    ("fake-gcp", Development, 8),
    ("sim", Development, 9),
    ("network", Node, 3),
    ("resolver", Node, 3),
    ("runtime", Node, 3),
    ("image", Node, 3),
    ("compose", Workstation, 2),
];

/// What a floor would allow, and the house does not: a driver knows its provider only, and the machines of no other
/// driver than `generic` are given, so that they must be reached to be made.
const EXCEPTIONS: [(&str, &str, &str); 11] = [
    ("local", "reach", "its machines are namespaces, not hosts to log in to"),
    ("fake", "reach", "its machines are in memory"),
    ("generic", "links", "its machines are other computers"),
    ("fake", "links", "its machines are in memory"),
    ("aws", "reach", "its machines are reached once they exist, by others"),
    ("aws", "links", "its machines are other computers"),
    ("azure", "reach", "its machines are reached once they exist, by others"),
    ("azure", "links", "its machines are other computers"),
    ("gcp", "reach", "its machines are reached once they exist, by others"),
    ("gcp", "links", "its machines are other computers"),
    ("swarmup", "links", "what it does to the kernel it does through a driver"),
];

/// What `cargo metadata` says of the workspace.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// One crate of it.
#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

/// One line of its manifest.
#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// Absent for what the program itself uses; `dev` and `build` otherwise.
    kind: Option<String>,
    /// Where a crate of the workspace lies.
    path: Option<String>,
}

/// Holds the floors against the manifests.
pub(super) fn check(workspace: &Path) -> anyhow::Result<Vec<Complaint>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .context("failed to run cargo")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata is not as expected")?;
    Ok(complaints(&metadata))
}

fn complaints(metadata: &Metadata) -> Vec<Complaint> {
    let mut seen = BTreeSet::new();
    let mut complaints = Vec::new();
    for package in &metadata.packages {
        if floor_of(&package.name).is_none() {
            let what =
                format!("`{}` stands on no floor; give it one in scripts/xtask/src/tidy/floors.rs", package.name);
            complaints.push(Complaint::of_file(&package.manifest_path, what));
        }
        for dependency in &package.dependencies {
            // Tests may use a neighbor, and build scripts use none of ours.
            if dependency.path.is_none() || dependency.kind.is_some() || !seen.insert((&package.name, &dependency.name))
            {
                continue;
            }
            if let Some(what) = complaint(&package.name, &dependency.name) {
                complaints.push(Complaint::of_file(&package.manifest_path, what));
            }
        }
    }
    complaints
}

fn floor_of(name: &str) -> Option<(Column, u8)> {
    FLOORS.iter().find(|(known, _, _)| *known == name).map(|(_, column, floor)| (*column, *floor))
}

/// Why one crate may not use another; `None` where it may.
fn complaint(above: &str, below: &str) -> Option<String> {
    let (column, floor) = floor_of(above)?;
    let Some((column_below, floor_below)) = floor_of(below) else {
        return Some(format!("`{above}` uses `{below}`, which stands on no floor"));
    };
    if let Some((_, _, reason)) = EXCEPTIONS.iter().find(|(one, other, _)| (*one, *other) == (above, below)) {
        return Some(format!("`{above}` uses `{below}`: {reason}"));
    }
    let is_in_reach = column == Development || column_below == Shared || column_below == column;
    if !is_in_reach {
        return Some(format!("`{above}` uses `{below}`, which belongs to the other program"));
    }
    if floor_below >= floor {
        return Some(format!(
            "`{above}` (floor {floor}) uses `{below}` (floor {floor_below}): dependencies point down"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(above: &str, below: &str, is_allowed: bool) {
        let complaint = complaint(above, below);

        assert_eq!(complaint.is_none(), is_allowed, "{above} uses {below}: {complaint:?}");
    }

    #[test]
    fn a_crate_uses_what_is_below_it() {
        check("manager", "store", true);
        check("store", "manager", false);
    }

    #[test]
    fn neighbors_on_a_floor_are_strangers() {
        check("manager", "agent", false);
        check("local", "fake", false);
    }

    #[test]
    fn the_workstation_never_links_what_runs_on_nodes() {
        check("swarmup", "manager", false);
        check("swarmup", "ca", true);
        check("swarmd", "driver", false);
    }

    #[test]
    fn only_a_driver_of_given_machines_logs_in_to_them() {
        check("generic", "reach", true);
        check("local", "reach", false);
        check("local", "links", true);
    }

    #[test]
    fn a_crate_without_a_floor_is_noticed() {
        let metadata = Metadata {
            packages: vec![Package {
                name: "odds-and-ends".into(),
                manifest_path: "odds-and-ends/Cargo.toml".into(),
                dependencies: Vec::new(),
            }],
        };

        assert!(complaints(&metadata)[0].what.contains("stands on no floor"));
    }
}
