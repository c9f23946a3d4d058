//! Which tasks may be forgotten: those that are to be, and what a place has too much of. Pure.

use std::sync::Arc;

use model::{Service, Task, TaskId, TaskState};

use super::place::{Occupants, is_live, is_wanted, places};
use super::updater;

/// What may be forgotten of a service.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgettable {
    /// These tasks, now.
    pub(crate) tasks: Vec<TaskId>,
    /// A place has more tasks than it keeps: others follow when they have ended, or are decided by no more.
    pub(crate) is_crowded: bool,
}

/// Tasks that may be forgotten now. `limit` is how many tasks a place keeps, the live one among them (negative: all).
///
/// Whatever the limit, a place keeps what decisions go by: what is wanted, the newest, the one before a task that does
/// not run yet, the newest one that an update under way has replaced, a job's completion, and as many attempts as the
/// restart policy counts.
pub(crate) fn to_forget(service: Option<&Service>, tasks: &[Arc<Task>], limit: i64) -> Forgettable {
    let (forgotten, counting): (Vec<Arc<Task>>, Vec<Arc<Task>>) =
        tasks.iter().cloned().partition(|task| service.is_none() || task.state.desired >= TaskState::Remove);
    let tasks = forgotten.iter().filter(|task| is_over(task)).map(|task| task.id.clone()).collect();
    let mut forgettable = Forgettable { tasks, is_crowded: false };
    if let Some(service) = service
        && let Some(limit) = places_limit(service, limit)
    {
        for occupants in places(&counting).values() {
            forgettable.is_crowded |= occupants.all().count() > limit;
            forgettable.tasks.extend(surplus(service, occupants, limit));
        }
    }
    forgettable
}

/// How many tasks a place of a service keeps; none where it keeps all.
fn places_limit(service: &Service, limit: i64) -> Option<usize> {
    let limit = usize::try_from(limit).ok()?;
    let policy = service.spec.task_template.restart_policy.as_ref();
    let attempts = policy.and_then(|policy| policy.max_attempts).filter(|attempts| *attempts > 0);
    let counted = attempts.map_or(0, |attempts| usize::try_from(attempts).unwrap_or(usize::MAX).saturating_add(1));
    Some(limit.max(counted))
}

fn surplus(service: &Service, occupants: &Occupants<'_>, limit: usize) -> Vec<TaskId> {
    let excess = occupants.all().count().saturating_sub(limit);
    if excess == 0 {
        return Vec::new();
    }
    let kept = kept(service, occupants);
    let mut deletable: Vec<&Task> = occupants
        .all()
        .filter(|task| !is_wanted(task) && is_over(task) && !kept.contains(&Some(&task.id)))
        .filter(|task| task.state.job_iteration.is_none() || task.state.status.state != TaskState::Complete)
        .collect();
    deletable.sort_by_key(|task| task.state.status.applied_at);
    deletable.into_iter().take(excess).map(|task| task.id.clone()).collect()
}

/// Tasks that decisions go by.
fn kept<'s>(service: &Service, occupants: &Occupants<'s>) -> [Option<&'s TaskId>; 3] {
    let newest = occupants.latest();
    let starting = newest.filter(|task| is_live(task) && task.state.status.state < TaskState::Running);
    let before = starting.and_then(|task| occupants.before(task).next());
    let is_former = |task: &&Task| task.state.spec_revision < service.state.spec_revision;
    let replaced = occupants.all().rfind(is_former).filter(|_| updater::is_under_way(service));
    [newest, before, replaced].map(|task| task.map(|task| &task.id))
}

/// Whether nothing of a task runs or ever will: it ended, or no node has got it and none will.
fn is_over(task: &Task) -> bool {
    let state = task.state.status.state;
    state.is_terminal() || state < TaskState::Assigned
}
