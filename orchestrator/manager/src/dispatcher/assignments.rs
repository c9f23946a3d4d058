//! What a node is told of its tasks: a complete set first, then what changes. Pure: the sets are handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{AssignmentChange, AssignmentsMessage, Task, TaskId, TaskState};

/// Bytes of a message, about: well below what one may have. A task alone is never larger than a transaction.
const MESSAGE_BYTES: usize = 1 << 20;

/// What a node was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    sequence: u64,
    /// The tasks that it has, and what is wanted of each. All else of a task is its agent's, or never changes.
    tasks: BTreeMap<TaskId, TaskState>,
}

impl Told {
    /// The messages that lead from what was told to the tasks that a node has, the first time even where there are none.
    pub(crate) fn complete<'t>(&mut self, tasks: impl Iterator<Item = &'t Arc<Task>>) -> Vec<AssignmentsMessage> {
        let mut gone: BTreeSet<TaskId> = self.tasks.keys().cloned().collect();
        let mut pieces = Pieces::default();
        for task in tasks {
            if self.update(task, &mut pieces) {
                gone.remove(&task.id);
            }
        }
        for task in &gone {
            self.remove(task, &mut pieces);
        }
        self.number(pieces)
    }

    /// The messages that tell of some tasks; one that is not there is gone, or another node's.
    pub(crate) fn changed<'t>(
        &mut self,
        tasks: impl Iterator<Item = (&'t TaskId, Option<&'t Arc<Task>>)>,
    ) -> Vec<AssignmentsMessage> {
        let mut pieces = Pieces::default();
        for (id, task) in tasks {
            if !task.is_some_and(|task| self.update(task, &mut pieces)) {
                self.remove(id, &mut pieces);
            }
        }
        self.number(pieces)
    }

    /// Tells of a task unless it was told alike; `false` if the node is not to have it.
    fn update(&mut self, task: &Arc<Task>, pieces: &mut Pieces) -> bool {
        if task.state.status.state < TaskState::Assigned {
            return false;
        }
        let desired = task.state.desired;
        if self.tasks.insert(task.id.clone(), desired) != Some(desired) {
            pieces.push(AssignmentChange::Update(Box::new(Task::clone(task))), length(task));
        }
        true
    }

    fn remove(&mut self, task: &TaskId, pieces: &mut Pieces) {
        if self.tasks.remove(task).is_some() {
            pieces.push(AssignmentChange::Remove(task.clone()), 0);
        }
    }

    fn number(&mut self, Pieces { mut pieces, .. }: Pieces) -> Vec<AssignmentsMessage> {
        let is_first = self.sequence == 0;
        if is_first && pieces.is_empty() {
            pieces.push(Vec::new());
        }
        let following = pieces.len().saturating_sub(1);
        let number = |(index, changes)| {
            self.sequence += 1;
            let is_continued = is_first && index < following;
            AssignmentsMessage { applies_to: self.sequence - 1, results_in: self.sequence, is_continued, changes }
        };
        pieces.into_iter().enumerate().map(number).collect()
    }
}

/// Changes, in pieces that a message can carry.
#[derive(Debug, Default)]
struct Pieces {
    pieces: Vec<Vec<AssignmentChange>>,
    /// Of the last piece.
    bytes: usize,
}

impl Pieces {
    fn push(&mut self, change: AssignmentChange, bytes: usize) {
        match self.pieces.last_mut() {
            Some(piece) if self.bytes + bytes <= MESSAGE_BYTES => piece.push(change),
            Some(_) | None => {
                self.pieces.push(vec![change]);
                self.bytes = 0;
            }
        }
        self.bytes += bytes;
    }
}

/// How long a task is on the wire, about: its spec is all that can be long.
fn length(task: &Task) -> usize {
    let mut counted = Counted(0);
    // Counting cannot fail, and what could not be written is refused when it is sent.
    let _ = serde_json::to_writer(&mut counted, &task.spec);
    counted.0 + 1024
}

struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::task;

    use super::*;

    fn lead(told: &mut Told, tasks: &[Arc<Task>]) -> Vec<AssignmentsMessage> {
        told.complete(tasks.iter())
    }

    fn at(number: u64, state: TaskState, desired: TaskState) -> Arc<Task> {
        let mut task = task(number);
        task.state.status.state = state;
        task.state.desired = desired;
        Arc::new(task)
    }

    fn names(message: &AssignmentsMessage) -> Vec<(TaskId, Option<TaskState>)> {
        let name = |change: &AssignmentChange| match change {
            AssignmentChange::Update(task) => (task.id.clone(), Some(task.state.desired)),
            AssignmentChange::Remove(task) => (task.clone(), None),
        };
        message.changes.iter().map(name).collect()
    }

    #[test]
    fn the_first_message_is_the_whole_even_where_there_is_nothing() {
        let [message] = &lead(&mut Told::default(), &[])[..] else { panic!("one message") };

        assert_eq!((message.applies_to, message.results_in, message.is_continued), (0, 1, false));
        assert!(message.changes.is_empty());
    }

    #[test]
    fn what_a_node_reports_itself_is_not_told_back() {
        let mut told = Told::default();
        lead(
            &mut told,
            &[at(1, TaskState::Assigned, TaskState::Running), at(2, TaskState::Pending, TaskState::Running)],
        );

        let messages = lead(&mut told, &[at(1, TaskState::Running, TaskState::Running)]);

        assert!(messages.is_empty(), "{messages:?}");
    }

    #[test]
    fn new_wishes_new_tasks_and_removed_ones_are_told_in_order() {
        let mut told = Told::default();
        let (first, second) =
            (at(1, TaskState::Running, TaskState::Running), at(2, TaskState::Running, TaskState::Running));
        lead(&mut told, &[first.clone(), second.clone()]);

        let stopped = at(1, TaskState::Running, TaskState::Shutdown);
        let third = at(3, TaskState::Assigned, TaskState::Ready);
        let [message] = &lead(&mut told, &[stopped.clone(), third.clone()])[..] else { panic!("one message") };

        assert_eq!((message.applies_to, message.results_in), (1, 2));
        let expected = [
            (stopped.id.clone(), Some(TaskState::Shutdown)),
            (third.id.clone(), Some(TaskState::Ready)),
            (second.id.clone(), None),
        ];
        assert_eq!(names(message), expected);
    }

    #[test]
    fn of_some_tasks_only_what_is_new_is_told() {
        let mut told = Told::default();
        let (first, second) =
            (at(1, TaskState::Running, TaskState::Running), at(2, TaskState::Running, TaskState::Running));
        lead(&mut told, &[first.clone(), second.clone()]);
        let (stopped, gone) = (at(1, TaskState::Running, TaskState::Shutdown), task(9).id);

        let looked_at = [(&first.id, Some(&stopped)), (&gone, None), (&second.id, None)];
        let [message] = &told.changed(looked_at.into_iter())[..] else { panic!("one message") };

        assert_eq!((message.applies_to, message.results_in, message.is_continued), (1, 2, false));
        assert_eq!(names(message), [(first.id.clone(), Some(TaskState::Shutdown)), (second.id.clone(), None)]);
        assert!(told.changed([(&first.id, Some(&stopped))].into_iter()).is_empty());
    }

    #[test]
    fn a_long_complete_set_comes_in_pieces_and_says_so() {
        let tasks: Vec<_> = (1..=5)
            .map(|number| {
                let mut task = Task::clone(&at(number, TaskState::Assigned, TaskState::Running));
                let container = task.spec.container_spec.get_or_insert_default();
                container.env = vec!["x".repeat(MESSAGE_BYTES / 2)];
                Arc::new(task)
            })
            .collect();

        let messages = lead(&mut Told::default(), &tasks);

        let steps: Vec<_> =
            messages.iter().map(|message| (message.applies_to, message.results_in, message.is_continued)).collect();
        assert_eq!(steps.len(), 5);
        assert!(steps.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].2), "{steps:?}");
        assert!(!steps[4].2, "{steps:?}");
    }
}
