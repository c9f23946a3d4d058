//! What to run on a host, and what came of it.

use std::time::Duration;

use bytes::Bytes;

use crate::ReachError;

/// How long a command may take where nothing else is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
/// How much of each output stream is kept where nothing else is said: enough for any answer that we parse.
const DEFAULT_OUTPUT_LIMIT: usize = 1024 * 1024;

/// A command for a host: argv or a line of POSIX shell, with its standard input and its bounds.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// What to run.
    pub line: CommandLine,
    /// What it reads from standard input.
    pub stdin: Bytes,
    /// When it is given up.
    pub timeout: Duration,
    /// How many bytes of each output stream are kept; the rest is read and dropped.
    pub output_limit: usize,
    /// Whether it must run as root: by sudo where the user is another one.
    pub is_as_root: bool,
}

/// The two ways to say what to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// A program and its arguments, which no shell takes apart.
    Argv(Vec<String>),
    /// A line or script for `sh`.
    Shell(String),
}

impl Command {
    /// A program and its arguments.
    pub fn argv<T: Into<String>>(arguments: impl IntoIterator<Item = T>) -> Self {
        Self::new(CommandLine::Argv(arguments.into_iter().map(Into::into).collect()))
    }

    /// A line or script for `sh`; values belong in it only by [`quote`].
    pub fn shell(script: impl Into<String>) -> Self {
        Self::new(CommandLine::Shell(script.into()))
    }

    fn new(line: CommandLine) -> Self {
        Self {
            line,
            stdin: Bytes::new(),
            timeout: DEFAULT_TIMEOUT,
            output_limit: DEFAULT_OUTPUT_LIMIT,
            is_as_root: false,
        }
    }

    /// Gives it this standard input; it may hold secrets, which a command line may not.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Bytes>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Gives it up after this long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Keeps at most this many bytes of each output stream.
    #[must_use]
    pub fn output_limit(mut self, limit: usize) -> Self {
        self.output_limit = limit;
        self
    }

    /// Runs it as root.
    #[must_use]
    pub fn as_root(mut self) -> Self {
        self.is_as_root = true;
        self
    }
}

impl std::fmt::Debug for Command {
    /// Standard input may hold a key: only its length is shown.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Command")
            .field("line", &self.line)
            .field("stdin_length", &self.stdin.len())
            .field("timeout", &self.timeout)
            .field("output_limit", &self.output_limit)
            .field("is_as_root", &self.is_as_root)
            .finish()
    }
}

impl CommandLine {
    /// The line as a POSIX shell reads it.
    pub fn to_shell(&self) -> String {
        match self {
            Self::Argv(arguments) => arguments.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
            Self::Shell(script) => script.clone(),
        }
    }

    /// The first line of it, cut short: what messages call it.
    pub fn summary(&self) -> String {
        const LENGTH: usize = 60;
        let line = self.to_shell();
        let line = line.trim_start().lines().next().unwrap_or_default().to_owned();
        if line.chars().count() <= LENGTH {
            return line;
        }
        line.chars().take(LENGTH).chain("…".chars()).collect()
    }
}

/// What came of a command that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; 128 and the signal's number where a signal ended it.
    pub status: i32,
    /// What it wrote to standard output.
    pub stdout: Bytes,
    /// What it wrote to standard error.
    pub stderr: Bytes,
    /// Whether more was written than was kept.
    pub is_truncated: bool,
}

impl Output {
    /// Whether the command says that it succeeded.
    pub fn is_success(&self) -> bool {
        self.status == 0
    }

    /// Standard output as text, without the blanks around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Standard error as text, without the blanks around it.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }

    /// The output of a command that must succeed.
    ///
    /// # Errors
    /// [`ReachError::Failed`] with what the command wrote to standard error.
    pub fn expect_success(self, peer: &str, command: &Command) -> Result<Self, ReachError> {
        if self.is_success() {
            return Ok(self);
        }
        Err(ReachError::Failed {
            peer: peer.to_owned(),
            command: command.line.summary(),
            status: self.status,
            stderr: last_line(&self.error_text()),
        })
    }
}

fn last_line(text: &str) -> String {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it wrote nothing to standard error").to_owned()
}

/// Quotes a word so that a POSIX shell takes it as it is.
pub fn quote(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_out_of_a_shell_as_they_went_in() {
        let words =
            ["plain", "", "two words", "it's", "$HOME `id` $(id)", "a\"b", "new\nline", "-n", "*", "\\", "ü", "~"];
        for word in words {
            let script = format!("printf %s {}", quote(word));

            let output = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();

            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn standard_input_is_never_shown() {
        let command = Command::argv(["swarmd", "service", "install"]).stdin("-----BEGIN PRIVATE KEY-----");

        assert!(!format!("{command:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_failed_command_tells_its_last_words() {
        let output = Output {
            status: 4,
            stdout: Bytes::new(),
            stderr: Bytes::from_static(b"warning\nno such thing\n\n"),
            is_truncated: false,
        };

        let error = output.expect_success("root@h:22", &Command::argv(["x", "y z"])).unwrap_err();

        assert_eq!(error.to_string(), "`x 'y z'` on root@h:22 ended with exit code 4: no such thing");
    }
}
