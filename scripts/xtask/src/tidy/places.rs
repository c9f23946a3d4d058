//! What has its place, and may be nowhere else: unsafe code, printing, templates, platforms. And what has none.

use super::Complaint;
use super::source::Source;

/// A word that has its places.
struct Rule {
    /// What it looks like in code.
    words: &'static [&'static str],
    /// Where the rule holds; everywhere where it is empty.
    within: &'static [&'static str],
    /// Where the word may be nevertheless.
    places: &'static [&'static str],
    /// Whether the tests at the end of a file may use it.
    spares_tests: bool,
    /// What the reader is told.
    what: &'static str,
}

/// The rules. Words are looked for outside of comments and texts.
const RULES: [Rule; 8] = [
    Rule {
        words: &["unsafe"],
        within: &[],
        places: &[
            "orchestrator/links",
            "orchestrator/network",
            "orchestrator/runtime",
            "orchestrator/image",
            "orchestrator/swarmd/src/name_lookup.rs",
        ],
        spares_tests: false,
        what: "unsafe code belongs into links, network, runtime and image",
    },
    Rule {
        words: &["println!", "eprintln!", "print!", "eprint!", "stdout()", "stderr()"],
        within: &["src", "drivers", "orchestrator"],
        places: &[
            "src/output",
            "src/output.rs",
            "orchestrator/swarmd/src/answer.rs",
            // Hands a terminal's bytes through, which are neither answer nor progress.
            "drivers/reach/src/stdio.rs",
            "drivers/reach/src/stdio",
        ],
        spares_tests: true,
        what: "only output/ prints (in swarmd: answer.rs)",
    },
    Rule {
        words: &["include_str!", "include_dir!"],
        within: &["src", "drivers"],
        places: &[
            "src/template.rs",
            // No templates, but programs that machines run: a driver knows its provider's interface, and nobody else does.
            "drivers/azure/src/farewell.rs",
            "drivers/gcp/src/farewell.rs",
            "drivers/driver/src/program.rs",
        ],
        spares_tests: false,
        what: "only template.rs reads templates",
    },
    Rule {
        words: &[
            "cfg(unix",
            "cfg(windows",
            "cfg(target_os",
            "cfg(not(unix",
            "cfg(not(windows",
            "os::unix",
            "os::linux",
            "os::windows",
            "rustix::",
        ],
        within: &["src", "drivers"],
        places: &[
            "src/platform",
            "src/platform.rs",
            "drivers/local",
            // Owners and modes of what is kept on the workstation.
            "drivers/driver/src/keep.rs",
            "drivers/driver/src/keep",
            // The Linux-only half of reach, and the pairs of functions by which a file's mode and the key agent differ.
            "drivers/reach/src/stdio",
            "drivers/reach/src/stdio.rs",
            "drivers/reach/src/namespace.rs",
            "drivers/reach/src/dial.rs",
            "drivers/reach/src/copy.rs",
            "drivers/reach/src/lib.rs",
            "drivers/reach/src/ssh/login.rs",
        ],
        spares_tests: true,
        what: "what one platform has and another has not belongs into a module named platform",
    },
    Rule {
        words: &["unbounded_channel", "mpsc::unbounded", "std::sync::mpsc::channel", "UnboundedSender"],
        within: &[],
        places: &[],
        spares_tests: false,
        what: "every channel has a bound",
    },
    Rule {
        words: &["#[allow(", "#![allow("],
        within: &[],
        places: &[],
        spares_tests: false,
        what: "an exception is `#[expect(.., reason = \"..\")]`, which says when it is needed no more",
    },
    Rule {
        words: &["#[ignore"],
        within: &[],
        places: &[],
        spares_tests: false,
        what: "a test that does not run guards nothing",
    },
    Rule {
        words: &["use anyhow", "anyhow::"],
        within: &["src", "drivers", "orchestrator"],
        places: &[
            "src/cli",
            "src/cli.rs",
            "src/main.rs",
            // Shows what cli/ hands it.
            "src/output/report.rs",
            "orchestrator/swarmd",
        ],
        spares_tests: true,
        what: "anyhow is for cli/ and the two programs; a library names what failed",
    },
];

/// Holds the rules about places against the tree.
pub(super) fn check(sources: &[Source]) -> Vec<Complaint> {
    sources
        .iter()
        // This file spells the words.
        .filter(|source| source.is_rust() && !source.is_in(&["scripts/xtask"]))
        .flat_map(|source| RULES.iter().flat_map(move |rule| complaints(source, rule)))
        .collect()
}

fn complaints(source: &Source, rule: &Rule) -> Vec<Complaint> {
    let holds = rule.within.is_empty() || source.is_in(rule.within);
    if !holds || source.is_in(rule.places) {
        return Vec::new();
    }
    source
        .code_lines()
        .take_while(|(_, line)| !(rule.spares_tests && is_test(&source.path, line)))
        .filter(|(_, line)| rule.words.iter().any(|word| contains_word(line, word)))
        .map(|(number, _)| Complaint::of_line(&source.path, number, rule.what))
        .collect()
}

/// Whether what begins at a line of a file is tests: all of the file, or what closes it.
fn is_test(path: &str, line: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || line.starts_with("#[cfg(test)]")
}

/// Whether a line holds a word, and not as the end or beginning of a longer one (`forbid(unsafe_code)`).
fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|one| one.is_alphanumeric() || one == '_');
    let goes_on = |left: &str, right: &str| is_part(left.chars().next_back()) && is_part(right.chars().next());
    line.match_indices(word).any(|(at, _)| !goes_on(&line[..at], word) && !goes_on(word, &line[at + word.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_code(path: &str, code: &str, expected: usize) {
        let source = Source::new(path, code.to_owned());

        assert_eq!(check(&[source]).len(), expected, "{path}: {code}");
    }

    #[test]
    fn unsafe_code_is_allowed_where_the_kernel_is_called() {
        check_code("orchestrator/links/src/link.rs", "unsafe { f() }", 0);
        check_code("orchestrator/store/src/lib.rs", "unsafe { f() }", 1);
        check_code("orchestrator/store/src/lib.rs", "#![forbid(unsafe_code)]", 0);
    }

    #[test]
    fn only_output_prints() {
        check_code("src/output/table.rs", "stdout().write_all(b)", 0);
        check_code("src/plan.rs", "println!()", 1);
        check_code("src/plan.rs", "// println!()", 0);
    }

    #[test]
    fn platforms_are_told_apart_in_modules_of_that_name() {
        check_code("src/plan.rs", "#[cfg(unix)]", 1);
        check_code("src/platform.rs", "#[cfg(unix)]", 0);
        check_code("src/platform/unix.rs", "use std::os::unix::fs::PermissionsExt;", 0);
        check_code("src/plan.rs", "#[cfg(test)]\nmod tests {\n    use std::os::unix::fs::symlink;\n}", 0);
        check_code("drivers/local/src/lib.rs", "#![cfg(target_os = \"linux\")]", 0);
        check_code("orchestrator/node/src/lib.rs", "#[cfg(unix)]", 0);
    }

    #[test]
    fn channels_have_bounds() {
        check_code("orchestrator/store/src/lib.rs", "let (a, b) = mpsc::unbounded_channel();", 1);
        check_code("orchestrator/store/src/lib.rs", "let (a, b) = mpsc::channel(BOUND);", 0);
    }

    #[test]
    fn exceptions_are_expected_not_allowed() {
        check_code("src/plan.rs", "#[allow(dead_code)]", 1);
        check_code("src/plan.rs", "#[expect(dead_code, reason = \"\")]", 0);
    }
}
