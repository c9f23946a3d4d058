//! Docker's clients: the stock CLI on PATH, Debian's CLI, the Python SDK, Debian's `docker-compose`.
//!
//! All but the first are put in place by `tests/clients`. Where that cannot be, `SWARMUP_SKIP_CLIENTS=1` leaves them
//! out, and every test that does so says it.

use std::ffi::OsStr;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the installation may take.
const INSTALLATION: Duration = Duration::from_mins(5);

/// A `docker` CLI with an empty configuration of its own.
#[derive(Debug)]
pub(crate) struct DockerCli {
    program: PathBuf,
    host: String,
    options: Vec<String>,
    folder: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl DockerCli {
    /// The CLI for a socket.
    pub(crate) fn new(program: &Path, socket: &Path) -> Self {
        Self::with_host(program, format!("unix://{}", socket.display()), Vec::new())
    }

    /// The CLI for any host, with options that come before the command.
    pub(crate) fn with_host(program: &Path, host: String, options: Vec<String>) -> Self {
        Self { program: program.to_owned(), host, options, folder: tempfile::tempdir().unwrap() }
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Outcome {
        finish(self.command(arguments), PATIENCE).await
    }

    /// Runs a command that must succeed without a word on standard error; returns what it printed.
    pub(crate) async fn expect(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments).await;
        assert!(outcome.success && outcome.stderr.is_empty(), "docker {arguments:?}: {outcome:#?}");
        outcome.stdout
    }

    /// Runs a command that the daemon must refuse; returns the daemon's words.
    pub(crate) async fn expect_refusal(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments).await;
        assert!(!outcome.success, "docker {arguments:?}: {outcome:#?}");
        let message = outcome.stderr.trim().strip_prefix("Error response from daemon: ");
        message.unwrap_or_else(|| panic!("docker {arguments:?}: {outcome:#?}")).to_owned()
    }

    /// Runs a command that the client itself refuses; returns its words.
    pub(crate) async fn expect_error(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments).await;
        assert!(!outcome.success, "docker {arguments:?}: {outcome:#?}");
        outcome.stderr
    }

    /// Runs a command that reads what is asked of it from its standard input.
    pub(crate) async fn answer(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input.as_bytes()).unwrap();
        file.rewind().unwrap();
        let mut command = self.command(arguments);
        command.stdin(Stdio::from(file));
        finish(command, PATIENCE).await
    }

    /// A command, to be started by the caller.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options).args(arguments).env_clear();
        command.env("DOCKER_HOST", &self.host).env("DOCKER_CONFIG", self.folder.path()).env("HOME", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

/// The CLIs there are, by name. The stock one where there is one on PATH, and Debian's.
pub(crate) async fn docker_clis() -> Vec<(&'static str, PathBuf)> {
    let mut found: Vec<_> = stock_docker().map(|program| ("stock", program)).into_iter().collect();
    if let Some(folder) = installed().await {
        found.push(("debian", folder.join("debian/usr/bin/docker")));
    }
    assert!(!found.is_empty() || is_skipping(), "no docker CLI");
    found
}

/// The Python of the SDK's environment.
pub(crate) async fn sdk_python() -> Option<PathBuf> {
    installed().await.map(|folder| folder.join("sdk/bin/python"))
}

/// Runs Debian's `docker-compose` on the project in a folder, with this `docker` beside it. Nothing where clients are left
/// out.
pub(crate) async fn compose(docker: &Path, socket: &Path, folder: &Path, arguments: &[&str]) -> Option<Outcome> {
    let installed = installed().await?;
    let mut command = Command::new(installed.join("compose/bin/python"));
    command.args(["-m", "compose"]).args(arguments).env_clear().current_dir(folder);
    command.env("PYTHONPATH", installed.join("docker-compose/usr/lib/python3/dist-packages"));
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    command.env("PATH", docker.parent().unwrap()).env("HOME", folder);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Some(finish(command, PATIENCE).await)
}

/// Runs a command, bounded in time.
pub(crate) async fn finish(mut command: Command, patience: Duration) -> Outcome {
    let output = tokio::time::timeout(patience, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} hangs")).unwrap();
    Outcome {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The folder of the other clients, put in place first; nothing where they are left out.
async fn installed() -> Option<PathBuf> {
    if is_skipping() {
        #[expect(clippy::print_stderr, reason = "whoever reads the tests' output must see what was left out")]
        {
            eprintln!(
                "SKIPPED: Debian's docker CLI and docker-compose, and the Python SDK (SWARMUP_SKIP_CLIENTS is set)"
            );
        }
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docker-clients");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let mut command = Command::new(script);
    command.arg(&folder).stdin(Stdio::null()).kill_on_drop(true);
    let outcome = finish(command, INSTALLATION).await;
    assert!(outcome.success, "tests/clients failed; SWARMUP_SKIP_CLIENTS=1 leaves them out: {outcome:#?}");
    Some(folder)
}

fn is_skipping() -> bool {
    std::env::var_os("SWARMUP_SKIP_CLIENTS").is_some_and(|value| value == OsStr::new("1"))
}

fn stock_docker() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("docker")).find(|program| program.is_file())
}
