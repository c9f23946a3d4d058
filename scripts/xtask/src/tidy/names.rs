//! Names that say nothing, names that the house gives another meaning, and the fixed top level.

use super::Complaint;
use super::source::Source;

/// The top level; `target` and what git ignores do not count.
const TOP_LEVEL: [&str; 23] = [
    ".cargo",
    ".ci",
    ".config",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "build.rs",
    "clippy.toml",
    "deny.toml",
    "drivers",
    "orchestrator",
    "rustfmt.toml",
    "scripts",
    "src",
    "swarmup.yaml",
    "templates",
    "tests",
];
/// Names for odds and ends: what lies there has no home.
const ODDS_AND_ENDS: [&str; 8] = ["util", "utils", "utility", "common", "helper", "helpers", "misc", "stuff"];

/// What others have published, under names of theirs.
const PUBLISHED: [&str; 1] = ["tests/fake-azure/oracle/schemas/"];

/// Types that are a manager of the swarm, rather than manage something.
const IN_THE_ROLE: [&str; 3] = ["NodeManager", "RunningManager", "TestManager"];

/// Holds the rules about names against the tree.
pub(super) fn check(sources: &[Source]) -> Vec<Complaint> {
    sources.iter().flat_map(|source| path_complaint(&source.path).into_iter().chain(type_complaints(source))).collect()
}

fn path_complaint(path: &str) -> Option<Complaint> {
    let mut parts = path.split('/');
    let top = parts.next().unwrap_or_default();
    if !TOP_LEVEL.contains(&top) {
        return Some(Complaint::of_file(path, format!("the top level is fixed, and `{top}` is not part of it")));
    }
    if PUBLISHED.iter().any(|folder| path.starts_with(folder)) {
        return None;
    }
    for part in path.split('/') {
        let name = part.split('.').next().unwrap_or_default().to_lowercase().replace('-', "_");
        if ODDS_AND_ENDS.contains(&name.as_str()) || name.ends_with("_utils") || name.ends_with("_helpers") {
            return Some(Complaint::of_file(path, format!("`{part}` is a place for odds and ends; find its home")));
        }
        if part == "mod.rs" {
            return Some(Complaint::of_file(path, "a module with children is `name.rs` beside the folder `name`"));
        }
    }
    None
}

fn type_complaints(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (number, line) in source.code_lines() {
        // The `Error` of a trait that others have written is not ours to name.
        let is_associated = line.starts_with(' ') && line.trim_start().starts_with("type ");
        let Some(name) = declared_type(line).filter(|_| !is_associated) else { continue };
        if name == "Error" {
            complaints.push(Complaint::of_line(
                &source.path,
                number,
                "an error is named for what failed, never `Error`",
            ));
        }
        if name != "Manager" && name.ends_with("Manager") && !IN_THE_ROLE.contains(&name) {
            let what = format!("`{name}`: a manager is a role of a node, never a suffix");
            complaints.push(Complaint::of_line(&source.path, number, what));
        }
    }
    complaints
}

/// The name of the type that a line declares.
fn declared_type(line: &str) -> Option<&str> {
    let mut words =
        line.split(|character: char| !character.is_alphanumeric() && character != '_').filter(|word| !word.is_empty());
    words.find(|word| matches!(*word, "struct" | "enum" | "trait" | "type" | "union"))?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_path(path: &str, is_fine: bool) {
        assert_eq!(path_complaint(path).is_none(), is_fine, "{path}");
    }

    fn check_type(line: &str, complaints: usize) {
        let source = Source::new("src/x.rs", line.to_owned());

        assert_eq!(type_complaints(&source).len(), complaints, "{line}");
    }

    #[test]
    fn places_for_odds_and_ends_are_refused() {
        check_path("src/utils.rs", false);
        check_path("drivers/common/src/lib.rs", false);
        check_path("src/plan.rs", true);
        check_path("tests/fake-azure/oracle/schemas/common/definitions.json", true);
    }

    #[test]
    fn the_top_level_is_fixed() {
        check_path("notes.txt", false);
        check_path("README.md", true);
    }

    #[test]
    fn modules_with_children_are_files_of_their_name() {
        check_path("src/cli/mod.rs", false);
    }

    #[test]
    fn no_type_is_called_error() {
        check_type("pub enum Error {", 1);
        check_type("pub enum DriverError {", 0);
        check_type("type Error = DriverError;", 1);
        check_type("    type Error = Infallible;", 0);
    }

    #[test]
    fn manager_is_no_suffix() {
        check_type("pub struct KeyManager;", 1);
        check_type("pub struct Manager;", 0);
    }
}
