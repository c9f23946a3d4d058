//! Brings lines of many tasks into the order of their times, as far as that can be seen from what has come. Pure: the
//! time is handed in.
//!
//! ```text
//! task ──> waiting lines ──┐  the oldest of the first ones is given out once every task that still writes has one,
//! task ──> waiting lines ──┼─ once it has waited for 50 ms, or once 4 MiB wait
//! task ──> waiting lines ──┘
//! ```
//! A task's own lines never change places.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use model::{LogEntry, NodeId, TaskId};
use tokio::time::Instant;

/// How long a line waits for older ones of other tasks: more than a node needs to answer, and not felt by who follows.
pub(super) const WINDOW: Duration = Duration::from_millis(50);
/// Bytes that wait for one reader, from all nodes together.
const BYTES: usize = 4 << 20;
/// Bytes that wait for one reader from one node: some batches, so that it goes on reading meanwhile.
const BYTES_OF_NODE: usize = 256 << 10;
/// What a line costs beside its text, in bytes.
const LINE_COST: usize = 128;

/// Lines that wait, by task.
#[derive(Debug, Default)]
pub(super) struct Merge {
    sources: BTreeMap<TaskId, Source>,
    /// The first line of each task that has any.
    heads: BTreeSet<(Timestamp, TaskId)>,
    /// The tasks that still write and have no line here.
    awaited: BTreeSet<TaskId>,
    bytes: usize,
    bytes_of_node: BTreeMap<NodeId, usize>,
}

#[derive(Debug)]
struct Source {
    node: NodeId,
    writes: bool,
    waiting: VecDeque<(Instant, LogEntry)>,
}

/// What can be given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// A line, of a task on a node.
    Line(TaskId, NodeId, LogEntry),
    /// None before then, unless more comes.
    At(Instant),
    /// Nothing waits.
    Nothing,
}

impl Merge {
    /// A task on a node writes from now on: its lines are waited for.
    pub(super) fn begin(&mut self, task: &TaskId, node: &NodeId) {
        let fresh = || Source { node: node.clone(), writes: false, waiting: VecDeque::new() };
        let source = self.sources.entry(task.clone()).or_insert_with(fresh);
        source.writes = true;
        if source.waiting.is_empty() {
            self.awaited.insert(task.clone());
        }
    }

    /// A task writes no more, or not for now: nobody waits for its lines. Those that came stay.
    pub(super) fn end(&mut self, task: &TaskId) {
        self.awaited.remove(task);
        if let Some(source) = self.sources.get_mut(task) {
            source.writes = false;
            if source.waiting.is_empty() {
                self.sources.remove(task);
            }
        }
    }

    /// Whether more may come from a node.
    pub(super) fn has_room(&self, node: &NodeId) -> bool {
        self.bytes < BYTES && self.bytes_of_node.get(node).is_none_or(|bytes| *bytes < BYTES_OF_NODE)
    }

    /// Takes a line of a task that has begun.
    pub(super) fn add(&mut self, task: &TaskId, entry: LogEntry, now: Instant) {
        let Some(source) = self.sources.get_mut(task) else { return };
        let cost = cost(&entry);
        self.bytes += cost;
        *self.bytes_of_node.entry(source.node.clone()).or_default() += cost;
        if source.waiting.is_empty() {
            self.awaited.remove(task);
            self.heads.insert((entry.time, task.clone()));
        }
        source.waiting.push_back((now, entry));
    }

    /// Gives out the next line, if it is its turn.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let Some((_, task)) = self.heads.first() else { return Next::Nothing };
        let came = self.sources.get(task).and_then(|source| source.waiting.front()).map_or(now, |(came, _)| *came);
        let turn = came + WINDOW;
        if !self.awaited.is_empty() && self.bytes < BYTES && now < turn {
            return Next::At(turn);
        }
        self.take_first().map_or(Next::Nothing, |(task, node, entry)| Next::Line(task, node, entry))
    }

    fn take_first(&mut self) -> Option<(TaskId, NodeId, LogEntry)> {
        let (_, task) = self.heads.pop_first()?;
        let source = self.sources.get_mut(&task)?;
        let (_, entry) = source.waiting.pop_front()?;
        let node = source.node.clone();
        match source.waiting.front() {
            Some((_, next)) => {
                self.heads.insert((next.time, task.clone()));
            }
            None if source.writes => {
                self.awaited.insert(task.clone());
            }
            None => {
                self.sources.remove(&task);
            }
        }
        let cost = cost(&entry);
        self.bytes -= cost;
        if let Some(bytes) = self.bytes_of_node.get_mut(&node) {
            *bytes -= cost;
            if *bytes == 0 {
                self.bytes_of_node.remove(&node);
            }
        }
        Some((task, node, entry))
    }
}

