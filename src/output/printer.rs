//! Writes answers to standard output and remarks to standard error.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, stderr, stdout};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::Table;

const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// For whom an answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Writes answers and remarks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Printer {
    format: Format,
    is_quiet: bool,
}

impl Printer {
    /// A printer for one command.
    pub fn new(format: Format, is_quiet: bool) -> Self {
        Self { format, is_quiet }
    }

    /// Whether the answer is for machines.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether only ids are wanted, and no remarks.
    pub fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// A list as the user wants it: JSON, one name per line with `--quiet`, else a table.
    pub fn list<T: Serialize>(&self, items: &[T], name: impl Fn(&T) -> &str, table: impl FnOnce(&[T]) -> Table) {
        if self.is_json() {
            self.json(&items);
        } else if self.is_quiet {
            for item in items {
                self.line(name(item));
            }
        } else {
            self.text(&table(items).to_string());
        }
    }

    /// A value as JSON, or as the text that `text` makes of it.
    pub fn value<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        if self.is_json() { self.json(value) } else { self.text(&text(value)) }
    }

    /// A value as JSON, whatever the format.
    pub fn json<T: Serialize>(&self, value: &T) {
        let text = serde_json::to_string_pretty(value).expect("answers have string keys only");
        self.line(&text);
    }

    /// Lines of an answer; the last one is ended where it is not.
    pub fn text(&self, text: &str) {
        if !text.is_empty() {
            self.line(text.strip_suffix('\n').unwrap_or(text));
        }
    }

    /// One line of an answer.
    pub fn line(&self, line: &str) {
        // A reader that has gone (`swarmup ls | head -1`) has seen what it wanted.
        let _ = writeln!(stdout(), "{line}");
    }

    /// Bytes of an answer, as they come from a machine.
    pub fn raw(&self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// What a machine wrote to its standard error.
    pub fn raw_error(&self, bytes: &[u8]) {
        let mut out = io::stderr().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// A remark for people; silent with `--quiet` and beside JSON.
    pub fn remark(&self, text: &str) {
        if !self.is_quiet && !self.is_json() {
            let _ = writeln!(stderr(), "{text}");
        }
    }

    /// Something odd that was dealt with.
    pub fn warning(&self, text: &str) {
        let _ = writeln!(stderr(), "{WARNING}warning:{WARNING:#} {text}");
    }

    /// What the user can do.
    pub fn hint(&self, text: &str) {
        let _ = writeln!(stderr(), "\n{HINT}hint:{HINT:#} {text}");
    }

    /// Whether somebody sits before this process who can be asked.
    pub fn can_ask() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question whose answer is no unless the user says otherwise.
    pub fn confirm(&self, question: &str) -> bool {
        inquire::Confirm::new(question).with_default(false).prompt().unwrap_or(false)
    }
}

/// Whether standard error can show a line that moves.
pub(super) fn stderr_is_live() -> bool {
    io::stderr().is_terminal() && AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}
