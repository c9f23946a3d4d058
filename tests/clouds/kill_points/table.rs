//! The table of all points at which `swarmup` was killed, and of what came of it: printed, and in a file.
//!
//! It lies in `tmp/kill-points` of the folder of all that is built, a file a provider, and has a line as soon as there
//! is something to tell.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write as _;
use std::time::{Duration, Instant};

use tests::programs::target_folder;

use super::{Call, Command, Side};

/// What came of a kill.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) command: Command,
    pub(super) call: Call,
    pub(super) side: Side,
    /// The command that went on.
    pub(super) next: Command,
    /// What is there after that, or what is wrong.
    pub(super) outcome: Result<String, String>,
    /// How long all of it took.
    pub(super) took: Duration,
}

/// The table of a provider.
#[derive(Debug)]
pub(super) struct Table {
    provider: &'static str,
    file: File,
    begun: Instant,
    rows: usize,
    bad: Vec<String>,
}

impl Table {
    /// A table with nothing but its head.
    pub(super) fn begin(provider: &'static str) -> Self {
        let folder = target_folder().join("tmp/kill-points");
        fs::create_dir_all(&folder).unwrap();
        let file = File::create(folder.join(format!("{provider}.txt"))).unwrap();
        let mut table = Self { provider, file, begun: Instant::now(), rows: 0, bad: Vec::new() };
        table.note(&line(&[&"provider", &"command", &"call", &"nth", &"side", &"next", &"seconds", &"outcome"]));
        table
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: &Row) {
        let Row { command, call, side, next, outcome, took } = row;
        let seconds = format!("{:.1}", took.as_secs_f64());
        let told = match outcome {
            Ok(told) => told.clone(),
            Err(reason) => format!("BAD: {reason}"),
        };
        let line = line(&[&self.provider, command, &call.name, &call.nth, side, next, &seconds, &told]);
        self.rows += 1;
        if outcome.is_err() {
            self.bad.push(line.clone());
        }
        self.note(&line);
    }

    /// Adds a line.
    #[expect(clippy::print_stdout, reason = "the table is what is asked of this test")]
    pub(super) fn note(&mut self, line: &str) {
        println!("{line}");
        writeln!(self.file, "{line}").unwrap();
    }

    /// Ends it.
    ///
    /// # Panics
    /// Where an outcome is bad, with all that are.
    pub(super) fn conclude(&mut self) {
        let (rows, bad, seconds) = (self.rows, self.bad.len(), self.begun.elapsed().as_secs_f64());
        self.note(&format!("{rows} points, {bad} bad, {seconds:.0} s"));
        assert!(self.bad.is_empty(), "{bad} bad outcomes:\n{}", self.bad.join("\n"));
    }

    /// Ends it where no other point can be told of any more.
    ///
    /// # Panics
    /// Always.
    pub(super) fn give_up(&mut self, reason: &str) -> ! {
        self.note(&format!("BAD: it cannot go on: {reason}"));
        panic!("it cannot go on: {reason}\n{}", self.bad.join("\n"));
    }
}

fn line(cells: &[&dyn Display; 8]) -> String {
    let [provider, command, call, nth, side, next, seconds, outcome] = cells;
    format!("{provider:<9}{command:<9}{call:<36}{nth:>4}  {side:<7}{next:<9}{seconds:>7}  {outcome}")
}
