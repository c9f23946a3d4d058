//! How far the update of one place is, read from its tasks. Pure.
//!
//! A task of the update failed if it ended by itself before it ran, or within the monitor period after it began to; its
//! status tells when that was, whoever leads. A task that no node can take fails too, a monitor period after nothing of
//! its place stood in its way any more.

use jiff::Timestamp;
use model::{Task, TaskId, TaskState};

use super::place::{Occupants, is_live};
use super::situation::{Situation, after};

/// How far the update of a place is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Its task is outdated, and the update has not begun with it.
    pub(crate) is_outdated: bool,
    /// The update has put a task here.
    pub(crate) is_touched: bool,
    /// That task neither runs nor has failed yet.
    pub(crate) is_under_way: bool,
    /// When it began to run, or failed.
    pub(crate) settled_at: Option<Timestamp>,
    /// Why this place counts as failed.
    pub(crate) failure: Option<Failure>,
    /// The task that waits for a node in vain, not for long yet.
    pub(crate) unplaced: Option<Failure>,
    /// Until when it may.
    pub(crate) unplaced_until: Option<Timestamp>,
}

/// A task that failed its update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The task.
    pub(crate) task: TaskId,
    /// Why no node takes it, where that is the failure.
    pub(crate) unplaceable: Option<String>,
}

impl Failure {
    /// Docker's words for what the failure led to.
    pub(crate) fn message(&self, what: &str) -> String {
        match &self.unplaceable {
            None => format!("{what} due to failure or early termination of task {}", self.task),
            Some(reason) => format!("{what} because task {} cannot be placed: {reason}", self.task),
        }
    }

    /// What is said while it may still turn out well.
    pub(crate) fn note(&self) -> String {
        format!("task {} cannot be placed: {}", self.task, self.unplaceable.as_deref().unwrap_or_default())
    }
}

impl Progress {
    /// How far the update of a place is; `monitor` is the monitor period (ns).
    pub(crate) fn of(place: &Occupants<'_>, situation: &Situation, monitor: i64) -> Self {
        let revision = situation.service.state.spec_revision;
        let counting = || place.all().filter(|task| task.state.desired < TaskState::Remove);
        let (updated, former): (Vec<&Task>, Vec<&Task>) =
            counting().partition(|task| task.state.spec_revision == revision);
        let is_touched = !updated.is_empty() && !former.is_empty();
        let mut progress =
            if is_touched { Self::of_touched(&updated, place, situation, monitor) } else { Self::default() };
        let has_current = place.live().any(|task| situation.is_current(task));
        let is_given_up_well =
            || place.live().next().is_none() && place.latest().is_some_and(|task| situation.is_current(task));
        // One of two is to make room: also where neither is of this update.
        progress.is_under_way |= place.live().nth(1).is_some();
        progress.is_touched = is_touched;
        progress.is_outdated = progress.failure.is_none() && !has_current && !is_given_up_well();
        progress
    }

    fn of_touched(updated: &[&Task], place: &Occupants<'_>, situation: &Situation, monitor: i64) -> Self {
        let mut progress = Self::default();
        let ended: Vec<&Task> = updated.iter().copied().filter(|task| place.has_ended_by_itself(task)).collect();
        let live = updated.iter().copied().rfind(|task| is_live(task));
        if let Some(task) = ended.iter().find(|task| ended_early(task, monitor)) {
            progress.failure = Some(Failure { task: task.id.clone(), unplaceable: None });
        }
        let running = updated.iter().copied().filter_map(began_at).max();
        let last_end = ended.iter().map(|task| task.state.status.applied_at).max();
        progress.settled_at = running.or(last_end);
        match live {
            Some(task) if task.state.status.state != TaskState::Running && ended.is_empty() => {
                progress.is_under_way = true;
                progress.look_for_node(task, place, situation, monitor);
            }
            Some(_) | None => {}
        }
        progress
    }

    /// A task that no node takes is noted, and in the end counts as failed.
    fn look_for_node(&mut self, task: &Task, place: &Occupants<'_>, situation: &Situation, monitor: i64) {
        let status = &task.state.status;
        let is_unplaceable = status.state == TaskState::Pending && !status.err.is_empty();
        if !is_unplaceable || place.all().any(|other| situation.is_stopping(other)) {
            return;
        }
        let ends = place.before(task).filter(|other| !is_live(other)).map(|other| other.state.status.applied_at);
        let since = ends.max().map_or(task.meta.created_at, |end| end.max(task.meta.created_at));
        let until = after(since, monitor);
        let failure = Failure { task: task.id.clone(), unplaceable: Some(status.err.clone()) };
        if situation.now < until {
            (self.unplaced, self.unplaced_until) = (Some(failure), Some(until));
        } else {
            (self.failure, self.is_under_way, self.settled_at) = (Some(failure), false, Some(until));
        }
    }
}

/// When a task began to run, if it did.
fn began_at(task: &Task) -> Option<Timestamp> {
    let status = &task.state.status;
    // A task that came to run before that was kept says it only while it runs.
    status.running_since.or_else(|| (status.state == TaskState::Running).then_some(status.applied_at))
}

fn ended_early(task: &Task, monitor: i64) -> bool {
    began_at(task).is_none_or(|began| task.state.status.applied_at <= after(began, monitor))
}
