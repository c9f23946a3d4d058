//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy holds. Runs as a test too.
//!
//! | rule | where |
//! |---|---|
//! | a crate uses only what is on a floor below it | [`floors`] |
//! | names that say nothing, `mod.rs`, the fixed top level | [`names`] |
//! | length of files, opening line, marks of unfinished work | [`shape`] |
//! | unsafe code, printing, templates, platforms, channels: each in its place only | [`places`] |

mod floors;
mod names;
mod places;
mod shape;
mod source;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use source::Source;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Complaint {
    /// The file, from the root of the workspace.
    path: String,
    /// The line, where it is one line's fault.
    line: Option<usize>,
    /// What is wrong.
    what: String,
}

impl Complaint {
    fn of_file(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, what: what.into() }
    }

    fn of_line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), what: what.into() }
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path, self.what),
            None => write!(formatter, "{}: {}", self.path, self.what),
        }
    }
}

/// Holds every rule against the tree; says how much it has read, or all that is wrong.
pub(crate) fn tidy(workspace: &Path) -> anyhow::Result<String> {
    let sources = read_tree(workspace)?;
    let mut complaints = floors::check(workspace)?;
    complaints.extend(names::check(&sources));
    complaints.extend(shape::check(&sources)?);
    complaints.extend(places::check(&sources));
    if complaints.is_empty() {
        return Ok(format!("tidy: {} files keep the rules", sources.len()));
    }
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    bail!("{} rules are broken\n{}", lines.len(), lines.join("\n"))
}

/// Every file that git keeps or would keep.
fn read_tree(workspace: &Path) -> anyhow::Result<Vec<Source>> {
    let output = Command::new("git")
        .current_dir(workspace)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("failed to run git")?;
    ensure!(output.status.success(), "git cannot list the files of `{}`", workspace.display());
    let names = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    let mut sources = Vec::new();
    for name in names.split_terminator('\0') {
        // A file that has been removed but not from the index yet is no file.
        match fs::read(workspace.join(name)) {
            Ok(bytes) => sources.push(Source::new(name, String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("failed to read `{name}`")),
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_keeps_the_rules_of_the_house() {
        if let Err(error) = tidy(crate::workspace()) {
            panic!("{error}");
        }
    }
}
