//! The shape of files: how long they are, how they begin, and that nothing in them is unfinished.

use anyhow::Context as _;

use super::Complaint;
use super::source::Source;

/// Longer than this only with a reason in [`EXCEPTIONS_FILE`].
const SOFT_LIMIT: usize = 400;
/// Never longer than this.
const HARD_LIMIT: usize = 600;
/// How long ARCHITECTURE.md may be.
const ARCHITECTURE_LIMIT: usize = 200;
/// The files that may be longer than [`SOFT_LIMIT`], a line each: path, then the reason.
const EXCEPTIONS_FILE: &str = "scripts/xtask/long-files.txt";
/// Words that mark unfinished work. Written in two halves, or this file would complain of itself.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// Holds the rules about shape against the tree.
pub(super) fn check(sources: &[Source]) -> anyhow::Result<Vec<Complaint>> {
    let exceptions = sources.iter().find(|source| source.path == EXCEPTIONS_FILE).map_or("", |source| &source.text);
    let exceptions = read_exceptions(exceptions)?;
    let mut complaints = Vec::new();
    for source in sources {
        complaints.extend(length_complaint(source, &exceptions));
        complaints.extend(opening_complaint(source));
        complaints.extend(unfinished_complaints(source));
    }
    for (path, _) in &exceptions {
        let needs_none =
            sources.iter().find(|source| source.path == *path).is_none_or(|source| length(source) <= SOFT_LIMIT);
        if needs_none {
            complaints.push(Complaint::of_file(EXCEPTIONS_FILE, format!("`{path}` needs no exception")));
        }
    }
    Ok(complaints)
}

fn read_exceptions(text: &str) -> anyhow::Result<Vec<(&str, &str)>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').with_context(|| format!("{EXCEPTIONS_FILE}: `{line}` gives no reason")))
        .collect()
}

fn length(source: &Source) -> usize {
    source.text.lines().count()
}

fn length_complaint(source: &Source, exceptions: &[(&str, &str)]) -> Option<Complaint> {
    let length = length(source);
    if source.path == "ARCHITECTURE.md" && length > ARCHITECTURE_LIMIT {
        return Some(Complaint::of_file(
            &source.path,
            format!("{length} lines; nobody reads more than {ARCHITECTURE_LIMIT}"),
        ));
    }
    if !source.is_rust() || length <= SOFT_LIMIT {
        return None;
    }
    if length > HARD_LIMIT {
        return Some(Complaint::of_file(
            &source.path,
            format!("{length} lines are more than one concept needs ({HARD_LIMIT})"),
        ));
    }
    let is_excepted = exceptions.iter().any(|(path, _)| *path == source.path);
    (!is_excepted).then(|| {
        Complaint::of_file(&source.path, format!("{length} lines: divide it, or give a reason in {EXCEPTIONS_FILE}"))
    })
}

fn opening_complaint(source: &Source) -> Option<Complaint> {
    let is_opened = !source.is_rust() || source.text.starts_with("//! ");
    (!is_opened).then(|| Complaint::of_line(&source.path, 1, "a file opens with `//!` and what it is for"))
}

fn unfinished_complaints(source: &Source) -> Vec<Complaint> {
    let marks = |line: &str| UNFINISHED.iter().find(|mark| line.contains(**mark)).copied();
    let is_text = source.is_rust() || source.is_in(&["scripts", "templates", ".ci"]);
    let lines = source.text.lines().enumerate().filter(|_| is_text);
    lines
        .filter_map(|(index, line)| {
            let mark = marks(line)?;
            Some(Complaint::of_line(&source.path, index + 1, format!("{mark}: finish it, or leave it out")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: usize) -> Source {
        Source::new("src/plan.rs", "//! Plans.\n".repeat(lines))
    }

    #[test]
    fn a_long_file_needs_a_reason() {
        assert!(length_complaint(&file(400), &[]).is_none());
        assert!(length_complaint(&file(401), &[]).is_some());
        assert!(length_complaint(&file(401), &[("src/plan.rs", "one table")]).is_none());
    }

    #[test]
    fn no_reason_excuses_a_very_long_file() {
        assert!(length_complaint(&file(601), &[("src/plan.rs", "one table")]).is_some());
    }

    #[test]
    fn an_exception_that_nobody_needs_is_refused() {
        let exceptions = Source::new(EXCEPTIONS_FILE, "src/plan.rs one table\n".to_owned());

        let complaints = check(&[file(10), exceptions]).unwrap();

        assert_eq!(complaints, [Complaint::of_file(EXCEPTIONS_FILE, "`src/plan.rs` needs no exception")]);
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        assert!(opening_complaint(&Source::new("src/a.rs", "use std::fs;\n".to_owned())).is_some());
        assert!(opening_complaint(&Source::new("src/a.rs", "//! Plans.\n".to_owned())).is_none());
    }

    #[test]
    fn unfinished_work_is_noticed() {
        let line = format!("//! Plans.\n// {}: think\n", UNFINISHED[0]);

        assert_eq!(unfinished_complaints(&Source::new("src/a.rs", line))[0].line, Some(2));
    }
}
