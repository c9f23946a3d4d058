//! Whether and when an ended task is replaced, and when the replacement starts. Pure; all of it is read from tasks.
//!
//! A task that is made before its time is wanted Ready: its node fetches the image meanwhile. It starts when the delay is
//! over and whatever was in its place has stopped. Who leads by then does not matter: the moments are in the store.

use jiff::Timestamp;
use model::{DEFAULT_RESTART_DELAY, RestartCondition, RestartPolicy, Task, TaskState};

use super::place::{Occupants, has_finished};
use super::situation::{Situation, after};

/// How long a task waits for the one before it to stop (ns): a minute (SwarmKit's), or the time which that one has to stop
/// where it is longer.
const STOP_BOUND: i64 = 60_000_000_000;

/// When a task that waits may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// At once.
    Now,
    /// Not before this moment, and only then if nothing else changes.
    NotBefore(Timestamp),
}

/// The restart delay of a policy (ns); none is negative.
pub(crate) fn delay(policy: Option<&RestartPolicy>) -> i64 {
    policy.and_then(|policy| policy.delay).unwrap_or(DEFAULT_RESTART_DELAY).max(0)
}

/// When a task is replaced; a job's is only when it failed.
pub(crate) fn condition(task: &Task) -> RestartCondition {
    let condition = task.spec.restart_policy.as_ref().map_or(RestartCondition::Any, RestartPolicy::condition);
    match condition {
        RestartCondition::Any if task.state.job_iteration.is_some() => RestartCondition::OnFailure,
        RestartCondition::Any | RestartCondition::OnFailure | RestartCondition::None => condition,
    }
}

/// Whether a task that ended by itself is to be replaced: its condition says so, and attempts are left.
///
/// An attempt is a task of the same spec that ended by itself in this place before, within the window before this end.
pub(crate) fn is_allowed(ended: &Task, place: &Occupants<'_>) -> bool {
    let is_wanted = match condition(ended) {
        RestartCondition::None => false,
        RestartCondition::OnFailure => ended.state.status.state != TaskState::Complete,
        RestartCondition::Any => true,
    };
    let policy = ended.spec.restart_policy.as_ref();
    let Some(most) = policy.and_then(|policy| policy.max_attempts).filter(|most| *most > 0) else {
        return is_wanted;
    };
    let window = policy.and_then(|policy| policy.window).filter(|window| *window > 0);
    let counts = |former: &&Task| {
        let (end, next_end) = (former.state.status.applied_at, ended.state.status.applied_at);
        place.has_ended_by_itself(former) && window.is_none_or(|window| after(end, window) > next_end)
    };
    let of_one_kind = |former: &&Task| {
        former.spec == ended.spec
            && former.state.job_iteration == ended.state.job_iteration
            && former.state.desired < TaskState::Remove
    };
    let attempts = place.before(ended).take_while(of_one_kind).filter(counts).count();
    is_wanted && u64::try_from(attempts).is_ok_and(|attempts| attempts < most)
}

/// When the delay of a task is over: only what replaces a task that had ended by itself has one.
pub(crate) fn due(task: &Task, place: &Occupants<'_>) -> Timestamp {
    let made = task.meta.created_at;
    let is_restart = place.before(task).next().is_some_and(|former| {
        former.state.desired < TaskState::Remove && has_finished(former) && former.state.status.applied_at <= made
    });
    if is_restart { after(made, delay(task.spec.restart_policy.as_ref())) } else { made }
}

/// When a task that waits may start: after its delay, and once all that is to stop in its place has stopped, for which it
/// waits a bounded time.
pub(crate) fn start(task: &Task, place: &Occupants<'_>, situation: &Situation) -> Start {
    let stopping = place.all().filter(|other| situation.is_stopping(other));
    let bound = stopping.map(|other| after(task.meta.created_at, stop_bound(other))).max();
    let moment = bound.unwrap_or(Timestamp::MIN).max(due(task, place));
    if moment <= situation.now { Start::Now } else { Start::NotBefore(moment) }
}

fn stop_bound(task: &Task) -> i64 {
    let grace = task.spec.container_spec.as_ref().and_then(|container| container.stop_grace_period);
    grace.unwrap_or(0).max(STOP_BOUND)
}
