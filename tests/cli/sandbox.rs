//! A home of its own for each test, and swarmup run in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take that a test waits for.
const DEADLINE: Duration = Duration::from_secs(30);

/// A home of its own.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

/// What came of a run.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The folder of all clusters, drivers and caches.
    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn journal_path(&self, cluster: &str) -> PathBuf {
        self.home().join("clusters").join(cluster).join("journal.json")
    }

    /// The journal, where there is a whole one.
    pub(crate) fn journal(&self, cluster: &str) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.journal_path(cluster)).ok()?).ok()
    }

    /// What exists at the provider: machines and networks.
    pub(crate) fn provider_holds(&self) -> usize {
        let Ok(text) = std::fs::read(self.home().join("drivers/fake/state.json")) else { return 0 };
        let state: Value = serde_json::from_slice(&text).unwrap();
        state["machines"].as_object().unwrap().len() + state["clusters"].as_object().unwrap().len()
    }

    /// Runs swarmup to its end.
    pub(crate) fn run(&self, arguments: &str) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// Starts swarmup and does not wait.
    pub(crate) fn start(&self, arguments: &str) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// swarmup, to be run in this home.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swarmup"));
        self.prepare(&mut command);
        command.args(arguments.split_whitespace());
        command
    }

    /// Gives a command this home and nothing else of the environment.
    pub(crate) fn prepare(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("SWARMUP_HOME", self.home());
        command.stdin(Stdio::null());
    }

    /// Waits until something is so; fails the test where it does not become so.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < DEADLINE, "still not so: {what}");
            std::thread::yield_now();
        }
    }

    /// Every file in the home but what the provider keeps of its own, with its content.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.home().join("clusters"), &mut files);
        files.sort();
        files
    }
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails the test where the run did not end as expected.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "exit code: {}", self.code.map_or("none".to_owned(), |code| code.to_string()))?;
        writeln!(formatter, "----- stdout -----\n{}----- stderr -----\n{}", self.stdout, self.stderr)
    }
}

/// Compares a run with its snapshot: ids, times and paths are filtered out.
macro_rules! assert_run {
    ($name:expr, $sandbox:expr, $run:expr) => {{
        let mut settings = insta::Settings::clone_current();
        let home = $sandbox.home().display().to_string();
        settings.add_filter(&home.replace('.', "\\."), "<home>");
        // The drivers of clouds are in some builds only.
        settings.add_filter(r", aws, azure, gcp\b", "");
        settings.add_filter(r"\b[0-9a-z]{25}\b", "<id, 25 base-36 digits...>");
        settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d", "<date and time>");
        settings.add_filter(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>");
        settings.add_filter(r" +\d+\.\ds\n", "  <took>\n");
        settings.add_filter(r"\(process \d+\)", "(process <pid>)");
        settings.add_filter(r"[\w.-]+@[\w.-]+", "<user>@<workstation>");
        settings.bind(|| insta::assert_snapshot!($name, $run.to_string()));
    }};
}
pub(crate) use assert_run;

fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
}
