//! What is going on: one live line per machine on a terminal, one plain line per completed phase everywhere else.
//!
//! ```text
//!   Create machines   5/5   41s
//!   Install agent     5/5    6s
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anstream::stderr;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::printer::stderr_is_live;

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(120);
/// Width of the column with the phases' titles.
const TITLE_WIDTH: usize = 16;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Live lines on a terminal, plain lines elsewhere.
    Live,
    /// Plain lines only.
    Plain,
    /// Nothing.
    Silent,
}

/// Shows what is going on while a command works.
#[derive(Debug)]
pub struct Progress {
    detail: Detail,
    lines: MultiProgress,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    machines: BTreeMap<String, ProgressBar>,
    phases: BTreeMap<&'static str, PhaseState>,
}

#[derive(Debug)]
struct PhaseState {
    begun: Instant,
    done: BTreeSet<String>,
    /// How many machines go through it; absent where it is about the cluster as a whole.
    total: Option<usize>,
}

impl Progress {
    /// Progress for one command; `Live` becomes `Plain` where standard error is no terminal.
    pub fn new(detail: Detail) -> Self {
        let detail = if detail == Detail::Live && !stderr_is_live() { Detail::Plain } else { detail };
        let target = if detail == Detail::Live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { detail, lines: MultiProgress::with_draw_target(target), state: Mutex::default() }
    }

    /// A phase of the cluster as a whole has begun, unless it had before.
    pub fn begin(&self, phase: &'static str) {
        self.begin_with(phase, None);
    }

    /// A phase through which so many machines go has begun, unless it had before.
    pub fn begin_each(&self, phase: &'static str, total: usize) {
        self.begin_with(phase, Some(total));
    }

    fn begin_with(&self, phase: &'static str, total: Option<usize>) {
        let begun = Instant::now();
        self.state().phases.entry(phase).or_insert_with(|| PhaseState { begun, done: BTreeSet::new(), total });
    }

    /// A machine is being worked on.
    pub fn machine(&self, hostname: &str, what: &str) {
        if self.detail != Detail::Live {
            return;
        }
        let mut state = self.state();
        let bar = state.machines.entry(hostname.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("  {spinner} {prefix:<12} {msg:<32} {elapsed:>4}")
                .expect("the template is well-formed");
            let bar = self.lines.add(ProgressBar::new_spinner().with_style(style).with_prefix(hostname.to_owned()));
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(what.to_owned());
    }

    /// A machine is through a phase; after the last one the phase's line is written.
    pub fn machine_done(&self, phase: &'static str, hostname: &str) {
        let complete = {
            let mut state = self.state();
            let Some(at_work) = state.phases.get_mut(phase) else { return };
            at_work.done.insert(hostname.to_owned());
            let is_complete = at_work.total == Some(at_work.done.len());
            if is_complete { state.phases.remove(phase) } else { None }
        };
        if let Some(complete) = complete {
            let machines = complete.done.len();
            self.phase_line(phase, &format!("{machines}/{machines}"), complete.begun.elapsed());
        }
    }

    /// A machine needs no line any more.
    pub fn machine_ready(&self, hostname: &str) {
        if let Some(bar) = self.state().machines.remove(hostname) {
            bar.finish_and_clear();
        }
    }

    /// A phase is complete as a whole: its line is written, with how many machines it was about, where it was.
    pub fn complete_all(&self, phase: &'static str, machines: Option<usize>) {
        let Some(state) = self.state().phases.remove(phase) else { return };
        let count = machines.map(|machines| format!("{machines}/{machines}")).unwrap_or_default();
        self.phase_line(phase, &count, state.begun.elapsed());
    }

    fn phase_line(&self, phase: &str, count: &str, took_time: Duration) {
        let took = took(took_time);
        self.line(&format!("  {phase:<TITLE_WIDTH$}  {count:>5}  {took:>5}"));
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        match self.detail {
            Detail::Silent => {}
            Detail::Live | Detail::Plain => self.lines.suspend(|| {
                let _ = writeln!(stderr(), "{text}");
            }),
        }
    }

    /// Takes all live lines away, before an error or an answer is written.
    pub fn clear(&self) {
        for (_, bar) in std::mem::take(&mut self.state().machines) {
            bar.finish_and_clear();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `0.4s` below ten seconds, `41s` below two minutes, `3m05s` from there.
fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=9 => format!("{:.1}s", duration.as_secs_f64()),
        10..=119 => format!("{seconds}s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_exact_as_is_useful() {
        let check = |millis: u64, expected: &str| assert_eq!(took(Duration::from_millis(millis)), expected);
        check(412, "0.4s");
        check(41_300, "41s");
        check(185_000, "3m05s");
    }
}
