//! The tasks of a node, as its session tells them: the whole once, then what is marked.
//!
//! The term marks what changes for a node; the stream takes the marks and looks only at those tasks. Marks are as many as
//! the node has tasks at most. Where the term fell behind the store, everything is marked.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use model::{AssignmentsMessage, NodeId, TaskId, TaskState};
use store::{Store, WorkEvent};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::assignments::Told;

/// What changed of a node's tasks since its stream looked.
#[derive(Debug)]
pub(super) enum Changed {
    /// Anything may have.
    All,
    /// These tasks may have.
    Some(BTreeSet<TaskId>),
}

/// Marks of one node's tasks, for one stream. It begins with everything marked.
#[derive(Debug)]
pub(super) struct Work {
    changed: Mutex<Changed>,
    marked: Notify,
}

impl Default for Work {
    fn default() -> Self {
        Self { changed: Mutex::new(Changed::All), marked: Notify::new() }
    }
}

impl Work {
    /// Marks a task.
    pub(super) fn mark(&self, task: &TaskId) {
        if let Changed::Some(tasks) = &mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner) {
            tasks.insert(task.clone());
        }
        self.marked.notify_one();
    }

    /// Marks everything.
    pub(super) fn mark_all(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Changed::All;
        self.marked.notify_one();
    }

    /// Takes what is marked, which may be nothing.
    fn take(&self) -> Changed {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut changed, Changed::Some(BTreeSet::new()))
    }
}

/// The node that must hear of an event, and the task that it must look at. What a node reports itself is no news to it.
pub(super) fn concerned(event: &WorkEvent) -> Option<(&NodeId, &TaskId)> {
    match event {
        WorkEvent::TaskChanged { task, node: Some(node), before, now, .. } => {
            let was_told = before.is_some_and(|before| before.observed >= TaskState::Assigned);
            let is_wanted_alike = before.is_some_and(|before| before.desired == now.desired);
            (now.observed >= TaskState::Assigned && !(was_told && is_wanted_alike)).then_some((node, task))
        }
        WorkEvent::TaskRemoved(task) => task.state.node_id.as_ref().map(|node| (node, &task.id)),
        WorkEvent::TaskChanged { node: None, .. } | WorkEvent::ServiceChanged(_) | WorkEvent::ServiceRemoved(_) => None,
    }
}

/// The stream of a node's tasks.
#[derive(Debug)]
pub(super) struct OpenAssignments {
    store: Store,
    node: NodeId,
    /// Ends with the session, or with the term.
    over: CancellationToken,
    term: CancellationToken,
    work: Arc<Work>,
    told: Told,
    ready: VecDeque<AssignmentsMessage>,
}

impl OpenAssignments {
    /// A stream that has told nothing yet; `work` is this one's alone.
    pub(super) fn new(
        store: Store,
        node: NodeId,
        (over, term): (CancellationToken, CancellationToken),
        work: Arc<Work>,
    ) -> Self {
        Self { store, node, over, term, work, told: Told::default(), ready: VecDeque::new() }
    }

    /// The next message, once there is something to tell; `None` when the session is over.
    pub(super) async fn next(&mut self) -> Option<AssignmentsMessage> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let changed = self.work.take();
            // After the marks were taken: it has at least what they are about.
            let view = self.store.view();
            self.ready = match changed {
                Changed::All => self.told.complete(view.tasks_of_node(&self.node)).into(),
                Changed::Some(tasks) => {
                    let here =
                        |id: &TaskId| view.task(id).filter(|task| task.state.node_id.as_ref() == Some(&self.node));
                    self.told.changed(tasks.iter().map(|id| (id, here(id)))).into()
                }
            };
            if !self.ready.is_empty() {
                continue;
            }
            drop(view);
            tokio::select! {
                () = self.term.cancelled() => return None,
                () = self.over.cancelled() => return None,
                () = self.work.marked.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::ServiceId;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use store::TaskPhase;

    use super::*;
    use crate::testing::{node_id, running_store, task};

    #[test]
    fn a_node_hears_of_new_tasks_and_wishes_but_not_of_its_own_reports() {
        let phase = |observed, desired| TaskPhase { observed, desired };
        let check = |before: Option<TaskPhase>, now: TaskPhase, expected: bool| {
            let event = WorkEvent::TaskChanged {
                task: task(1).id,
                service: ServiceId::generate(&mut StdRng::seed_from_u64(1)),
                node: Some(node_id(1)),
                before,
                now,
            };
            assert_eq!(concerned(&event).is_some(), expected, "{event:?}");
        };
        let (running, shutdown) = (TaskState::Running, TaskState::Shutdown);

        check(None, phase(TaskState::New, running), false);
        check(Some(phase(TaskState::Pending, running)), phase(TaskState::Assigned, running), true);
        check(Some(phase(TaskState::Assigned, running)), phase(running, running), false);
        check(Some(phase(running, running)), phase(running, shutdown), true);
        check(None, phase(TaskState::Assigned, running), true);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_tells_the_whole_then_what_is_marked_and_ends_with_its_session() {
        let running = running_store();
        let on = |number: u64, node: u64| {
            let mut task = task(number);
            task.state.node_id = Some(node_id(node));
            task
        };
        running
            .store
            .update(move |tx| [on(1, 1), on(2, 2)].into_iter().try_for_each(|task| tx.create_task(task)))
            .await
            .unwrap();
        let (work, over) = (Arc::new(Work::default()), CancellationToken::new());
        let tokens = (over.clone(), CancellationToken::new());
        let mut stream = OpenAssignments::new(running.store.clone(), node_id(1), tokens, Arc::clone(&work));
        let whole = stream.next().await.unwrap();
        assert_eq!(whole.changes.len(), 1);

        running
            .store
            .update(move |tx| [on(3, 1), on(4, 2)].into_iter().try_for_each(|task| tx.create_task(task)))
            .await
            .unwrap();
        running.store.update(move |tx| tx.remove_task(&task(1).id)).await.unwrap();
        for number in [3, 4, 1] {
            work.mark(&task(number).id);
        }
        let changed = stream.next().await.unwrap();
        over.cancel();

        assert_eq!(changed.changes.len(), 2, "{changed:?}");
        assert!(stream.next().await.is_none());
    }
}