fn cost(entry: &LogEntry) -> usize {
    entry.text.len() + LINE_COST
}

#[cfg(test)]
mod tests {
    use model::LogStream;

    use super::*;
    use crate::testing::{node_id, task};

    fn id(number: u64) -> TaskId {
        task(number).id
    }

    fn entry(second: i64, text: &str) -> LogEntry {
        let time = Timestamp::from_second(second).unwrap();
        LogEntry { time, stream: LogStream::Stdout, text: text.to_owned() }
    }

    /// Tasks 1 and 2 on nodes of the same numbers.
    fn two() -> Merge {
        let mut merge = Merge::default();
        for number in [1, 2] {
            merge.begin(&id(number), &node_id(number));
        }
        merge
    }

    /// The texts of all that can be given out.
    fn out(merge: &mut Merge, now: Instant) -> Vec<String> {
        let mut texts = Vec::new();
        while let Next::Line(_, _, entry) = merge.next(now) {
            texts.push(entry.text);
        }
        texts
    }

    #[test]
    fn lines_of_tasks_come_in_the_order_of_their_times() {
        let (mut merge, now) = (two(), Instant::now());

        for (number, second) in [(1, 1), (1, 3), (1, 6), (2, 2), (2, 4), (2, 5)] {
            merge.add(&id(number), entry(second, &second.to_string()), now);
        }

        // After 5 nobody knows yet what the second task wrote next.
        assert_eq!(out(&mut merge, now), ["1", "2", "3", "4", "5"]);
        merge.end(&id(2));
        assert_eq!(out(&mut merge, now), ["6"]);
        assert_eq!(merge.next(now), Next::Nothing);
    }

    #[test]
    fn a_line_waits_for_a_silent_task_no_longer_than_the_window() {
        let (mut merge, now) = (two(), Instant::now());
        merge.add(&id(1), entry(7, "seven"), now);

        assert_eq!(merge.next(now), Next::At(now + WINDOW));
        merge.add(&id(2), entry(6, "six"), now + WINDOW / 2);
        assert_eq!(out(&mut merge, now + WINDOW / 2), ["six"]);

        assert_eq!(out(&mut merge, now + WINDOW), ["seven"]);
    }

    #[test]
    fn the_lines_of_one_task_are_given_out_at_once_and_never_change_places() {
        let mut merge = Merge::default();
        let now = Instant::now();
        merge.begin(&id(1), &node_id(1));

        // Its node's clock was set back meanwhile.
        for second in [5, 2, 9] {
            merge.add(&id(1), entry(second, &second.to_string()), now);
            assert_eq!(out(&mut merge, now), [second.to_string()]);
        }
        merge.begin(&id(2), &node_id(2));
        for second in [5, 2, 9] {
            merge.add(&id(1), entry(second, &second.to_string()), now);
        }

        assert_eq!(out(&mut merge, now + WINDOW), ["5", "2", "9"]);
    }

    #[test]
    fn a_node_has_room_until_its_lines_fill_it_and_all_nodes_until_theirs_do() {
        let (mut merge, now) = (two(), Instant::now());
        let kilobytes = "x".repeat(64 << 10);

        for _ in 0..4 {
            assert!(merge.has_room(&node_id(1)));
            merge.add(&id(1), entry(1, &kilobytes), now);
        }
        assert!(!merge.has_room(&node_id(1)) && merge.has_room(&node_id(2)));
        for number in 3..20 {
            merge.begin(&id(number), &node_id(number));
            for _ in 0..4 {
                merge.add(&id(number), entry(1, &kilobytes), now);
            }
        }
        assert!(!merge.has_room(&node_id(2)));

        // The second task is still waited for, but not with so much behind it.
        assert!(matches!(merge.next(now), Next::Line(..)));
        while let Next::Line(..) = merge.next(now + WINDOW) {}
        assert!(merge.has_room(&node_id(1)) && merge.has_room(&node_id(2)));
        assert_eq!((merge.bytes, merge.bytes_of_node.len()), (0, 0));
    }
}
