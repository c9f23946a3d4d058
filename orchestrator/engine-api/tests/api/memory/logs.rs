//! What tasks of the swarm in memory have written: told by the test, and read as the managers let it be read.

use std::collections::BTreeMap;

use futures_util::stream;
use jiff::Timestamp;
use model::{LogEntry, LogLine, LogMessage, LogRequest, LogSelection, LogStream, LogTarget, TaskId};
use node::LogMessages;
use tokio::sync::watch;

use super::MemoryNode;

/// Everything that was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    lines: Vec<LogLine>,
    missed: Option<String>,
    is_over: bool,
}

impl MemoryNode {
    /// A task writes a line, in a second since 1970.
    pub(crate) fn write(&self, task: &TaskId, second: i64, stream: LogStream, text: &str) {
        let state = self.store().view().task(task).unwrap().state.clone();
        let entry = LogEntry { time: Timestamp::from_second(second).unwrap(), stream, text: text.to_owned() };
        let line = LogLine { node: state.node_id.unwrap(), service: state.service_id, task: task.clone(), entry };
        self.state().written.send_modify(|written| written.lines.push(line));
    }

    /// Some of it cannot be read.
    pub(crate) fn miss(&self, words: &str) {
        self.state().written.send_modify(|written| written.missed = Some(words.to_owned()));
    }

    /// What is followed is over.
    pub(crate) fn end_logs(&self) {
        self.state().written.send_modify(|written| written.is_over = true);
    }
}

/// Reads what was written, and what is.
pub(super) fn read(mut written: watch::Receiver<Written>, request: LogRequest) -> LogMessages {
    let selection = request.selection;
    let wanted = move |line: &&LogLine| is_wanted(&request.target, selection, line);
    // At once: what is written from now on is no tail.
    let mut past: Vec<_> = written.borrow().lines.iter().filter(&wanted).cloned().collect();
    past = tail(past, selection.tail);
    past.sort_by_key(|line| line.entry.time);
    let at = written.borrow_and_update().lines.len();
    Box::pin(stream::unfold(Some((past, at, written)), move |reading| {
        let wanted = wanted.clone();
        async move {
            let (mut lines, mut at, mut written) = reading?;
            loop {
                if !lines.is_empty() {
                    return Some((Ok(LogMessage::Lines(lines)), Some((Vec::new(), at, written))));
                }
                let (missed, is_over) = {
                    let written = written.borrow_and_update();
                    lines = written.lines[at..].iter().filter(&wanted).cloned().collect();
                    at = written.lines.len();
                    (written.missed.clone(), written.is_over || !selection.follow)
                };
                if lines.is_empty() {
                    if is_over {
                        return missed.map(|words| (Ok(LogMessage::Incomplete(words)), None));
                    }
                    written.changed().await.ok()?;
                }
            }
        }
    }))
}

fn is_wanted(target: &LogTarget, selection: LogSelection, line: &LogLine) -> bool {
    let is_of_target = match target {
        LogTarget::Service(service) => line.service == *service,
        LogTarget::Task(task) => line.task == *task,
    };
    let is_stream = match line.entry.stream {
        LogStream::Stdout => selection.stdout,
        LogStream::Stderr => selection.stderr,
    };
    is_of_target && is_stream && selection.since.is_none_or(|since| line.entry.time >= since)
}

/// The last lines of each task.
fn tail(lines: Vec<LogLine>, tail: Option<u64>) -> Vec<LogLine> {
    let Some(tail) = tail else { return lines };
    let mut behind: BTreeMap<TaskId, u64> = BTreeMap::new();
    let mut kept: Vec<_> = lines
        .into_iter()
        .rev()
        .filter(|line| {
            let behind = behind.entry(line.task.clone()).or_default();
            *behind += 1;
            *behind <= tail
        })
        .collect();
    kept.reverse();
    kept
}
