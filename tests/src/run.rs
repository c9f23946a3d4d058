//! Commands with a limit, what came of them, and waiting for what must come to be.

#![expect(clippy::unwrap_used, reason = "for tests: what fails here fails the test")]

use std::fmt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// The exit code of `timeout` for a command that it killed.
const KILLED: i32 = 137;
/// How long to wait before something is looked at again.
const PAUSE: Duration = Duration::from_millis(20);

/// What came of a command.
#[derive(Debug)]
pub struct Run {
    line: String,
    code: Option<i32>,
    /// What it answered.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl Run {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        Self::reading(command, Stdio::null())
    }

    /// Runs a command to its end that reads from `input`.
    pub fn reading(command: &mut Command, input: impl Into<Stdio>) -> Self {
        let line = format!("{command:?}");
        let Output { status, stdout, stderr } =
            command.stdin(input).output().unwrap_or_else(|error| panic!("{line}: {error}"));
        Self {
            line,
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Whether the command says that it did what it should.
    pub fn is_done(&self) -> bool {
        self.code == Some(0)
    }

    /// All that a command said that must end with this exit code.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self}");
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The answer of a command that must succeed, without the end of its last line.
    #[track_caller]
    pub fn answer(self) -> String {
        assert!(self.is_done(), "{self}");
        self.stdout.trim_end().to_owned()
    }

    /// What a command said that must fail.
    #[track_caller]
    pub fn refusal(self) -> String {
        assert!(self.has_failed(), "{self}");
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Fails the test where anything came back: the other side must have ended the conversation at once.
    #[track_caller]
    pub fn unanswered(self) {
        assert!(self.has_failed() && self.stdout.is_empty(), "{self}");
    }

    /// It failed by itself: it was not killed for taking too long.
    fn has_failed(&self) -> bool {
        self.code.is_some_and(|code| code != 0 && code != KILLED)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        write!(formatter, "{}\nexit code: {code}\nstdout: {}\nstderr: {}", self.line, self.stdout, self.stderr)
    }
}

/// A command that is killed where it takes longer than `limit`.
pub fn limited(limit: Duration, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal", "KILL", "--foreground"]).arg(format!("{}", limit.as_secs_f64())).arg(program);
    command
}

/// Looks again and again until something is there, and returns it; says what was missing where it never comes.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came to be: {what}");
        std::thread::park_timeout(PAUSE);
    }
}
